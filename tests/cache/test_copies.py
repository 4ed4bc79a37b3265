"""Nothing good is deleted for something bad: copies are read back before the originals go."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from featzoo import FeatureStore
from featzoo.cache.gc import find_garbage, remove_garbage
from featzoo.cache.pack import pack_store


@pytest.fixture
def packed(tmp_path):
    """A store whose two shards have been merged: the originals, and the shard that replaces them."""
    store = FeatureStore.create(tmp_path / "features")
    store.add("x", {"a": np.full((3, 2), 3, np.float32)})
    store.add("x", {"b": np.full((3, 2), 7, np.float32)})
    folder = store["x"].folder / "shards"
    originals = {*folder.glob("*.h5")}
    list(pack_store(store))
    (merged,) = {*folder.glob("*.h5")} - originals
    return store.path, originals, merged


def flip(place, raw):
    content = bytearray(place.read_bytes())
    content[content.index(raw)] ^= 1
    place.write_bytes(content)


def features(place):
    flip(place, np.float32(7).tobytes())


def header(place):
    flip(place, b"OHDR")


def ids(place):
    with h5py.File(place, "r+") as file:
        file["clip_ids"][1] = b"c"


def digest(place):
    with h5py.File(place) as file:
        recorded = file["digests"][1]
    flip(place, recorded)


@pytest.mark.parametrize("damage", [features, header, ids, digest])
@pytest.mark.parametrize("operation", ["pack", "gc"])
def test_originals_stay_while_the_merged_shard_is_damaged_after_the_grace(packed, damage, operation):
    path, originals, merged = packed
    store = FeatureStore(path)
    store["x"].index.ids()  # known before the damage
    damage(merged)
    for opened in (store, FeatureStore(path)):
        if operation == "pack":
            list(pack_store(opened, grace=0))
        else:
            remove_garbage(opened, list(find_garbage(opened, grace=0)), grace=0)
    assert all(place.is_file() for place in originals) or damage is features
    again = FeatureStore(path)["x"]
    assert (again["a"].features == 3).all()
    assert (again["b"].features == 7).all()


def test_originals_go_when_the_merged_shard_is_intact(packed):
    path, originals, _ = packed
    list(pack_store(FeatureStore(path), grace=0))
    assert not any(place.is_file() for place in originals)


def test_a_damaged_shard_set_aside_is_kept_while_the_other_copy_of_a_clip_is_damaged(packed):
    path, originals, merged = packed
    aside = merged.parents[1] / "damaged" / "one.h5"
    aside.parent.mkdir()
    original = next(place for place in originals if b"\0\0\xe0\x40" * 6 in place.read_bytes())
    aside.write_bytes(original.read_bytes())
    original.unlink()
    features(merged)
    assert [each.place for each in find_garbage(FeatureStore(path)) if each.kind == "aside"] == []

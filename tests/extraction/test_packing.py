"""A run packs its sets while it goes on."""

import json

import numpy as np
import pytest

from featzoo.cache.store import FeatureStore
from featzoo.extraction import packing as module
from featzoo.extraction.packing import packing
from featzoo.extraction.worker import Receipt

CLIPS = 30


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {f"{number:02d}.wav": rng.normal(size=(number, 2)).astype(np.float32) for number in range(CLIPS)}


def stored_one_by_one(store, arrays):
    """Receipts of a worker that writes a shard for each clip."""
    for clip_id, array in arrays.items():
        found = store.add("x", {clip_id: array})
        yield Receipt(found.key, clip_id, "stored", "")


def shards_left(found):
    """The number of shards that have not been merged."""
    notes = [json.loads(note.read_text()) for note in (found.folder / "merged").glob("*.json")]
    merged = {name for note in notes for name in note["shards"]}
    return len({place.name for place in (found.folder / "shards").glob("*.h5")} - merged)


def test_shards_that_pile_up_are_merged_and_every_clip_is_read(tmp_path, arrays, monkeypatch):
    monkeypatch.setattr(module, "PILE", 8)
    store = FeatureStore.create(tmp_path / "f")
    found = store.add("x", {})
    receipts = list(packing(stored_one_by_one(store, arrays), {found.key: found}))
    assert [receipt.clip for receipt in receipts] == list(arrays)
    assert shards_left(found) < 16
    again = FeatureStore(store.path)["x"]
    for clip_id, array in arrays.items():
        np.testing.assert_array_equal(again[clip_id].features, array)


def test_a_damaged_shard_stops_the_packing_and_not_the_run(tmp_path, arrays, monkeypatch):
    monkeypatch.setattr(module, "PILE", 8)
    store = FeatureStore.create(tmp_path / "f")
    found = store.add("x", {})
    (found.folder / "shards" / "junk.h5").write_bytes(b"junk")
    receipts = list(packing(stored_one_by_one(store, arrays), {found.key: found}))
    assert len(receipts) == CLIPS
    assert shards_left(found) == CLIPS + 1

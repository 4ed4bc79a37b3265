"""The saved index is never trusted over the shards."""

import numpy as np
import pytest

from featzoo.cache.index import SetIndex
from featzoo.cache.store import FeatureStore


@pytest.fixture
def found(tmp_path):
    """A set of twelve shards, so that its index has been saved."""
    store = FeatureStore.create(tmp_path / "features")
    for number in range(12):
        made = store.add("x", {f"c{number}": np.full((2, 3), number, np.float32)})
    FeatureStore(store.path)["x"].index  # noqa: B018  (saves it)
    return made


def saved(found):
    return found.store.path / "index" / f"{found.key}.h5"


def reopened(found):
    return FeatureStore(found.store.path)["x"]


def check(found, numbers=range(12)):
    again = reopened(found)
    assert again.ids() == sorted(f"c{n}" for n in numbers)
    assert all((again[f"c{n}"].features == n).all() for n in numbers)
    assert again[f"c{numbers[0]}"].features.shape == (2, 3)
    assert again.index.bad == {}
    return again


def test_it_is_used(found, monkeypatch):
    assert saved(found).is_file()
    calls = []
    monkeypatch.setattr("featzoo.cache.index.read_header", lambda path: calls.append(path))
    assert len(reopened(found)) == 12
    assert calls == []


@pytest.mark.parametrize("damage", ["delete", "cut", "junk", "empty", "folder"])
def test_a_damaged_one_is_made_again(found, damage):
    place = saved(found)
    raw = place.read_bytes()
    place.unlink()
    if damage == "folder":
        place.mkdir()
    elif damage != "delete":
        place.write_bytes({"cut": raw[: len(raw) // 2], "junk": b"junk" * 1000, "empty": b""}[damage])
    check(found)
    check(found)


def test_one_of_other_shards_is_put_right(found):
    shards = sorted((found.folder / "shards").glob("*.h5"), key=lambda p: p.stat().st_mtime_ns)
    shards[0].unlink()
    check(found, range(1, 12))
    shards[1].write_bytes(shards[1].read_bytes()[:100])
    again = reopened(found)
    assert list(again.index.bad) == [shards[1].name]
    assert again.ids() == sorted(f"c{n}" for n in range(2, 12))


def test_new_shards_are_taken_in_and_lost_ones_forgotten(found):
    index = SetIndex(found.folder / "shards", saved(found))
    found.store.add("x", {"new": np.zeros((1, 3), np.float32)})
    assert index.places("new") == []
    index.refresh()
    assert len(index.places("new")) == 1
    (found.folder / "shards" / index.places("new")[0].shard).unlink()
    index.refresh()
    assert index.places("new") == []
    assert len(index) == 12


def test_a_folder_that_cannot_hold_it_does_without(found):
    saved(found).unlink()
    folder = saved(found).parent
    for place in folder.iterdir():
        place.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    check(found)

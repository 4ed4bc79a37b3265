"""The reader that others copy: it needs nothing of featzoo, and reads what featzoo wrote."""

from __future__ import annotations

import ast
from pathlib import Path

import h5py
import numpy as np
import pytest

from featzoo import FeatureSequence, FeatureStore, reader


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    rng = np.random.default_rng(0)
    for kind in (np.float32, np.float16, np.uint8):
        rows = {}
        for number in range(6):
            features = (rng.random((number, 3, 4)) * 200).astype(kind)
            times = np.arange(number)[:, None] + np.array([[0.0, 1.0]])
            rows[f"ä/{number}.mp4"] = FeatureSequence(features, times, ("a", "b", "c", "d"))
        made.add(f"set-{np.dtype(kind).name}", rows)
    return made


def test_it_imports_nothing_of_featzoo_and_is_short():
    text = Path(reader.__file__).read_text()
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    standard = {"__future__", "functools", "hashlib", "json", "pathlib", "typing", "warnings"}
    assert modules == {*standard, "h5py", "numpy", "xxhash"}
    assert len(text.splitlines()) <= 180


def test_it_reads_what_featzoo_reads(store):
    plain = reader.Store(store.path)
    assert plain.sets() == [found.key for found in store.sets()]
    for found in store.sets():
        assert plain.clips(found.name) == found.ids()
        assert plain.describe(found.name)["spec"] == found.spec
        for clip in found:
            features, intervals, names = plain.read(found.name, clip)
            np.testing.assert_array_equal(features, found[clip].features)
            assert features.dtype == found[clip].features.dtype
            np.testing.assert_array_equal(intervals, found[clip].intervals)
            assert tuple(names) == found.names


def test_the_newest_copy_is_given(store):
    store.add(
        "set-float32", {"ä/1.mp4": FeatureSequence(np.ones((2, 3, 4), np.float32), np.zeros((2, 2)), tuple("abcd"))}
    )
    assert (reader.Store(store.path).read("set-float32", "ä/1.mp4")[0] == 1).all()


def test_missing_sets_and_clips_are_named(store, tmp_path):
    plain = reader.Store(store.path)
    with pytest.raises(KeyError, match="no 'b' in set-float16-"):
        plain.read("set-float16", "b")
    with pytest.raises(KeyError, match="0 sets are called 'egemaps'"):
        plain.read("egemaps", "b")
    (store.path / "STORE.json").write_text('{"format": 9}')
    with pytest.raises(ValueError, match="has format 9"):
        reader.Store(store.path)


def test_shards_that_cannot_be_read_are_named_and_the_others_are_read(store):
    folder = store["set-uint8"].folder / "shards"
    (folder / "junk.h5").write_bytes(b"junk")
    with h5py.File(folder / "later.h5", "w") as file:
        file.attrs["format"] = 3
    with pytest.warns(UserWarning, match="cannot be read") as warned:
        assert len(reader.Store(store.path).clips("set-uint8")) == 6
    assert sorted(Path(str(each.message).split(" ")[0]).name for each in warned) == ["junk.h5", "later.h5"]


def test_a_changed_description_is_refused(store):
    place = store["set-uint8"].folder / "set.json"
    place.write_text(place.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match=r"set\.json differs from what was written"):
        reader.Store(store.path).describe("set-uint8")


@pytest.mark.parametrize("hash_package", ["xxhash", None])
def test_a_changed_value_is_refused(store, monkeypatch, hash_package):
    if hash_package is None:
        monkeypatch.setattr(reader, "xxhash", None)
    (place,) = (store["set-float32"].folder / "shards").glob("*.h5")
    with h5py.File(place, "r+") as file:
        file["features"][0, 0, 0] += 1
    plain = reader.Store(store.path)
    with pytest.raises(ValueError, match=r"the bytes of 'ä/1.mp4' differ from those that were written"):
        plain.read("set-float32", "ä/1.mp4")
    assert len(plain.read("set-float32", "ä/2.mp4")[0]) == 2

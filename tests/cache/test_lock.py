"""`feat lock`: equal features give an equal lock anywhere; anything else is named."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import Clip, FeatureStore, Word
from featzoo.cache.lock import differences, lock_store
from featzoo.cache.pack import pack_store
from featzoo.cli import feat

ARRAYS = {f"clip {i}": np.full((i + 1, 2), i, np.float32) for i in range(5)}
CLIPS = [Clip(name, words=(Word("word"),), split="train", labels={"y": 1.0}) for name in ARRAYS]


def make(path, arrays=ARRAYS, clips=CLIPS):
    store = FeatureStore.create(path)
    store.record(clips)
    for name, array in arrays.items():
        store.add("x", {name: array})
    return store


@pytest.fixture
def store(tmp_path):
    return make(tmp_path / "one")


def test_the_same_features_lock_alike_whatever_the_shards(store, tmp_path):
    other = make(tmp_path / "two", dict(reversed(ARRAYS.items())), CLIPS[::-1])
    assert lock_store(other) == lock_store(store)
    list(pack_store(other, grace=0))
    shutil.copytree(other.path, tmp_path / "moved")
    assert lock_store(FeatureStore(tmp_path / "moved")) == lock_store(store)


def test_more_than_was_locked_is_enough(store):
    lock = lock_store(store)
    store.add("y", ARRAYS)
    assert list(differences(store, lock)) == []


def test_each_difference_is_named(store, tmp_path):
    lock = lock_store(store)
    changed = {**ARRAYS, "clip 3": ARRAYS["clip 3"] + 1e-6}
    del changed["clip 1"]
    assert list(differences(make(tmp_path / "two", changed), lock)) == [
        next(iter(store.sets())).key + ": 1 clip not stored: clip 1",
        next(iter(store.sets())).key + ": 1 clip other features: clip 3",
    ]
    assert list(differences(make(tmp_path / "none", {}), lock)) == [store["x"].key + ": not in the store"]


@pytest.mark.parametrize("change", [{"split": "test"}, {"labels": {"y": 2.0}}, {"words": (Word("other"),)}])
def test_another_data_set_is_noticed(store, tmp_path, change):
    other = make(tmp_path / "two", clips=[dataclasses.replace(CLIPS[0], **change), *CLIPS[1:]])
    assert list(differences(other, lock_store(store))) == [
        "the data set differs: other clips, media, words, splits or labels"
    ]


def test_feat_lock_writes_and_checks_a_lock(store, tmp_path):
    lock = tmp_path / "featzoo.lock.json"

    def run(*words):
        return CliRunner().invoke(feat, ["lock", "-o", str(store.path), *map(str, words)])

    assert run("--to", lock).exit_code == 0
    assert "holds all of" in run("--check", lock).output
    store.add("x", {"clip 0": ARRAYS["clip 0"] + 1})
    done = run("--check", lock)
    assert done.exit_code == 1
    assert "1 clip other features: clip 0" in done.output
    lock.write_text("[]")
    assert "is not a lock" in run("--check", lock).output

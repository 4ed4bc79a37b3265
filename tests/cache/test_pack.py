"""`feat pack`: nothing is lost, whoever reads, whenever it is killed."""

from __future__ import annotations

import random
import signal
import time

import numpy as np
import pytest
from fault_table import long_form
from forks import forks

from featzoo import FeatureStore
from featzoo.cache.check import check_store
from featzoo.cache.pack import pack_set, pack_store
from featzoo.cache.shard import Entry
from featzoo.errors import StoreError
from featzoo.sequence import FeatureSequence


def fill(path, parts=12, clips=5):
    store = FeatureStore.create(path)
    rng = np.random.default_rng(1)
    arrays = {f"a/{i}.mp4": rng.normal(size=(rng.integers(0, 30), 6)).astype(np.float32) for i in range(parts * clips)}
    names = list(arrays)
    for part in range(parts):
        store.add("x", {name: arrays[name] for name in names[part * clips : (part + 1) * clips]})
    return store, arrays


def shards(store):
    return sorted((store["x"].folder / "shards").glob("*.h5"))


def same(store, arrays):
    found = FeatureStore(store.path)["x"]
    assert found.ids() == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name].features, array)


def test_many_shards_become_one_and_the_old_ones_go_after_their_grace(tmp_path):
    store, arrays = fill(tmp_path / "f")
    (done,) = pack_store(store, grace=3600)
    assert (done.merged, done.into, done.deleted) == (12, 1, 0)
    assert len(shards(store)) == 13
    same(store, arrays)
    (done,) = pack_store(store, grace=0)
    assert (done.merged, done.deleted) == (0, 12)
    assert len(shards(store)) == 1
    same(store, arrays)
    assert list(pack_store(store, grace=0)) == []
    assert not list((store["x"].folder / "merged").glob("*.json"))


def test_a_reader_with_an_old_index_goes_on(tmp_path):
    """Another process packs and deletes while this one has its index and its arrays."""
    store, arrays = fill(tmp_path / "f")
    reader = FeatureStore(store.path)["x"]
    name = next(name for name, array in arrays.items() if len(array))
    held = reader[name].features
    list(pack_store(FeatureStore(store.path), grace=0))
    list(pack_store(FeatureStore(store.path), grace=0))
    np.testing.assert_array_equal(held, arrays[name])
    for name, array in arrays.items():
        np.testing.assert_array_equal(reader[name].features, array)


def test_the_newest_copy_and_every_source_survive(tmp_path):
    store = FeatureStore.create(tmp_path / "f")
    found = store.add("x", {"a": np.zeros((1, 2), np.float32)})
    for source, value in (("one", 1.0), ("two", 2.0), ("one", 3.0)):
        rows = FeatureSequence(np.full((1, 2), value, np.float32), np.zeros((1, 2)), ("column_0", "column_1"))
        found.write([Entry("a", source, rows)])
    list(pack_store(store, grace=0))
    list(pack_store(store, grace=0))
    again = FeatureStore(store.path)["x"]
    assert len(shards(store)) == 1
    assert again["a"].features[0, 0] == 3.0
    assert all(again.holds("a", source) for source in ("", "one", "two"))


def test_an_old_copy_does_not_come_back_because_its_shard_is_merged(tmp_path, monkeypatch):
    """The newest copy is in a shard that is large enough to be left as it is."""
    monkeypatch.setattr("featzoo.cache.pack.PACKED_BYTES", 50_000)
    store = FeatureStore.create(tmp_path / "f")
    store.add("x", {"a": np.zeros((1, 2), np.float32)})
    store.add("x", {"a": np.ones((1, 2), np.float32), "long": np.zeros((10_000, 2), np.float32)})
    store.add("x", {"b": np.zeros((1, 2), np.float32)})
    for _ in range(2):
        list(pack_store(FeatureStore(store.path), grace=0))
    again = FeatureStore(store.path)["x"]
    assert again["a"].features[0, 0] == 1
    assert len(shards(store)) == 2
    assert again.index.repeated() == []


def test_gradual_packing_leaves_shards_that_are_larger_than_all_smaller_ones_together(tmp_path):
    store = FeatureStore.create(tmp_path / "f")
    arrays = {"large": np.zeros((30_000, 2), np.float32)}
    arrays |= {f"small{i}": np.full((1, 2), i, np.float32) for i in range(4)}
    for name, array in arrays.items():
        store.add("x", {name: array})
    done = pack_set(FeatureStore(store.path)["x"], grace=0, gradual=True)
    assert (done.merged, done.into, done.deleted) == (4, 1, 4)
    same(store, arrays)
    assert pack_set(FeatureStore(store.path)["x"], grace=0, gradual=True).merged == 0
    assert pack_set(FeatureStore(store.path)["x"], grace=0).merged == 2


def test_damage_stops_it_before_anything_is_deleted(tmp_path):
    store, _ = fill(tmp_path / "f", parts=3)
    place = shards(store)[1]
    place.write_bytes(place.read_bytes()[:-50])
    with pytest.raises(StoreError, match="Repair the store first"):
        list(pack_store(FeatureStore(store.path), grace=0))
    assert len(shards(store)) == 3


@pytest.mark.faults
def test_killed_at_any_moment_it_loses_nothing(tmp_path, count_faults, request):
    """SIGKILL while packing and deleting; after each, every clip is there with its own bytes."""
    program = (
        "from featzoo import FeatureStore; from featzoo.cache.pack import pack_store\n"
        "def deed(path):\n"
        "    store = FeatureStore(path)\n"
        "    list(pack_store(store, grace=0)); list(pack_store(store, grace=0))\n"
    )
    chance = random.Random(3)
    interrupted = 0
    store, arrays = fill(tmp_path / "f", parts=40, clips=4)
    with forks(program) as processes:
        for _ in range(max(10, long_form(request.config, 10, 100))):
            processes.start(str(store.path))
            time.sleep(chance.uniform(0, 0.25))
            interrupted += processes.kill() == -signal.SIGKILL
            same(store, arrays)
            assert list(check_store(FeatureStore(store.path))) == []
    count_faults("SIGKILL: pack", trials=interrupted)
    assert interrupted >= 2
    list(pack_store(FeatureStore(store.path), grace=0))
    list(pack_store(FeatureStore(store.path), grace=0))
    same(store, arrays)

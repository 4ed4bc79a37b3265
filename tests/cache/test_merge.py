"""`feat merge`: everything arrives, nothing twice, nothing damaged, while the other is written to."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from cache.test_gc import clip, rows, stored, write
from featzoo import FeatureStore
from featzoo.cache.check import check_store
from featzoo.cache.lock import lock_store
from featzoo.cache.merge import merge_stores
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import Entry
from featzoo.cli import feat
from featzoo.errors import StoreError

SPEC = {"reads": ["words"], "version": 1}


def make(path, text="so", **sets):
    store = FeatureStore.create(path)
    for name, values in sets.items():
        write(store, store.open_set(name, SPEC), text, values)
    return store


def merge(store, other, **options):
    store = FeatureStore(store.path)
    return {each.key.rsplit("-", 1)[0]: each for each in merge_stores(store, FeatureStore(other.path), **options)}


@pytest.fixture
def ours(tmp_path):
    return make(tmp_path / "ours", x={"a": 1.0, "b": 2.0})


@pytest.fixture
def other(tmp_path):
    made = make(tmp_path / "other", x={"b": 2.0, "c": 3.0}, y={"b": 7.0})
    made["x"].fail("d", "s", "no-audio", "it is silent")
    return made


def test_new_sequences_are_copied_and_existing_ones_are_not(ours, other):
    found = merge(ours, other)
    assert (found["x"].taken, found["x"].same, found["x"].failures) == (1, 1, 1)
    assert (found["y"].taken, found["x"].theirs, found["x"].ours) == (1, [], [])
    assert stored(ours) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    assert stored(ours, "y") == [("b", 7.0)]
    again = FeatureStore(ours.path)
    assert again.clip_ids() == ["a", "b", "c"]
    assert again["x"].holds("c", again.source("c", ["words"]))
    assert again["x"].failure("d").reason == "no-audio"
    found = merge(ours, other)
    assert (found["x"].taken, found["x"].same, found["x"].failures) == (0, 2, 0)
    assert list(check_store(again)) == []


def test_an_empty_store_becomes_the_same_and_shards_are_linked(other, tmp_path):
    empty = FeatureStore.create(tmp_path / "empty")
    merge(empty, other)
    assert lock_store(FeatureStore(empty.path)) == lock_store(other)
    inodes = [{p.stat().st_ino for p in each["x"].folder.glob("shards/*.h5")} for each in (empty, other)]
    assert inodes[0] == inodes[1]
    # What the other does to its own store does not touch ours.
    other["x"].write([Entry("e", "s", rows(5))])
    list(pack_store(FeatureStore(other.path), grace=0))
    list(pack_store(FeatureStore(other.path), grace=0))
    assert stored(empty) == [("b", 2.0), ("c", 3.0)]
    assert (merge(empty, other)["x"].taken, len(stored(empty))) == (1, 3)


def test_where_links_are_refused_it_copies(ours, other, monkeypatch):
    def refuse(*places):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("featzoo.cache.merge.os.link", refuse)
    assert merge(ours, other)["x"].taken == 1
    assert stored(ours) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]


def test_a_copy_that_goes_wrong_on_the_way_is_not_taken_in(ours, other, monkeypatch):
    def refuse(*places):
        raise OSError(18, "Invalid cross-device link")

    def spoil(source, target):
        raw = bytearray(source.read_bytes())
        at = raw.find(np.full(6, 7.0, np.float32).tobytes())
        raw[at if at >= 0 else -1] ^= 1
        target.write_bytes(raw)

    merge(ours, other)
    other["y"].write([Entry("new", "s", rows(7.0))])
    monkeypatch.setattr("featzoo.cache.merge.os.link", refuse)
    monkeypatch.setattr("featzoo.cache.merge.shutil.copyfile", spoil)
    with pytest.raises(StoreError, match="differs from the original"):
        merge(ours, other)
    assert stored(ours, "y") == [("b", 7.0)]
    assert not list(ours.path.rglob("*.tmp"))


def test_the_newest_record_of_a_clip_decides(ours, tmp_path):
    later = make(tmp_path / "later", "other words", x={"a": 5.0})
    assert merge(ours, later)["x"].theirs == ["a"]
    assert FeatureStore(ours.path)["x"]["a"].features[0, 0] == 5.0
    ours = FeatureStore(ours.path)
    ours.record([clip("b", "newest")])
    write(ours, ours["x"], "newest", {"b": 9.0})
    third = make(tmp_path / "third", x={"z": 0.0})
    third.record([clip("b", "oldest")])
    table = max((third.path / "clips").iterdir())
    table.rename(table.with_name("00000000000000000001-abc.parquet"))
    third = FeatureStore(third.path)
    third["x"].write([Entry("b", third.source("b", ["words"]), rows(8))])
    assert merge(ours, third)["x"].ours == ["b"]
    assert FeatureStore(ours.path)["x"]["b"].features[0, 0] == 9.0


def test_imports_of_the_same_name_that_differ_stay_ours(tmp_path):
    ours, other = FeatureStore.create(tmp_path / "ours"), FeatureStore.create(tmp_path / "other")
    ours.add("x", {"a": np.zeros((2, 2), np.float32)})
    other.add("x", {"a": np.ones((2, 2), np.float32), "b": np.ones((2, 2), np.float32)})
    found = merge(ours, other)["x"]
    assert (found.taken, found.ours) == (1, ["a"])
    assert stored(ours) == [("a", 0.0), ("b", 1.0)]


def test_a_dry_run_changes_nothing_and_says_the_same(ours, other):
    before = lock_store(FeatureStore(ours.path))
    planned = merge(ours, other, dry_run=True)
    assert lock_store(FeatureStore(ours.path)) == before
    assert planned == merge(ours, other)


@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_damaged_shards_are_refused_and_named(ours, other, harm):
    other["x"].write([Entry("f", "s", rows(6))])
    bad = max(other["x"].folder.glob("shards/*.h5"), key=lambda p: p.stat().st_mtime_ns)
    if harm == "cut":
        bad.write_bytes(bad.read_bytes()[:-60])
    else:
        with h5py.File(bad, "r+") as file:
            file["features"][0, 0] += 1
    done = CliRunner().invoke(feat, ["merge", str(other.path), "-o", str(ours.path)])
    assert done.exit_code == 1
    assert bad.name in done.output
    assert stored(ours) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    assert list(check_store(FeatureStore(ours.path))) == []


def test_rows_of_another_kind_are_refused(ours, tmp_path):
    other = FeatureStore.create(tmp_path / "other")
    found = other.open_set("x", SPEC)
    wide = rows(1)
    found.write([Entry("w", "s", type(wide)(wide.features.astype(np.float64), wide.intervals, wide.names))])
    (damage,) = merge(ours, other)["x"].damaged
    assert "those of the set" in damage.problem
    assert stored(ours) == [("a", 1.0), ("b", 2.0)]


def test_into_itself_is_refused_and_a_new_store_is_made(ours, tmp_path):
    with pytest.raises(StoreError, match="into itself"):
        merge(ours, ours)
    new = tmp_path / "new"
    dry = CliRunner().invoke(feat, ["merge", str(ours.path), "-o", str(new), "--dry-run"])
    assert (dry.exit_code, new.exists()) == (0, False)
    assert "2 sequences would be copied" in dry.output
    assert CliRunner().invoke(feat, ["merge", str(ours.path), "-o", str(new)]).exit_code == 0
    assert stored(FeatureStore(new)) == stored(ours)


WRITER = """
import sys
import numpy as np
from featzoo import FeatureStore
from featzoo.cache.pack import pack_store
store = FeatureStore(sys.argv[1])
for i in range(60):
    store.add("busy", {f"c{i}": np.full((2, 2), i, np.float32)})
    if i % 10 == 9:
        list(pack_store(store, grace=0)); list(pack_store(store, grace=0))
    if i == 5:
        print("go", flush=True)
"""


def test_the_other_is_written_to_and_packed_meanwhile(ours, other):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(other.path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "go\n"
    merges = 0
    while writer.poll() is None:
        assert merge(ours, other)["busy"].damaged == []
        merges += 1
    writer.stdout.close()
    assert writer.returncode == 0
    assert merges >= 1
    merge(ours, other)
    assert stored(ours, "busy") == sorted((f"c{i}", float(i)) for i in range(60))
    assert list(check_store(FeatureStore(ours.path))) == []

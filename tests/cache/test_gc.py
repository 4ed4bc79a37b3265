"""`feat gc`: what is in use stays, whoever writes, whenever it is killed; what is not goes only when asked."""

from __future__ import annotations

import os
import random
import signal
import time

import numpy as np
import pytest
from click.testing import CliRunner
from forks import forks

from featzoo import Clip, FeatureStore, Word
from featzoo.cache.check import check_store
from featzoo.cache.gc import find_garbage, remove_garbage
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import Entry
from featzoo.cli import feat
from featzoo.errors import MissingFeatures, StoreError
from featzoo.sequence import FeatureSequence


def rows(value, count=3):
    return FeatureSequence(np.full((count, 2), value, np.float32), np.zeros((count, 2)), ("a", "b"))


def clip(name, text):
    return Clip(name, words=(Word(text),))


def write(store, found, text, values):
    """Store clips as they are with this transcript, which becomes their newest record."""
    store.record([clip(name, text) for name in values])
    found.write([Entry(name, store.source(name, ["words"]), rows(value)) for name, value in values.items()])


@pytest.fixture
def store(tmp_path):
    """Clips a to d were extracted, then a and b again after a change of words; c is stored twice."""
    made = FeatureStore.create(tmp_path / "features")
    found = made.open_set("x", {"reads": ["words"], "version": 1})
    write(made, found, "old", dict.fromkeys("abcd", 1.0))
    write(made, found, "new", dict.fromkeys("ab", 2.0))
    write(made, found, "old", {"c": 1.0})
    return made


def collect(store, **options):
    store = FeatureStore(store.path)
    garbage = list(find_garbage(store, **options))
    remove_garbage(store, garbage, options.get("grace", 3600.0))
    return garbage


def kinds(garbage):
    return sorted((each.kind, *sorted(each.clips)) for each in garbage)


def stored(store, key="x"):
    """Every stored sequence: clip and first value, of all shards."""
    found = FeatureStore(store.path, verify="never")[key]
    values = []
    for name in found.ids():
        for place in found.index.places(name):
            got = found.sequence(place, name)
            values.append((name, float(got.features[0, 0])))
    return sorted(values)


def test_superseded_and_repeated_sequences_go_and_the_others_stay(store):
    (garbage,) = collect(store, grace=0)
    assert (garbage.kind, garbage.clips) == ("rows", ["a", "b", "c"])
    assert garbage.size == 3 * 3 * (2 * 4 + 16)  # 3 clips of 3 rows of 2 float32 and 2 float64
    assert stored(store) == [("a", 2.0), ("b", 2.0), ("c", 1.0), ("d", 1.0)]
    assert list(check_store(FeatureStore(store.path))) == []
    assert collect(store, grace=0) == []


def test_a_sequence_that_matches_the_clip_is_kept_even_if_it_is_older(store):
    store.record([clip("a", "old")])
    collect(store, grace=0)
    assert stored(store) == [("a", 1.0), ("b", 2.0), ("c", 1.0), ("d", 1.0)]


def test_replaced_shards_stay_for_readers_until_their_grace_is_over(store):
    shards = sorted((store["x"].folder / "shards").iterdir())
    collect(store)
    assert set(shards) < set((store["x"].folder / "shards").iterdir())
    assert collect(store) == []
    assert kinds(collect(store, grace=0)) == [("merged",)]
    assert len(stored(store)) == 4


def test_only_finding_changes_nothing(store):
    before = sorted(
        (p, p.stat().st_mtime_ns) for p in store.path.rglob("*") if p.is_file() and p.parent.name != "index"
    )
    assert list(find_garbage(FeatureStore(store.path)))
    after = sorted((p, p.stat().st_mtime_ns) for p in store.path.rglob("*") if p.is_file() and p.parent.name != "index")
    assert after == before


def test_sequences_that_may_match_again_are_kept(tmp_path):
    """Unknown clips, clips recorded without their media, and the newest where none fits."""
    store = FeatureStore.create(tmp_path / "features")
    found = store.open_set("x", {"reads": ["audio"]})
    for number, source in enumerate(("one", "two")):
        found.write([Entry(name, source, rows(number)) for name in ("unknown", "media away", "changed")])
    store.record([Clip("media away", tmp_path / "a.wav"), Clip("changed", tmp_path / "b.wav")])
    store.record([Clip("changed", tmp_path / "b.wav")], {tmp_path / "b.wav": "digest"})
    assert kinds(collect(store, grace=0)) == [("rows", "changed")]
    assert stored(store) == [
        ("changed", 1.0), ("media away", 0.0), ("media away", 1.0), ("unknown", 0.0), ("unknown", 1.0)
    ]  # fmt: skip


def test_merged_shards_go_like_after_a_pack_and_old_transcripts_with_them(store):
    list(pack_store(FeatureStore(store.path)))
    assert len(stored(store)) == 7 + 6  # the originals, and a, a, b, b, c, d merged
    collect(store, grace=0)
    assert stored(store) == [("a", 2.0), ("b", 2.0), ("c", 1.0), ("d", 1.0)]
    assert len(list((store["x"].folder / "shards").iterdir())) == 1


def test_a_damaged_copy_never_outlives_a_sound_one(store):
    newest = max((store["x"].folder / "shards").iterdir(), key=lambda p: p.stat().st_mtime_ns)
    import h5py

    with h5py.File(newest, "r+") as file:
        file["features"][0, 0] = 7.0
    with pytest.raises(StoreError, match=r"bytes of 'c' differ from those.*Repair the store first"):
        collect(store, grace=0)
    assert len(stored(store)) == 7


def test_loose_ends(store):
    found = store["x"]
    old, new = found.folder / "shards" / ".host-1-x.h5.tmp", found.folder / ".set-1.tmp"
    layers, recent = (store.path / "frozen" / "key" / f"00000{n}-00000{n}.npz" for n in (1, 2))
    for place in (old, new, store.path / "index" / "gone-12345678.index", layers, recent):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"half")
    os.utime(old, (0, 0))
    os.utime(layers, (0, 0))
    found.fail("d", store.source("d", ["words"]), "timeout", "by another run, after this one had stored it")
    found.fail("e", "s", "no-words", "why")
    (found.folder / "damaged").mkdir()
    (found.folder / "damaged" / "x.h5").write_bytes(b"junk")
    assert kinds(g for g in collect(store) if g.kind != "rows") == [
        ("aside",), ("failure", "d"), ("frozen",), ("index",), ("temporary",)
    ]  # fmt: skip
    assert recent.exists()
    assert [f.clip for f in found.failures()] == ["e"]
    assert new.exists()
    assert not old.exists()


def test_a_set_goes_only_by_name_or_for_a_higher_version(store):
    newer = store.open_set("x", {"reads": ["words"], "version": 2})
    (old,) = (each for each in store.sets() if each.key != newer.key)
    write(store, newer, "old", dict.fromkeys("abc", 3.0))
    assert not any(g.kind == "set" for g in find_garbage(store, superseded=True))  # it lacks d
    write(store, newer, "old", {"d": 3.0})
    assert not any(g.kind == "set" for g in find_garbage(store))
    (found,) = (g for g in find_garbage(store, superseded=True) if g.kind == "set")
    assert found.key == old.key
    with pytest.raises(MissingFeatures):
        list(find_garbage(store, sets=["y"]))
    (old.folder / "my notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"my notes\.txt is not featzoo's"):
        collect(store, sets=[old.key])
    (old.folder / "my notes.txt").unlink()
    collect(store, sets=[old.key])
    assert [each.key for each in FeatureStore(store.path).sets()] == [newer.key]
    assert not (store.path / ".deleted").exists()
    assert {value for _, value in stored(store)} == {3.0}


def test_the_command_shows_sizes_and_deletes_only_with_yes(store):
    def run(*words):
        return CliRunner().invoke(feat, ["gc", "-o", str(store.path), *words])

    done = run("--grace", "0")
    assert done.exit_code == 0
    assert "3 outdated or duplicate sequences" in done.output
    assert "Nothing was deleted: feat gc --yes" in done.output
    assert len(stored(store)) == 7
    assert "deleted" in run("--grace", "0", "--yes").output
    assert len(stored(store)) == 4
    assert "nothing to delete" in run().output


PROGRAM = """
import featzoo.cache.clip_table, pyarrow.parquet
from featzoo import FeatureStore
from featzoo.cache.gc import find_garbage, remove_garbage

def deed(path):
    store = FeatureStore(path)
    remove_garbage(store, list(find_garbage(store, grace=0)), grace=0)
    remove_garbage(store, list(find_garbage(store, ["y"])))
"""


@pytest.fixture
def processes():
    with forks(PROGRAM) as started:
        yield started


@pytest.mark.slow
@pytest.mark.faults
def test_killed_at_any_moment_it_loses_nothing(tmp_path, processes, count_faults):
    """SIGKILL while shards are written anew and a set is deleted."""
    store = FeatureStore.create(tmp_path / "f")
    found, other = store.open_set("x", {"reads": ["words"]}), store.open_set("y", {"reads": ["words"]})
    wanted = {f"c{i}": float(i) for i in range(60)}
    chance, interrupted = random.Random(5), 0
    for trial in range(8):
        for first in range(0, 60, 15):
            # Half of each shard is out of date, and so is all of the shards before.
            part = {name: wanted[name] for name in list(wanted)[first : first + 15]}
            write(store, found, f"old {trial}", dict.fromkeys(part, -1.0))
            write(store, found, f"new {trial}", part)
            other.write([Entry(name, "s", rows(0)) for name in part])
        processes.start(str(store.path))
        time.sleep(chance.uniform(0, 0.5))
        interrupted += processes.kill() == -signal.SIGKILL
        again = FeatureStore(store.path)
        assert again["x"].ids() == sorted(wanted)
        assert {name: float(again["x"][name].features[0, 0]) for name in wanted} == wanted
        assert list(check_store(again)) == []
        other = FeatureStore(store.path).open_set("y", {"reads": ["words"]})
    count_faults("SIGKILL: gc", trials=interrupted)
    assert interrupted >= 2
    collect(store, grace=0)
    assert stored(store) == sorted(wanted.items())
    assert not (store.path / ".deleted").exists()

"""`feat check` on files beside the shards: each damaged file is named, the rest goes on, a newer format stays."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import FeatureStore, documents
from featzoo.cache.check import check_store
from featzoo.cache.check_files import check_marker
from featzoo.cache.gc import find_garbage
from featzoo.cache.index_file import FORMAT as INDEX
from featzoo.cache.lock import lock_store
from featzoo.cache.shard import FORMAT
from featzoo.cli import feat
from featzoo.errors import NewerFormat, StoreError
from featzoo.media.clip import Clip


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    for number in range(9):  # as many shards as it takes to save an index
        made.add("x", {f"c{number}": np.full((3, 2), number, np.float32)})
    made.add("y", {"c0": np.ones((3, 2), np.float32)})
    made["x"].fail("lost", "", "no-audio", "it has no sound")
    made.record([Clip(f"c{number}", labels={"n": 1.0}) for number in range(9)])
    FeatureStore(made.path)["x"].index  # noqa: B018  (saves it)
    return made


PLACES = ["x-*/set.json", "clips/*.parquet", "x-*/failures/*.json", "STORE.json"]


def run(store, *words):
    done = CliRunner().invoke(feat, [*words, "-o", str(store.path)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.mark.parametrize("pattern", PLACES)
def test_a_damaged_file_is_named_and_set_aside(store, pattern):
    (place,) = store.path.glob(pattern)
    raw = bytearray(place.read_bytes())
    raw[len(raw) // 2] ^= 4
    place.write_bytes(raw)
    done = run(store, "check")
    assert (done.exit_code, place.is_file()) == (1, True)
    assert f"{place} is damaged" in done.output
    assert "1 damaged file" in done.output
    assert run(store, "check", "--repair").exit_code == 1
    assert list(store.path.rglob(f"damaged/{place.name}"))
    assert run(store, "check").exit_code == 0
    assert (FeatureStore(store.path)["y"]["c0"].features == 1).all()


def test_a_damaged_index_is_named_and_made_again(store):
    place = store.path / "index" / f"{store['x'].key}.index"
    sound = place.read_bytes()
    place.write_bytes(sound[:-1] + b"x")
    done = run(store, "check")
    assert done.exit_code == 1
    assert f"{place} is damaged: its sources and digests" in done.output
    place.write_bytes(sound[:200] + b"x" + sound[201:])
    assert f"{place} is damaged: its header" in run(store, "check", "--repair").output
    assert run(store, "check").exit_code == 0


def test_lists_go_on_past_damaged_files(store):
    for place in (next(store.path.glob("x-*/set.json")), next(store.path.glob("clips/*"))):
        place.write_bytes(b"junk")
    done = run(store, "ls")
    assert done.exit_code == 0
    assert "y-" in done.output
    assert done.output.count("is damaged") == 2
    assert run(store, "show", "y", "c0").exit_code == 0
    done = run(store, "show", "x")
    assert done.exit_code == 1
    assert "set.json is damaged" in done.output


def test_a_damaged_clip_does_not_stop_the_list_of_a_set(store):
    shard = store["x"].index.path(store["x"].place("c3").shard)
    raw = shard.read_bytes()
    at = raw.index(np.float32(3).tobytes() * 6)
    shard.write_bytes(raw[:at] + b"\1" + raw[at + 1 :])
    for words in (("ls", "x"), ("show", "x")):
        done = run(store, *words)
        assert done.exit_code == 0
        assert f"{shard}: the bytes of 'c3' differ" in done.output
    assert "c8  (3, 2)" in run(store, "ls", "x").output


def test_labels_are_never_read_around_a_damaged_table(store):
    """An older table may name the same clips with other labels."""
    store.record([Clip("c0", labels={"n": 2.0})])
    place = sorted((store.path / "clips").iterdir())[-1]
    place.write_bytes(place.read_bytes()[:-9])
    with pytest.raises(StoreError, match=f"{place.name} is damaged"):
        FeatureStore(store.path).clips()


def test_a_set_that_is_made_again_has_its_shards_back(store):
    next(store.path.glob("x-*/set.json")).write_bytes(b"junk")
    run(store, "check", "--repair")
    again = FeatureStore(store.path)
    again.add("x", {"new": np.zeros((3, 2), np.float32)})
    assert len(FeatureStore(store.path)["x"]) == 10


@pytest.fixture
def newer(store):
    """Files of a newer format: a shard, an index and a set."""
    found = store["x"]
    with h5py.File(found.folder / "shards" / "later.h5", "w") as file:
        file.attrs["format"] = 3
    (store.path / "index" / "z.index").write_text(f"featzoo-index {INDEX + 1} 10 10 0123456789abcdef\nwhatever")
    (store.path / "z-01234567").mkdir()
    documents.save(store.path / "z-01234567" / "set.json", {"format": 3, "what": "ever"})
    return store


def test_files_of_a_newer_format_are_called_newer_and_stay(newer):
    found = list(check_store(FeatureStore(newer.path), repair=True))
    assert sorted(each.place.name for each in found) == ["later.h5", "set.json", "z.index"]
    assert all(each.newer and each.place.is_file() for each in found)
    known = {"later.h5": FORMAT, "set.json": FORMAT, "z.index": INDEX}
    assert all(f"newer than {known[each.place.name]}, which" in each.problem for each in found)
    assert all("upgrade featzoo" in each.problem for each in found)
    done = run(newer, "check")
    assert done.exit_code == 1
    assert "0 damaged files" in done.output
    assert "damaged:" not in done.output


def test_the_rest_goes_on_beside_files_of_a_newer_format(newer):
    assert len(FeatureStore(newer.path)["x"]) == 9
    assert run(newer, "ls").output.count("newer than") == 2
    assert run(newer, "pack", "--grace", "0").exit_code == 0
    assert run(newer, "gc", "--yes", "--grace", "0").exit_code == 0
    assert (newer["x"].folder / "shards" / "later.h5").is_file()
    assert (FeatureStore(newer.path)["x"]["c7"].features == 7).all()


def test_a_newer_store_is_refused_and_not_repaired(store):
    documents.save(store.path / "STORE.json", {"format": 3, "what": "ever"})
    with pytest.raises(NewerFormat, match="upgrade featzoo"):
        FeatureStore(store.path)
    with pytest.raises(NewerFormat, match="upgrade featzoo"):
        list(check_marker(store.path, repair=True))
    assert json.loads((store.path / "STORE.json").read_text())["format"] == 3


def test_the_other_files_are_checked_beside_a_damaged_marker(store):
    (store.path / "STORE.json").write_bytes(b"junk")
    next(store.path.glob("x-*/set.json")).write_bytes(b"junk")
    done = run(store, "check")
    assert done.exit_code == 1
    assert "STORE.json" in done.output
    assert "set.json" in done.output
    assert "2 damaged files" in done.output


def test_a_store_with_a_damaged_set_is_not_locked(store):
    next(store.path.glob("x-*/set.json")).write_bytes(b"junk")
    with pytest.raises(StoreError, match=r"set\.json is damaged"):
        lock_store(FeatureStore(store.path))


def test_gc_keeps_the_index_of_a_set_whose_description_is_damaged(store):
    next(store.path.glob("x-*/set.json")).write_bytes(b"junk")
    assert [each for each in find_garbage(FeatureStore(store.path)) if each.kind == "index"] == []


def test_sets_whose_description_is_damaged_are_reported_by_a_merge(store, tmp_path):
    next(store.path.glob("x-*/set.json")).write_bytes(b"junk")
    done = CliRunner().invoke(feat, ["merge", str(store.path), "-o", str(tmp_path / "other")])
    assert done.exit_code == 1
    assert "set.json is damaged" in done.output
    assert FeatureStore(tmp_path / "other")["y"].ids() == ["c0"]

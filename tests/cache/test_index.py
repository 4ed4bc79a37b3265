"""The saved index is never trusted over the shards."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featzoo.cache import index_file
from featzoo.cache.id_table import IdTable
from featzoo.cache.index import SetIndex
from featzoo.cache.shard import Entry
from featzoo.cache.shard_writer import write_shard
from featzoo.cache.store import FeatureStore
from featzoo.sequence import FeatureSequence


@pytest.fixture
def found(tmp_path):
    """A set of twelve shards, so that its index has been saved."""
    store = FeatureStore.create(tmp_path / "features")
    for number in range(12):
        made = store.add("x", {f"c{number}": np.full((2, 3), number, np.float32)})
    FeatureStore(store.path)["x"].index  # noqa: B018  (saves it)
    return made


def saved(found):
    return found.store.path / "index" / f"{found.key}.index"


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


def test_a_clip_is_read_without_listing_the_others(found, monkeypatch):
    monkeypatch.setattr(IdTable, "ids", lambda table: pytest.fail("all ids were read"))
    again = reopened(found)
    assert (again["c7"].features == 7).all()
    assert "c8" in again
    assert "c12" not in again
    assert len(again) == 12


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


IDS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(st.tuples(IDS, st.sampled_from(["", "one", "two"])), min_size=1, max_size=5), max_size=6),
    st.sets(st.integers(0, 5)),
    st.sampled_from([0, 1, 100]),
)
def test_it_says_what_a_plain_loop_over_the_shards_says(tmp_path_factory, shards, lost, save_after):
    """Ids that are empty, repeated in a shard and across shards; saved or not, shards lost after or not."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "shards").mkdir()
    wanted, places = {}, []
    for number, clips in enumerate(shards):
        entries = [
            Entry(clip, source, FeatureSequence(np.zeros((n, 1)), np.zeros((n, 2)), ("x",)))
            for n, (clip, source) in enumerate(clips)
        ]
        places.append(write_shard(folder / "shards", "spec", entries, created=number + 1))
    SetIndex.SAVE_AFTER, before = save_after, SetIndex.SAVE_AFTER
    try:
        SetIndex(folder / "shards", folder / "x.index")
        assert (folder / "x.index").exists() == (len(shards) >= save_after)
        for number in lost & set(range(len(shards))):
            places[number].unlink()
        index = SetIndex(folder / "shards", folder / "x.index")
        again = SetIndex(folder / "shards", folder / "x.index")
    finally:
        SetIndex.SAVE_AFTER = before
    for number, clips in enumerate(shards):
        for n, (clip, source) in enumerate(clips):
            if number not in lost:
                wanted.setdefault(clip, []).append((places[number].name, n, source))
    for each in (index, again):
        assert each.ids() == sorted(wanted)
        assert len(each) == len(wanted)
        assert each.repeated() == sorted(clip for clip, copies in wanted.items() if len(copies) > 1)
        for clip, copies in wanted.items():
            assert [place[:3] for place in each.places(clip)] == copies
            assert sorted(each.sources(clip)) == sorted(source for _, _, source in copies)
            shard, number, _ = copies[-1]
            assert each.header(shard).offsets[number + 1] - each.header(shard).offsets[number] == number
            only = each.only(clip)
            assert (only is not None) == (len(copies) == 1)
            assert only is None or (only[0].name, only[2]) == (shard, number)


def test_sources_are_read_when_they_are_asked_for_even_if_the_saved_index_is_gone(found, monkeypatch):
    monkeypatch.setattr(index_file, "tables_of", lambda header: pytest.fail("a shard was read"))
    index = SetIndex(found.folder / "shards", saved(found))
    place = saved(found)
    place.unlink()
    assert {index.sources(f"c{n}")[0] for n in range(12)} == {""}
    monkeypatch.undo()
    index = reopened(found).index
    monkeypatch.setattr(index_file.os, "pread", lambda *a: (_ for _ in ()).throw(OSError(116, "Stale file handle")))
    assert index.places("c3")[0].digest == found.place("c3").digest


def test_new_shards_of_a_slow_clock_count_as_newer(found):
    """Only the order matters; a process that sees a shard from the future goes beyond it."""
    ahead = FeatureSequence(np.full((1, 3), 7, np.float32), np.zeros((1, 2)), found.names)
    future = 2**62
    write_shard(found.folder / "shards", found.digest, [Entry("c1", "", ahead)], created=future)
    found.store.add("x", {"c1": np.full((1, 3), 8, np.float32)})
    again = reopened(found)
    assert again["c1"].features[0, 0] == 8
    assert again.index.newest().created == future + 1

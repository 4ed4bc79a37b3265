"""The clips of all runs, merged: the newest row of a clip wins, and nothing of it is lost."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.cache.clip_table import Record, read_records, same, tables, write_records
from featzoo.cache.store import FeatureStore
from featzoo.errors import StoreError
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
SECONDS = st.one_of(st.floats(0, 1e5), st.just(math.nan))
CLIPS = st.builds(
    Clip,
    id=TEXT,
    path=st.one_of(st.none(), st.just(Path("/media/ä b/c.mp4"))),
    start=st.floats(0, 1e5),
    end=st.one_of(st.none(), st.floats(0, 1e5)),
    words=st.lists(st.builds(Word, TEXT, SECONDS, SECONDS), max_size=3).map(tuple),
    split=st.sampled_from([None, "train", "valid", "test"]),
    labels=st.dictionaries(TEXT, st.floats(allow_nan=False), max_size=3),
    categories=st.dictionaries(TEXT, TEXT, max_size=3),
    problem=TEXT,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(CLIPS, min_size=1, max_size=4, unique_by=lambda clip: clip.id), TEXT)
def test_round_trip(tmp_path_factory, clips, media):
    folder = tmp_path_factory.mktemp("records")
    write_records(folder, [Record(clip, media) for clip in clips])
    found = read_records(tables(folder))
    assert list(found) == [clip.id for clip in clips]
    for clip in clips:
        assert same(found[clip.id], Record(clip, media))


def test_the_newest_wins_and_unchanged_clips_are_not_written_again(tmp_path):
    store = FeatureStore.create(tmp_path / "features")
    old, kept = Clip("a", labels={"x": 1.0}), Clip("b", words=(Word("so"),))
    store.record([old, kept])
    store.record([old, kept])
    assert len(list((store.path / "clips").iterdir())) == 1
    store.record([Clip("a", labels={"x": 2.0}), kept])
    again = FeatureStore(store.path)
    assert again.clips()["a"].labels == {"x": 2.0}
    assert again.clip_ids() == ["a", "b"]
    assert len(again.records()) == 2


def test_names_and_splits_that_a_run_does_not_give_are_kept(tmp_path):
    store = FeatureStore.create(tmp_path / "features")
    store.record([Clip("a", split="train", labels={"x": 1.0}, categories={"speaker": "03", "mood": "sad"})])
    store.record([Clip("a", labels={"mood": 0.5}, categories={"emotion": "joy"})])
    clip = FeatureStore(store.path).clips()["a"]
    assert clip.split == "train"
    assert (clip.labels, clip.categories) == ({"mood": 0.5}, {"speaker": "03", "emotion": "joy"})


def test_a_damaged_table_is_named(tmp_path):
    write_records(tmp_path, [Record(Clip("a"), "")])
    (tmp_path / "0-x.parquet").write_bytes(b"junk")
    with pytest.raises(StoreError, match=r"0-x\.parquet is damaged"):
        read_records(tables(tmp_path))

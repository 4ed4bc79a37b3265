"""Content that two splits share, compared with every pair of clips."""

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo.cache.clip_table import Record
from featzoo.cache.duplicates import across_splits
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of

SEGMENTS = st.one_of(
    st.just((0.0, None)), st.tuples(st.integers(0, 4), st.integers(1, 3)).map(lambda x: (x[0], sum(x)))
)
CLIPS = st.tuples(SEGMENTS, st.sampled_from([None, "train", "valid", "test"]), st.sampled_from(["", "x", "y"]))


def overlap(one, other):
    ends = [float("inf") if end is None else end for _, end in (one, other)]
    return max(one[0], other[0]) < min(ends)


@given(st.lists(CLIPS, max_size=6))
def test_a_split_that_shares_content_with_another_is_always_found(given_clips):
    records = {
        str(n): Record(Clip(str(n), start=a, end=b, split=split), media)
        for n, ((a, b), split, media) in enumerate(given_clips)
    }
    expected = set()
    for (_, (one, media)), (_, (other, other_media)) in combinations(records.items(), 2):
        together = media and media == other_media and overlap((one.start, one.end), (other.start, other.end))
        if together and one.split and other.split and one.split != other.split:
            expected |= {(media, frozenset((one.split, other.split))), one.id, other.id}
    found = across_splits(records)
    for pair in found:
        assert {(records[pair.one].media, frozenset((pair.split, pair.other_split))), pair.one, pair.other} <= expected
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("I really liked this film", None, ["'a' (train) and 'b' (test)"]),
        ("thank you", None, []),  # alike by chance
        ("I really liked this film", Path("film.mp4"), []),  # the media count, and they differ
    ],
)
def test_clips_that_are_text_alone_are_compared_by_their_text(text, path, found):
    records = {
        name: Record(Clip(name, path, words=words_of(text), split=split), name if path else "")
        for name, split in (("a", "train"), ("b", "test"))
    }
    assert list(map(str, across_splits(records))) == found


def test_a_pair_says_which_clips_of_which_splits():
    records = {name: Record(Clip(name, split=split), "x") for name, split in (("a", "train"), ("b", "test"))}
    assert list(map(str, across_splits(records))) == ["'a' (train) and 'b' (test)"]

"""Splits by group: no group spans two, the shares are met, and the draw depends on the seed alone."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo import Clip
from featzoo.errors import InvalidClips, InvalidOption
from featzoo.zoo.data.group_split import Shares, split_by_group


def speakers(sizes, classes=("a", "b")):
    """Clips of speakers with these numbers of clips, whose classes take turns."""
    return {
        f"{speaker:02}/{n:03}": Clip(
            f"{speaker:02}/{n:03}", categories={"speaker": f"s{speaker:02}", "emotion": classes[n % len(classes)]}
        )
        for speaker, size in enumerate(sizes)
        for n in range(size)
    }


def splits(made):
    return {name: clip.split for name, clip in made.items()}


@given(st.lists(st.integers(1, 9), min_size=3, max_size=12), st.integers(0, 99))
def test_no_speaker_is_in_two_splits_and_no_split_is_empty(sizes, seed):
    made = split_by_group(speakers(sizes), "speaker", seed=seed, stratify="emotion")
    held = defaultdict(set)
    for clip in made.values():
        held[clip.categories["speaker"]].add(clip.split)
    assert all(len(found) == 1 for found in held.values())
    assert {clip.split for clip in made.values()} == {"train", "valid", "test"}


def test_shares_that_whole_groups_allow_are_met_exactly():
    made = split_by_group(speakers([6] * 10), "speaker", Shares(0.2, 0.1))
    assert Counter(splits(made).values()) == {"train": 42, "test": 12, "valid": 6}
    single = split_by_group(speakers([100]), "clip", Shares(0.3, 0))
    assert Counter(splits(single).values()) == {"train": 70, "test": 30}


def test_classes_are_shared_out_as_asked():
    """Half of the speakers are all angry: without stratification some draws give test no angry clip."""
    clips = {
        f"{s}/{n}": Clip(f"{s}/{n}", categories={"speaker": str(s), "emotion": "anger" if s < 5 else "joy"})
        for s in range(10)
        for n in range(4)
    }
    for seed in range(5):
        made = split_by_group(clips, "speaker", stratify="emotion", seed=seed)
        assert Counter((clip.split, clip.categories["emotion"]) for clip in made.values()) == {
            ("train", "anger"): 12, ("train", "joy"): 12, ("valid", "anger"): 4, ("valid", "joy"): 4,
            ("test", "anger"): 4, ("test", "joy"): 4,
        }  # fmt: skip


def test_numbers_are_stratified_in_five_parts():
    values = np.random.default_rng(0).normal(size=200)
    clips = {f"{n:03}": Clip(f"{n:03}", labels={"sentiment": float(v)}) for n, v in enumerate(values)}
    made = split_by_group(clips, stratify="sentiment")
    edges = np.quantile(values, [0.2, 0.4, 0.6, 0.8])
    test = [clip.labels["sentiment"] for clip in made.values() if clip.split == "test"]
    assert np.bincount(np.searchsorted(edges, test)).tolist() == [8] * 5


def test_the_seed_alone_decides_the_draw():
    clips = speakers([3] * 12)
    turned = dict(reversed(clips.items()))
    assert splits(split_by_group(clips, seed=4)) == splits(split_by_group(turned, seed=4))
    assert len({tuple(splits(split_by_group(clips, seed=seed)).values()) for seed in range(5)}) > 1


def test_speakers_are_the_default_if_every_clip_has_one():
    clips = speakers([5] * 5)
    assert splits(split_by_group(clips)) == splits(split_by_group(clips, "speaker"))
    clips["x"] = Clip("x")
    assert splits(split_by_group(clips)) == splits(split_by_group(clips, "clip"))
    with pytest.raises(InvalidClips, match="1 clip without a speaker: x"):
        split_by_group(clips, "speaker")


def test_what_cannot_be_split_is_refused():
    with pytest.raises(InvalidOption, match="2 speakers cannot be divided into train, valid, test"):
        split_by_group(speakers([5, 5]))
    with pytest.raises(InvalidOption, match=r"column of names 'speakers': did you mean 'speaker'\?"):
        split_by_group(speakers([5] * 3), "speakers")
    with pytest.raises(InvalidOption, match=r"no clip has the label 'emotio': did you mean 'emotion'\?"):
        split_by_group(speakers([5] * 3), stratify="emotio")
    with pytest.raises(InvalidOption, match=r"got 0\.6 and 0\.5"):
        Shares(0.6, 0.5)

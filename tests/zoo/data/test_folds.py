"""Splits that a recipe makes: by groups, in folds, by seed."""

from collections import Counter
from dataclasses import replace

import pytest

from featzoo.errors import InvalidClips, InvalidOption
from featzoo.media.clip import Clip
from featzoo.zoo.data.folds import fold_names, with_groups, with_splits
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.split_rule import SplitRule
from featzoo.zoo.target import Target

EMOTIONS = ("anger", "joy", "sadness")


def corpus(speakers=10, clips=6):
    """Clips with the speakers s00, s01 ..., each with every emotion."""
    return {
        f"s{s:02d}-{n}": Clip(f"s{s:02d}-{n}", categories={"speaker": f"s{s:02d}", "emotion": EMOTIONS[n % 3]})
        for s in range(speakers)
        for n in range(clips)
    }


def recipe(**rule):
    target = Target(("emotion",), kind="class")
    return Recipe(head="svm", inputs={}, target=target, name="mine", split=SplitRule(**rule))


def held(clips, split, column="speaker"):
    return {clip.categories[column] for clip in clips.values() if clip.split == split}


def test_without_a_rule_the_splits_are_those_of_the_store():
    clips = {name: replace(clip, split="test") for name, clip in corpus().items()}
    assert with_splits(clips, recipe()) == clips


def test_the_clips_of_a_speaker_are_in_one_split():
    found = with_splits(corpus(), recipe(by="speaker", test=0.3, dev=0.25))
    splits = [held(found, split) for split in ("train", "valid", "test")]
    assert [len(names) for names in splits] == [5, 2, 3]
    assert len(set.union(*splits)) == 10


@pytest.mark.parametrize("folds", [5, "leave-one-out"])
def test_every_speaker_is_in_the_test_split_of_one_fold(folds):
    names = fold_names(corpus(), recipe(folds=folds))
    tested = [held(with_splits(corpus(), recipe(folds=folds, fold=fold)), "test") for fold in range(1, len(names) + 1)]
    assert Counter(name for one in tested for name in one) == dict.fromkeys((f"s{s:02d}" for s in range(10)), 1)
    assert len(names) == (5 if folds == 5 else 10)


def test_folds_that_are_not_shuffled_hold_neighbours():
    found = with_splits(corpus(), recipe(folds=5, fold=2, shuffle=False))
    assert held(found, "test") == {"s02", "s03"}


def test_folds_of_single_clips_have_every_class_alike():
    found = with_splits(corpus(), recipe(by="clip", folds=5, fold=3))
    tested = Counter(clip.categories["emotion"] for clip in found.values() if clip.split == "test")
    assert tested == dict.fromkeys(EMOTIONS, 4)


def test_splits_depend_on_the_seed_alone():
    backwards = dict(reversed(corpus().items()))
    one, same = (with_splits(c, recipe(by="speaker", seed=3)) for c in (corpus(), backwards))
    assert {name: clip.split for name, clip in one.items()} == {name: clip.split for name, clip in same.items()}
    other = with_splits(corpus(), recipe(by="speaker", seed=4))
    assert held(one, "test") != held(other, "test") or held(one, "valid") != held(other, "valid")


def test_folds_are_by_speaker_where_every_clip_has_one():
    assert with_groups(recipe(folds=5), corpus()).split.by == "speaker"
    without = {name: replace(clip, categories={"emotion": "joy"}) for name, clip in corpus().items()}
    assert with_groups(recipe(folds=5), without).split.by == "clip"


def test_no_dev_split_is_made_if_none_is_asked_for():
    assert not held(with_splits(corpus(), recipe(folds=5, fold=1, dev=0.0)), "valid")


def test_a_group_without_a_label_is_in_no_split():
    clips = corpus() | {"x": Clip("x", categories={"speaker": "other"})}
    assert with_splits(clips, recipe(by="speaker"))["x"].split == ""


def test_what_cannot_be_split_is_refused():
    with pytest.raises(InvalidOption, match=r"no clip has a column of names 'speakr': did you mean 'speaker'"):
        with_splits(corpus(), recipe(by="speakr"))
    with pytest.raises(InvalidOption, match="10 speakers: too few for 11 folds"):
        with_splits(corpus(), recipe(folds=11, fold=1))
    with pytest.raises(InvalidOption, match="1 speaker: too few for train"):
        with_splits(corpus(speakers=1), recipe(by="speaker"))
    with pytest.raises(InvalidOption, match=r"choose one with split\.fold"):
        with_splits(corpus(), recipe(folds=5))
    lacking = corpus() | {"y": Clip("y", categories={"emotion": "joy"})}
    with pytest.raises(InvalidClips, match="1 clip without a speaker: y"):
        with_splits(lacking, recipe(by="speaker"))


@pytest.mark.parametrize(
    "wrong", [{"folds": 1}, {"folds": "five"}, {"fold": 1}, {"folds": 3, "fold": 4}, {"test": 1.0}, {"dev": -0.1}]
)
def test_a_rule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must be|needs folds"):
        SplitRule(**wrong)


@pytest.mark.parametrize("rule", [{"by": "clip"}, {"by": "clip", "folds": 3}, {"folds": "leave-one-out"}])
def test_clips_without_labels_are_refused_with_the_way_to_give_them(rule):
    bare = {name: Clip(name) for name in corpus()}
    split = fold_names if "folds" in rule else with_splits
    with pytest.raises(InvalidOption, match=r"no clip has a label: .*labels\.csv.*`feat label`"):
        split(bare, recipe(**rule))

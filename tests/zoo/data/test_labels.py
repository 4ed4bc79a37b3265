"""Targets from clips' labels: classes by name, numbers within their range, and what does not fit refused."""

import math

import pytest

from featzoo.errors import InvalidClips, InvalidOption
from featzoo.media.clip import Clip
from featzoo.zoo.data.labels import check_labels, targets_of, with_classes
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.target import Target


def recipe(*columns, **fields):
    return Recipe("tfn", {}, Target(columns, **fields), name="mine")


def clips(*labels, split="train", column="emotion"):
    """Clips with a class each (text) or a number; None for none."""
    found = {}
    for i, label in enumerate(labels):
        numbers = {} if label is None or isinstance(label, str) else {column: float(label)}
        names = {column: label} if isinstance(label, str) else {}
        found[f"c{i}"] = Clip(f"c{i}", split=split, labels=numbers, categories=names)
    return found


def test_classes_are_the_names_of_the_splits_in_order():
    given = clips("joy", "anger", None, "joy", "") | {"x": Clip("x", categories={"emotion": "other"})}
    named = with_classes(recipe("emotion", kind="class"), given)
    assert named.target.classes == ("anger", "joy")
    targets, without = targets_of(given, named, train=False)
    assert (targets, without) == ({"c0": [1.0], "c1": [0.0], "c3": [1.0]}, 3)
    assert with_classes(recipe("emotion", kind="class"), clips("b", "a", split=None)).target.classes == ("a", "b")


def test_whole_numbers_are_classes_in_their_order():
    named = with_classes(recipe("emotion", kind="class"), clips(10, 2, -1))
    assert named.target.classes == ("-1", "2", "10")
    with pytest.raises(InvalidClips, match=r"emotion is 1\.5, and a class is a name or a whole number"):
        with_classes(recipe("emotion", kind="class"), clips(1, 1.5))


def test_a_recipe_may_choose_and_order_the_classes():
    wanted = recipe("emotion", kind="class", classes=("joy", "anger"))
    assert with_classes(wanted, clips("anger", "fear")) is wanted
    assert targets_of(clips("anger", "fear", "joy"), wanted, train=True)[0] == {"c0": [1.0], "c2": [0.0]}


def test_fewer_than_two_classes_are_refused():
    with pytest.raises(InvalidOption, match="all clips have the class joy: expected two or more"):
        with_classes(recipe("emotion", kind="class"), clips("joy", "joy"))
    other = {"x": Clip("x", categories={"emotion": "joy"})}
    with pytest.raises(InvalidOption, match="no clip of a split has it"):
        with_classes(recipe("emotion", kind="class"), clips(None) | other)


def test_names_are_refused_as_numbers_with_what_to_write():
    with pytest.raises(InvalidOption, match=r"'emotion' as a number, but it holds names \(anger, joy\)"):
        check_labels(recipe("emotion"), clips("joy", "anger"))
    with pytest.raises(InvalidOption, match="needs a column of numbers for each, but 'emotion' holds names"):
        check_labels(recipe("emotion", kind="classes"), clips("joy", "anger"))
    with pytest.raises(InvalidOption, match="'emotino', which no clip has as a label: did you mean 'emotion'"):
        check_labels(recipe("emotino", kind="class"), clips("joy", "anger"))


def test_several_classes_apply_above_0():
    given = {
        "a": Clip("a", labels={"happy": 0.33, "sad": 0.0}),
        "b": Clip("b", labels={"happy": 3.0, "sad": -1.0}),
        "c": Clip("c", labels={"happy": 1.0}),
    }
    targets, without = targets_of(given, recipe("happy", "sad", kind="classes"), train=False)
    assert (targets, without) == ({"a": [1.0, 0.0], "b": [1.0, 0.0]}, 1)


def test_train_clips_without_labels_are_kept_where_the_recipe_asks_for_them():
    wanted = recipe("emotion", kind="class", classes=("joy", "anger"), unlabelled=True)
    targets, _ = targets_of(clips("joy", None), wanted, train=True)
    assert targets["c0"] == [0.0]
    assert math.isnan(targets["c1"][0])
    assert targets_of(clips("joy", None), wanted, train=False) == ({"c0": [0.0]}, 1)

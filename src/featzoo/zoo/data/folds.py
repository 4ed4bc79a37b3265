"""Splits that a recipe makes from the clips' groups, such as their speakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from featzoo.errors import InvalidOption
from featzoo.wording import count
from featzoo.zoo.data.groups import default_column, groups_of
from featzoo.zoo.data.labels import check_labels
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.split_rule import ALONE

if TYPE_CHECKING:
    from featzoo.media.clip import Clip

Clips = Mapping[str, "Clip"]


def with_groups(recipe: Recipe, clips: Clips) -> Recipe:
    """The recipe with the column that its splits are made by, if it makes splits and does not name the column."""
    if recipe.split.published or recipe.split.by:
        return recipe
    labelled = [clip for clip in clips.values() if _labelled(clip, recipe)]
    return replace(recipe, split=replace(recipe.split, by=default_column(labelled)))


def with_splits(clips: Clips, recipe: Recipe) -> dict[str, Clip]:
    """The clips, each with the split that the recipe gives it; those without a label may have none.

    Raises:
        InvalidOption: If the recipe has several folds and chooses none, no clip has the label, or there are too few
            groups.
        InvalidClips: If a labelled clip has no group.
    """
    rule = recipe.split
    if rule.published:
        return dict(clips)
    if rule.all_folds:
        raise InvalidOption(
            f"recipe {recipe.name} has folds (split.folds = {rule.folds}): train all of them with zoo train, or choose "
            "one with split.fold"
        )
    check_labels(recipe, clips)
    recipe = with_groups(recipe, clips)
    members = _members(clips, recipe)
    test = set(_folds(members, clips, recipe)[max(rule.fold, 1) - 1])
    rest = [name for name in _order(members, clips, recipe) if name not in test]
    number = max(1, round(rule.dev * len(rest))) if rule.dev else 0
    if len(rest) <= number:
        raise InvalidOption(f"recipe {recipe.name}: {_groups(recipe, members)}: too few for train, dev and test")
    dev = set(_spaced(rest, number))
    split_of = {name: "test" if name in test else "valid" if name in dev else "train" for name in members}
    splits = {clip: split_of[name] for name, held in members.items() for clip in held}
    return {i: replace(clip, split=splits.get(i, "")) for i, clip in clips.items()}


def fold_names(clips: Clips, recipe: Recipe) -> list[str]:
    """The name of each fold: that of its only group, or its number.

    Raises:
        InvalidOption: If no clip has the label, or there are too few groups.
        InvalidClips: If a labelled clip has no group.
    """
    check_labels(recipe, clips)
    recipe = with_groups(recipe, clips)
    folds = _folds(_members(clips, recipe), clips, recipe)
    return [fold[0] if len(fold) == 1 else str(number) for number, fold in enumerate(folds, start=1)]


def _folds(members: Mapping[str, list[str]], clips: Clips, recipe: Recipe) -> list[Sequence[str]]:
    """The groups of each fold's test split."""
    rule, order = recipe.split, _order(members, clips, recipe)
    if isinstance(rule.folds, str):  # leave-one-out
        return [(name,) for name in sorted(members)]
    if not rule.folds:
        return [_spaced(order, max(1, round(rule.test * len(order))))]
    if rule.folds > len(order):
        raise InvalidOption(f"recipe {recipe.name}: {_groups(recipe, members)}: too few for {rule.folds} folds")
    if rule.shuffle:
        return [order[number :: rule.folds] for number in range(rule.folds)]
    return [part.tolist() for part in np.array_split(np.array(sorted(members)), rule.folds)]


def _order(members: Mapping[str, list[str]], clips: Clips, recipe: Recipe) -> list[str]:
    """The groups in an order drawn by the seed; single clips by class, so that evenly spaced ones have all classes."""
    names = sorted(members)
    drawn = [names[i] for i in np.random.default_rng(recipe.split.seed).permutation(len(names))]
    if recipe.split.by != ALONE or recipe.target.kind != "class":
        return drawn
    column = recipe.target.columns[0]
    return sorted(drawn, key=lambda name: clips[name].categories.get(column) or str(clips[name].labels.get(column)))


def _spaced(names: Sequence[str], number: int) -> list[str]:
    """`number` evenly spaced ones."""
    return [names[int((i + 0.5) * len(names) / number)] for i in range(number)]


def _members(clips: Clips, recipe: Recipe) -> dict[str, list[str]]:
    """Group to its clips, for the groups in which a clip is labelled."""
    return groups_of(clips, recipe.split.by, (i for i, clip in clips.items() if _labelled(clip, recipe)))


def _labelled(clip: Clip, recipe: Recipe) -> bool:
    columns, classes = recipe.target.columns, recipe.target.classes
    if classes and recipe.target.kind == "class" and columns[0] in clip.categories:
        return clip.categories[columns[0]] in classes
    return all(name in clip.labels or clip.categories.get(name) for name in columns)


def _groups(recipe: Recipe, members: Mapping[str, list[str]]) -> str:
    return count(len(members), recipe.split.by)

"""The targets of clips: numbers, the class of each clip, or several classes at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from featzoo.errors import InvalidClips, InvalidOption, suggestion
from featzoo.vocabulary import split_name
from featzoo.wording import some
from featzoo.zoo.data.neighbours import member
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.target import Target

if TYPE_CHECKING:
    from featzoo.media.clip import Clip

Clips = Mapping[str, "Clip"]


def with_classes(recipe: Recipe, clips: Clips) -> Recipe:
    """The recipe, whose labels exist, with the names of its classes if it has a `class` and does not name them.

    Args:
        recipe: The recipe.
        clips: The store's clips; of those in a split, if any are, every class counts.

    Raises:
        InvalidOption: If no clip has the label, its values are not classes, or there is only one.
    """
    target = recipe.target
    check_labels(recipe, clips)
    if target.kind != "class" or target.classes:
        return recipe
    column = target.columns[0]
    every = list(clips.values())
    chosen = [clip for clip in every if split_name(clip.split)] or every
    found = {name for clip in chosen if (name := class_of(clip, column))}
    if len(found) < 2:
        held = f"all clips have the class {', '.join(found)}" if found else "no clip of a split has it"
        raise InvalidOption(
            f"recipe {recipe.name} learns the class '{column}', but {held}: expected two or more classes"
        )
    return replace(recipe, target=replace(target, classes=tuple(sorted(found, key=_order))))


def class_of(clip: Clip, column: str) -> str:
    """A clip's class: the name in a column, or its whole number as text; empty if it has none.

    Raises:
        InvalidClips: If the label is a number with decimals.
    """
    if column in clip.categories:
        return clip.categories[column]
    value = clip.labels.get(column, math.nan)
    if math.isnan(value):
        return ""
    if not float(value).is_integer():
        raise InvalidClips(
            f"clip '{clip.id}': {column} is {value:g}, and a class is a name or a whole number: set target.kind to "
            '"number"'
        )
    return f"{value:.0f}"


def check_labels(recipe: Recipe, clips: Clips) -> None:
    """Check that some clip has each label that the recipe learns, as a number or a class.

    Raises:
        InvalidOption: If none has, or it holds names where numbers are needed.
    """
    numbers = {name for clip in clips.values() for name in clip.labels}
    names = {name for clip in clips.values() for name in clip.categories}
    target = recipe.target
    if not (numbers or names):
        raise InvalidOption(
            f"recipe {recipe.name} learns '{target.columns[0]}', but no clip has a label: extract them again with a "
            "labels.csv in their folder, or let `feat label` read the labels from the names of the files"
        )
    for column in target.columns:
        if column in numbers or (column in names and target.kind == "class"):
            continue
        if column not in names:
            raise InvalidOption(
                f"recipe {recipe.name} learns '{column}', which no clip has as a label"
                f"{suggestion(column, numbers | names)}. Choose with target.columns"
            )
        held = some(sorted({clip.categories[column] for clip in clips.values() if clip.categories.get(column)}))
        if target.kind == "classes":
            raise InvalidOption(
                f"recipe {recipe.name} learns several classes at once, which needs a column of numbers for each, but "
                f"'{column}' holds names ({held}): set target.kind to \"class\""
            )
        raise InvalidOption(
            f"recipe {recipe.name} learns '{column}' as a number, but it holds names ({held}): set target.kind to "
            '"class", or choose a column of numbers with target.columns'
        )


def targets_of(clips: Clips, recipe: Recipe, train: bool) -> tuple[dict[str, list[float]], int]:
    """Clip id to its targets, and the number of clips that lack one or whose labels are not used in training.

    A `class` is one number, that of the class in `target.classes`.

    Raises:
        InvalidClips: If a label is out of the target's range, or not a class.
    """
    target = recipe.target
    languages = target.languages if train else ()
    hidden = {i for i in clips if languages and member(i)[1] not in languages}
    targets = {}
    for i, clip in clips.items():
        values = _class(clip, target) if target.kind == "class" else _numbers(clip, recipe)
        if i not in hidden and not any(map(math.isnan, values)):
            targets[i] = values
        elif train and target.unlabelled:
            targets[i] = [math.nan] * len(values)
    return targets, len(clips) - len(targets)


def _class(clip: Clip, target: Target) -> list[float]:
    name = class_of(clip, target.columns[0])
    return [float(target.classes.index(name)) if name in target.classes else math.nan]


def _numbers(clip: Clip, recipe: Recipe) -> list[float]:
    limits, values = recipe.target.range, []
    for name in recipe.target.columns:
        value = float(clip.labels.get(name, math.nan))
        if math.isinf(value) or (limits and (value < limits[0] or value > limits[1])):
            allowed = f"{limits[0]:g} to {limits[1]:g}" if limits else "finite"
            raise InvalidClips(
                f"clip '{clip.id}': {name} is {value:g}; recipe {recipe.name} expects {allowed}: correct the label, or "
                "widen the recipe's target.range"
            )
        if recipe.target.kind == "classes" and not math.isnan(value):
            value = float(value > 0)
        values.append(value)
    return values


def _order(name: str) -> tuple[float, str]:
    """Classes that are whole numbers by value, others by name."""
    return (float(name), name) if name.lstrip("-").isdecimal() else (math.inf, name)

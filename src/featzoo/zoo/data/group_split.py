"""Splits of a store's clips in which no group, such as a speaker, is in two splits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from featzoo.errors import InvalidOption, suggestion
from featzoo.sequence import Array
from featzoo.vocabulary import SPLITS
from featzoo.wording import count
from featzoo.zoo.data.groups import default_column, groups_of

if TYPE_CHECKING:
    from featzoo.media.clip import Clip

# Orders of the groups that are tried; the splits that are nearest to the wanted shares are kept.
DRAWS = 20
# Numbers with more values than this are divided into as many parts of equal size as PARTS.
VALUES, PARTS = 20, 5


@dataclass(frozen=True)
class Shares:
    """The wanted parts of all clips in test and dev (valid); the rest is train.

    Attributes:
        test: From 0 to below 1.
        dev: From 0 to below 1.
    """

    test: float = 0.2
    dev: float = 0.2

    def __post_init__(self) -> None:
        if min(self.test, self.dev) < 0 or not 0 < self.test + self.dev < 1:
            raise InvalidOption(
                f"the shares of test and dev must be at least 0, and their sum above 0 and below 1; got {self.test:g} "
                f"and {self.dev:g}"
            )

    @property
    def wanted(self) -> dict[str, float]:
        """Split to its share, for splits that get clips."""
        shares = dict(zip(SPLITS, (1 - self.test - self.dev, self.dev, self.test), strict=True))
        return {name: share for name, share in shares.items() if share > 0}


def split_by_group(
    clips: Mapping[str, Clip], by: str = "", shares: Shares | None = None, stratify: str = "", seed: int = 1
) -> dict[str, Clip]:
    """The clips, each in a split. The same clips and arguments always give the same splits.

    Args:
        clips: Clips by id.
        by: A column of names, whose clips stay together, or `clip` for single clips. By default `speaker` if every clip
            has one, else `clip`.
        shares: The wanted shares, which are met as nearly as groups allow.
        stratify: A label whose classes shall have these shares too. Numbers with over 20 values are divided into five
            parts.
        seed: Of the draw.

    Raises:
        InvalidClips: If a clip has no group.
        InvalidOption: If no clip has the label or the column, or there are fewer groups than splits.
    """
    by = by or default_column(clips.values())
    groups = groups_of(clips, by, clips)
    wanted = (shares or Shares()).wanted
    if len(groups) < len(wanted):
        raise InvalidOption(f"{count(len(groups), by)} cannot be divided into {', '.join(wanted)}")
    classes = _classes(clips, stratify)
    order = sorted(set(classes.values()))
    names = sorted(groups)
    sizes = np.zeros((len(names), len(order)))  # (G, C) clips of each class
    for row, name in enumerate(names):
        for clip_id in groups[name]:
            sizes[row, order.index(classes[clip_id])] += 1
    chosen = _best_of_draws(sizes, np.array(list(wanted.values())), np.random.default_rng(seed))
    splits = {
        clip_id: list(wanted)[int(split)] for name, split in zip(names, chosen, strict=True) for clip_id in groups[name]
    }
    return {clip_id: replace(clip, split=splits[clip_id]) for clip_id, clip in clips.items()}


def _classes(clips: Mapping[str, Clip], column: str) -> dict[str, str]:
    """Clip id to its class in a column: a name, a number as text, or a fifth of the numbers; empty without a label."""
    if not column:
        return dict.fromkeys(clips, "")
    names = {clip_id: name for clip_id, clip in clips.items() if (name := clip.categories.get(column))}
    numbers = {
        clip_id: value for clip_id, clip in clips.items() if math.isfinite(value := clip.labels.get(column, math.nan))
    }
    if not names and not numbers:
        known = {name for clip in clips.values() for name in (*clip.labels, *clip.categories)}
        raise InvalidOption(f"no clip has the label '{column}'{suggestion(column, known)}")
    if len(set(numbers.values())) > VALUES:
        edges = np.quantile(list(numbers.values()), np.arange(1, PARTS) / PARTS)
        parts = {clip_id: str(int(np.searchsorted(edges, value))) for clip_id, value in numbers.items()}
    else:
        parts = {clip_id: f"{value:g}" for clip_id, value in numbers.items()}
    return {clip_id: names.get(clip_id) or parts.get(clip_id, "") for clip_id in clips}


def _best_of_draws(sizes: Array, shares: Array, rng: np.random.Generator) -> Array:
    """(G,) numbers of the splits: of several random orders of the groups, that which comes nearest to the shares."""
    target = shares[:, None] * sizes.sum(axis=0)  # (S, C)
    weights = 1 / np.maximum(sizes.sum(axis=0), 1)  # a rare class counts as much as a frequent one
    best, least = np.empty(0), math.inf
    for _ in range(DRAWS if len(sizes) < 5000 else 1):
        chosen, held = _fill(sizes, target, weights, rng.permutation(len(sizes)))
        error = float(((held - target) ** 2 * weights).sum())
        if error < least - 1e-9:
            best, least = chosen, error
    return best


def _fill(sizes: Array, target: Array, weights: Array, order: Sequence[int] | Array) -> tuple[Array, Array]:
    """Give each group in turn to the split that lacks most of its classes; every split gets one.

    Returns:
        (G,) numbers of the splits, and (S, C) numbers of clips that each split has.
    """
    chosen, held = np.zeros(len(sizes), dtype=np.int64), np.zeros_like(target)
    empty = set(range(len(target)))
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        lacks = ((target - held) * sizes[group] * weights).sum(axis=1)  # (S,)
        if left <= len(empty):
            lacks[[split for split in range(len(target)) if split not in empty]] = -math.inf
        split = int(lacks.argmax())
        chosen[group] = split
        held[split] += sizes[group]
        empty.discard(split)
    return chosen, held

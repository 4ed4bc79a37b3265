"""How a recipe splits clips into train, dev and test. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ALONE = "clip"
LEAVE_ONE_OUT = "leave-one-out"


@dataclass(frozen=True)
class SplitRule:
    """The splits of a training; by default those of the store, which are usually the published ones.

    With `by` or `folds`, the store's splits are ignored. Clips with one name in the column `by` are always in the same
    split.

    Attributes:
        by: A column of names, such as `speaker` or `session`, or `clip` for each clip by itself. By default `speaker`
            if every clip has one, else `clip`.
        folds: Number of folds, each of which is the test split once; `leave-one-out` has a fold for each name in `by`.
            0 makes one test split.
        fold: The fold that is the test split, from 1. 0 is every fold in turn, for `zoo train`.
        test: Share of the groups in the test split, without folds.
        dev: Share of the groups outside the test split that become dev. 0 makes no dev split, for heads that do not
            need one.
        shuffle: Draw the folds at random. Otherwise each fold has neighbours in the order of the names.
        seed: Seed of the draws.
    """

    by: str = ""
    folds: int | Literal["leave-one-out"] = 0
    fold: int = 0
    test: float = 0.2
    dev: float = 0.2
    shuffle: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        if self.folds != LEAVE_ONE_OUT and (not isinstance(self.folds, int) or self.folds < 0 or self.folds == 1):
            raise ValueError(f"folds must be 0, 2 or more, or {LEAVE_ONE_OUT}; got {self.folds}")
        if self.fold and not self.folds:
            raise ValueError(f"fold = {self.fold} needs folds")
        if self.fold < 0 or (isinstance(self.folds, int) and self.fold > self.folds):
            raise ValueError(f"fold must be from 1 to {self.folds}, or 0 for all; got {self.fold}")
        if not 0 < self.test < 1 or not 0 <= self.dev < 1:
            raise ValueError(f"test must be above 0 and below 1, and dev in [0, 1); got {self.test} and {self.dev}")

    @property
    def published(self) -> bool:
        """Whether the splits are those of the store."""
        return not self.by and not self.folds

    @property
    def all_folds(self) -> bool:
        """Whether every fold is to be trained."""
        return bool(self.folds) and not self.fold

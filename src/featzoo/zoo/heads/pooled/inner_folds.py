"""Cross-validation inside the train split, by which fitted heads choose."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from featzoo.sequence import Array
from featzoo.zoo.metrics.classification import class_metrics, one_hot
from featzoo.zoo.objective import Objective

Part = tuple[Array, Array]


def inner_folds(objective: Objective, truth: Array, groups: Sequence[str], folds: int, seed: int) -> Iterator[Part]:
    """Rows to fit and rows to score, each group in one of the two; none for a single group.

    Args:
        objective: What the targets are; classes are spread evenly over the folds.
        truth: (N,) one target, or class numbers.
        groups: N names.
        folds: The number of folds; fewer if there are fewer groups.
        seed: Seed of the folds of classes.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    number = min(folds, len(set(groups)))
    if number < 2:
        return
    if objective.of_numbers:
        yield from GroupKFold(number).split(truth, groups=groups)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer clips than folds
        yield from StratifiedGroupKFold(number, shuffle=True, random_state=seed).split(truth, truth, groups)


def held_out_score(objective: Objective, pred: Array, truth: Array) -> float:
    """Minus the mean absolute error of numbers, or the unweighted average recall of classes; higher is better.

    Args:
        objective: What the targets are.
        pred: (N,) predicted numbers or class numbers.
        truth: (N,) true ones.
    """
    if objective.of_numbers:
        return -float(np.abs(pred - truth).mean())
    names = [str(k) for k in range(int(max(truth.max(), pred.max())) + 1)]
    return class_metrics(one_hot(pred, len(names)), truth, names)["uar"]


def weights_of_classes(objective: Objective, number: int) -> dict[float, float] | None:
    """Class number to its weight in the problem `number`; None if all are 1."""
    weights = objective.weights
    if not weights:
        return None
    if objective.kind == "class":
        return {float(k): weight for k, weight in enumerate(weights)}
    return {0.0: 1.0, 1.0: weights[number]}

"""The objective of a recipe's target, with the weights of its classes from the train split."""

from __future__ import annotations

import numpy as np

from featzoo.errors import InvalidOption, suggestion
from featzoo.zoo.data.split import Array
from featzoo.zoo.objective import Objective
from featzoo.zoo.target import Target


def objective_of(target: Target, labels: Array) -> Objective:
    """What a head learns.

    Args:
        target: The recipe's.
        labels: (N, K) train targets; (N, 1) class numbers for `class`.

    Raises:
        InvalidOption: If `class_weights` names a class that is not one.
    """
    if not target.of_classes:
        return Objective()
    names = target.outputs
    for name in target.class_weights:
        if name not in names:
            raise InvalidOption(f"target.class_weights: no class '{name}'{suggestion(name, names)}")
    if target.class_weights:
        weights = tuple(float(target.class_weights.get(name, 1.0)) for name in names)
    else:
        weights = _balanced(target, labels) if target.weights == "balanced" else ()
    return Objective(target.predicts, weights, target.smoothing, target.focal)


def _balanced(target: Target, labels: Array) -> tuple[float, ...]:
    """N / (C n) for each class with n of N clips, as in scikit-learn; for several at once, the ratio of 0 to 1.

    A class without clips, or that all clips have, gets 1: nothing balances it.
    """
    if target.kind == "class":
        counts = np.bincount(labels.ravel().astype(np.int64), minlength=len(target.classes))
        ratio = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    else:
        counts = labels.sum(axis=0)
        ratio = (len(labels) - counts) / np.maximum(counts, 1)
    return tuple(np.where((counts > 0) & (ratio > 0), ratio, 1.0).tolist())

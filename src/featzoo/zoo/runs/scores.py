"""A head's metrics on a split, beside those of the constant predictors that it must beat."""

from __future__ import annotations

import numpy as np

from featzoo.errors import FeatzooError
from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import constant_metrics, target_metrics
from featzoo.zoo.recipe import Recipe


def measure(recipe: Recipe, train_split: Split, split: Split, pred: Array) -> dict[str, Metrics]:
    """The metrics of the `head` and of the constant predictors.

    Args:
        recipe: Which says what is measured.
        train_split: Whose targets give the constants.
        split: That was predicted.
        pred: (N, K) predictions.

    Raises:
        FeatzooError: If a prediction is not finite.
    """
    kind, columns = recipe.target.metrics, recipe.target.outputs
    if not np.isfinite(pred).all():
        raise FeatzooError(f"{int((~np.isfinite(pred)).sum())} predictions of {split.name} are not finite numbers")
    found = {"head": target_metrics(kind, pred, split.targets, columns, train_split.labels, split.ids)}
    return found | constant_metrics(kind, train_split.labels, split.targets, columns, split.ids)


def constants(values: dict[str, Metrics]) -> dict[str, Metrics]:
    """The constant predictors' part of what `measure` gave."""
    return {name: metrics for name, metrics in values.items() if name != "head"}

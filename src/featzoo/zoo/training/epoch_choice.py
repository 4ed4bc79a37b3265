"""Criteria on the dev split that choose the best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from featzoo.errors import FeatzooError
from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.metrics.binary import Cells, languages_of
from featzoo.zoo.metrics.classification import class_metrics, one_hot
from featzoo.zoo.target import Kind


class EpochScore(NamedTuple):
    """The score of an epoch on dev.

    Attributes:
        name: Name of the score: `MAE`, `loss`, `BA` (mean balanced accuracy) or `UAR`.
        score: The displayed value.
        rank: The epoch with the lowest rank is chosen; later numbers break ties.
    """

    name: str
    score: float
    rank: tuple[float, ...]


# Gives an epoch's score from the dev split, (N, K) predictions of its clips, and its mean loss.
Criterion = Callable[[Split, Array, float], EpochScore]


def by_error(dev: Split, prediction: Array, loss: float) -> EpochScore:
    """The lowest mean absolute error wins."""
    error = float(np.abs(prediction - dev.targets).mean())
    return EpochScore("MAE", error, (error,))


def by_loss(dev: Split, prediction: Array, loss: float) -> EpochScore:
    """The lowest loss wins."""
    return EpochScore("loss", loss, (loss,))


def by_accuracy(dev: Split, prediction: Array, loss: float) -> EpochScore:
    """The highest balanced accuracy wins, averaged over targets and languages; the lower loss breaks ties.

    Raises:
        InvalidOption: If a prediction is not a probability, or a label is neither 0 nor 1.
        FeatzooError: If all clips of dev have the same label in every target.
    """
    names = [f"target {number}" for number in range(1, prediction.shape[1] + 1)]
    cells = Cells.of(prediction, dev.targets, names, languages_of(dev.ids))
    accuracy = cells.metrics()["ba"]
    if math.isnan(accuracy):
        raise FeatzooError(
            f"dev cannot choose an epoch: {'; '.join(cells.undefined())}. It needs clips of both classes"
        )
    return EpochScore("BA", accuracy, (-accuracy, loss))


def by_recall(dev: Split, prediction: Array, loss: float) -> EpochScore:
    """The highest unweighted average recall of the classes wins; the lower loss breaks ties."""
    names = [f"class {number}" for number in range(1, prediction.shape[1] + 1)]
    recall = class_metrics(prediction, dev.targets, names)["uar"]
    return EpochScore("UAR", recall, (-recall, loss))


def criterion_of(metrics: str) -> Criterion:
    """The criterion for a recipe's `target.metrics`."""
    return {"binary": by_accuracy, "class": by_recall}.get(metrics, by_error)


def mean_error(kind: Kind, dev: Split, prediction: Array) -> float:
    """Mean absolute error of (N, K) predictions; of probabilities, their distance from 0 and 1."""
    truth = one_hot(dev.targets, prediction.shape[1]) if kind == "class" else dev.targets
    return float(np.abs(prediction - truth).mean())

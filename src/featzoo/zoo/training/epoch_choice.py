"""How good the weights of an epoch are on dev, which decides whether they are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from featzoo.errors import FeatzooError
from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.metrics.binary import Cells, languages_of


class Verdict(NamedTuple):
    """What an epoch's predictions of dev are worth.

    Attributes:
        name: Of the score: `MAE`, `loss` or `BA` (mean balanced accuracy).
        score: As it is shown.
        rank: The epoch with the lowest is chosen; later numbers decide between epochs with equal first ones.
    """

    name: str
    score: float
    rank: tuple[float, ...]


# Takes dev, (N, K) predictions of its clips, and its mean loss.
Judge = Callable[[Split, Array, float], Verdict]


def by_error(dev: Split, prediction: Array, loss: float) -> Verdict:
    """The lowest mean absolute error wins."""
    error = float(np.abs(prediction - dev.targets).mean())
    return Verdict("MAE", error, (error,))


def by_loss(dev: Split, prediction: Array, loss: float) -> Verdict:
    """The lowest loss wins."""
    return Verdict("loss", loss, (loss,))


def by_accuracy(dev: Split, prediction: Array, loss: float) -> Verdict:
    """The highest balanced accuracy wins, the mean over targets and languages; of equal ones that of the lower loss.

    Raises:
        InvalidOption: If a prediction is no probability, or a label neither 0 nor 1.
        FeatzooError: If the clips of dev are all alike in every target.
    """
    names = [f"target {number}" for number in range(1, prediction.shape[1] + 1)]
    cells = Cells.of(prediction, dev.targets, names, languages_of(dev.ids))
    accuracy = cells.metrics()["ba"]
    if math.isnan(accuracy):
        raise FeatzooError(f"dev cannot choose an epoch: {'; '.join(cells.undefined())}. Give it clips of both kinds")
    return Verdict("BA", accuracy, (-accuracy, loss))


def judge_of(metrics: str) -> Judge:
    """How the epochs of a recipe are judged, by its `target.metrics`."""
    return by_accuracy if metrics == "binary" else by_error

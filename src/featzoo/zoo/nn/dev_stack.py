"""A linear stack of several predictions, whose weights are fitted on dev."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from featzoo.sequence import Array

SMALL = 1e-3  # a penalty, as a share of the predictions' variance
PRIOR = 20.0  # clips: with fewer on dev, the weights of a `DevStack` stay nearer to where they start


def stack_weights(
    predicted: Array, truth: Array, penalty: float = SMALL, start: Array | None = None
) -> tuple[Array, Array, float]:
    """Ridge regression of one target from P predictions of it.

    Args:
        predicted: (N, P).
        truth: (N,); NaN where not known.
        penalty: Share of the predictions' variance.
        start: The (P,) weights to which the penalty draws; 0 if None.

    Returns:
        The mean of each prediction (P,), the weights (P,) and the mean of the target.
    """
    rows = ~np.isnan(truth)
    mean, centre = predicted[rows].mean(axis=0), float(truth[rows].mean())
    gap = predicted[rows] - mean
    start = np.zeros(predicted.shape[1]) if start is None else start
    rest = truth[rows] - centre - gap @ start
    weight: Array = start + np.linalg.lstsq(_squares(gap, penalty), gap.T @ rest, rcond=None)[0]
    return mean, weight, centre


def _squares(gap: Array, penalty: float) -> Array:
    """(P, P) products of (N, P) centred predictions, with the penalty; 0 if no prediction varies."""
    found: Array = gap.T @ gap + penalty * len(gap) * gap.var() * np.eye(gap.shape[1])
    return found


def left_out(predicted: Array, truth: Array, penalty: float = SMALL, start: Array | None = None) -> Array:
    """(N,) predictions, each by the weights of `stack_weights` that the other clips give, at the same penalty.

    A clip whose target is not known is predicted by all others, which is what `stack_weights` gives.

    Args:
        predicted: (N, P).
        truth: (N,); NaN where not known, but known for two or more.
        penalty: See `stack_weights`.
        start: See `stack_weights`.

    Reference:
        Allen: The relationship between variable selection and data augmentation and a method for prediction,
        Technometrics 16, 1974 (the residual without a clip is its residual over 1 less its leverage).
    """
    mean, weight, centre = stack_weights(predicted, truth, penalty, start)
    found: Array = (predicted - mean) @ weight + centre
    rows = ~np.isnan(truth)
    gap = predicted[rows] - mean
    leverage = 1 / len(gap) + np.einsum("np,pq,nq->n", gap, np.linalg.pinv(_squares(gap, penalty)), gap)
    found[rows] = truth[rows] - (truth[rows] - found[rows]) / (1 - leverage)
    return found


class DevStack(nn.Module):
    """The stack; until `fit` is called it is the first prediction.

    The penalty draws its weights to those of the first prediction alone, the head's own, and weighs as much as `PRIOR`
    clips: a small dev split tells little about several weights.

    Args:
        parts: P, the number of predictions.
        targets: K.

    Reference:
        Wolpert: Stacked generalization, Neural Networks 5, 1992.
    """

    weight: Tensor
    shift: Tensor

    def __init__(self, parts: int, targets: int) -> None:
        super().__init__()
        first = torch.zeros(parts, targets)
        first[0] = 1.0
        self.register_buffer("weight", first)
        self.register_buffer("shift", torch.zeros(targets))

    def forward(self, predictions: Tensor) -> Tensor:
        """(B, P, K) predictions to (B, K)."""
        return torch.einsum("bpk,pk->bk", predictions, self.weight) + self.shift

    def fit(self, predictions: Array, truth: Array) -> None:
        """Fit the weights to (N, P, K) predictions of dev and its (N, K) targets, NaN where not known.

        They stay as they are for a target that is nowhere known, and if a prediction is not finite, because the
        training has then diverged and will say so.
        """
        if not np.isfinite(predictions).all():
            return
        for k, known in enumerate((~np.isnan(truth)).sum(axis=0)):
            if known:
                given = predictions[:, :, k].astype(np.float64)
                mean, weight, centre = stack_weights(given, truth[:, k], PRIOR / known, self._start())
                self.weight[:, k].copy_(torch.from_numpy(weight))
                self.shift[k] = centre - float(mean @ weight)

    def left_out(self, predictions: Array, truth: Array) -> Array:
        """(N, K) predictions of the clips of `fit`, each by weights that are fitted without it.

        They are the first prediction for a target that is known of fewer than two clips, and if a prediction is not
        finite.
        """
        found: Array = predictions[:, 0].astype(np.float64)
        if np.isfinite(predictions).all():
            for k, known in enumerate((~np.isnan(truth)).sum(axis=0)):
                if known > 1:
                    given = predictions[:, :, k].astype(np.float64)
                    found[:, k] = left_out(given, truth[:, k], PRIOR / known, self._start())
        return found

    def _start(self) -> Array:
        """The (P,) weights of the first prediction alone."""
        start: Array = np.eye(len(self.weight))[0]
        return start

"""A linear stack of several predictions, whose weights are fitted on dev."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from featzoo.sequence import Array

PRIOR = 20.0  # clips: with fewer on dev, the weights of a `DevStack` stay nearer to where they start


class DevStack(nn.Module):
    """The stack; until `fit` is called it is the first prediction.

    The penalty draws it to the first prediction alone, the head's own, and weighs as much as `PRIOR` clips: a small dev
    split tells little about several weights, and of few people little about the level of the target. It weighs the
    predictions' distances from train's median, which is what a prediction is that knows nothing, and adds a shift.

    Args:
        parts: P, the number of predictions.
        targets: K.

    Reference:
        Wolpert: Stacked generalization, Neural Networks 5, 1992.
    """

    weight: Tensor
    shift: Tensor
    level: Tensor

    def __init__(self, parts: int, targets: int) -> None:
        super().__init__()
        first = torch.zeros(parts, targets)
        first[0] = 1.0
        self.register_buffer("weight", first)
        self.register_buffer("shift", torch.zeros(targets))
        self.register_buffer("level", torch.zeros(targets))

    def forward(self, predictions: Tensor) -> Tensor:
        """(B, P, K) predictions to (B, K)."""
        return torch.einsum("bpk,pk->bk", predictions - self.level, self.weight) + self.level + self.shift

    def prepare(self, targets: Tensor) -> None:
        """Take the level of (N, K) train targets."""
        self.level.copy_(targets.quantile(0.5, dim=0))

    def fit(self, predictions: Array, truth: Array) -> None:
        """Fit weights and shift to (N, P, K) predictions of dev and its (N, K) targets, NaN where not known.

        They stay as they are for a target that is nowhere known, and if a prediction is not finite, because the
        training has then diverged and will say so.
        """
        if not np.isfinite(predictions).all():
            return
        for k, level in enumerate(self.level.tolist()):
            if not np.isnan(truth[:, k]).all():
                gap, squares, rest = _system(predictions[:, :, k], truth[:, k], level)
                added = np.linalg.lstsq(squares, gap.T @ rest, rcond=None)[0]
                self.weight[:, k].copy_(torch.from_numpy(added[:-1]))
                self.weight[0, k] += 1.0  # the head's own
                self.shift[k] = added[-1]

    def left_out(self, predictions: Array, truth: Array) -> Array:
        """(N, K) predictions of the clips of `fit`, each by a stack that is fitted without it, at the same penalty.

        A clip whose target is not known is predicted by the stack of `fit`. If a prediction is not finite, each is the
        first one.

        Reference:
            Allen: The relationship between variable selection and data augmentation and a method for prediction,
            Technometrics 16, 1974 (the residual without a clip is its residual over 1 less its leverage).
        """
        found: Array = predictions[:, 0].astype(np.float64)
        if not np.isfinite(predictions).all():
            return found
        for k, level in enumerate(self.level.tolist()):
            rows = ~np.isnan(truth[:, k])
            if rows.any():
                gap, squares, rest = _system(predictions[:, :, k], truth[:, k], level)
                inverse = np.linalg.pinv(squares)
                added = inverse @ gap.T @ rest
                found[:, k] += (predictions[:, :, k] - level) @ added[:-1] + added[-1]
                leverage = np.einsum("np,pq,nq->n", gap, inverse, gap)
                found[rows, k] = truth[rows, k] - (truth[rows, k] - found[rows, k]) / (1 - leverage)
        return found


def _system(predictions: Array, truth: Array, level: float) -> tuple[Array, Array, Array]:
    """Of the clips whose target is known, what weights and shift are fitted to.

    Returns:
        The predictions' distances from the level and a column of ones (N, P + 1), their products with the penalty
        (P + 1, P + 1), and the errors (N,) of the first prediction, which they must explain.
    """
    rows = ~np.isnan(truth)
    gap = predictions[rows].astype(np.float64) - level
    columns = np.concatenate([gap, np.ones((len(gap), 1))], axis=1)
    penalty = np.full(columns.shape[1], PRIOR * np.square(gap).mean())
    penalty[-1] = PRIOR  # the mean square of ones
    return columns, columns.T @ columns + np.diag(penalty), truth[rows] - level - gap[:, 0]

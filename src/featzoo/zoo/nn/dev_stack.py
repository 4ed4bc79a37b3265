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
    x, y = predicted[rows], truth[rows]
    mean, centre = x.mean(axis=0), float(y.mean())
    gap = x - mean
    squares = gap.T @ gap + penalty * len(y) * gap.var() * np.eye(x.shape[1])  # (P, P); 0 if no prediction varies
    start = np.zeros(x.shape[1]) if start is None else start
    rest = y - centre - gap @ start
    weight: Array = start + np.linalg.lstsq(squares, gap.T @ rest, rcond=None)[0]
    return mean, weight, centre


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
        start = np.eye(len(self.weight))[0]
        for k in range(truth.shape[1]):
            known = int((~np.isnan(truth[:, k])).sum())
            if not known:
                continue
            given = predictions[:, :, k].astype(np.float64)
            mean, weight, centre = stack_weights(given, truth[:, k], PRIOR / known, start)
            self.weight[:, k].copy_(torch.from_numpy(weight))
            self.shift[k] = centre - float(mean @ weight)

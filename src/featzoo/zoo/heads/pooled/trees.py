"""Decision trees of scikit-learn's gradient boosting as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from featzoo.sequence import Array


class Trees(nn.Module):
    """R x K trees, whose values are added over the R rounds.

    A leaf's branches lead to itself, and a tree that was never set adds 0.

    Args:
        rounds: R.
        outputs: K.
        leaves: The most leaves of a tree.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    missing_left: Tensor
    value: Tensor

    def __init__(self, rounds: int, outputs: int, leaves: int) -> None:
        super().__init__()
        self.rounds, self.outputs, self.leaves = rounds, outputs, leaves
        self.nodes = 2 * leaves - 1
        size = rounds * outputs * self.nodes
        for name, dtype in (
            ("feature", torch.int32), ("threshold", torch.float32), ("left", torch.int32), ("right", torch.int32),
            ("missing_left", torch.bool), ("value", torch.float32),
        ):  # fmt: skip
            self.register_buffer(name, torch.zeros(size, dtype=dtype))

    def forward(self, features: Tensor) -> Tensor:
        """(B, W) float32 features, NaN where not observed, to the (B, K) sums of the reached leaves."""
        trees = self.rounds * self.outputs
        start = torch.arange(trees, device=features.device) * self.nodes  # (R K,)
        at = start.expand(features.shape[0], trees)
        for _ in range(self.leaves - 1):  # the depth of the deepest tree with these leaves
            seen = features.gather(1, self.feature[at].long())  # (B, R K)
            left = (seen <= self.threshold[at]) | (seen.isnan() & self.missing_left[at])
            at = start + torch.where(left, self.left[at], self.right[at]).long()
        return self.value[at].view(-1, self.rounds, self.outputs).sum(dim=1)  # (B, K)

    def set(self, number: int, output: int, nodes: Array, scale: float = 1.0) -> None:
        """Write one tree.

        Args:
            number: The round, from 0.
            output: The output to which its values are added, from 0.
            nodes: The nodes as scikit-learn keeps them.
            scale: Factor of its values.
        """
        own = np.arange(len(nodes))
        leaf = nodes["is_leaf"].astype(bool)
        at = (number * self.outputs + output) * self.nodes
        values = {
            "feature": np.where(leaf, 0, nodes["feature_idx"]),
            "threshold": _rounded_down(nodes["num_threshold"]),
            "left": np.where(leaf, own, nodes["left"]),
            "right": np.where(leaf, own, nodes["right"]),
            "missing_left": nodes["missing_go_to_left"].astype(bool),
            "value": np.where(leaf, scale * nodes["value"], 0.0),
        }
        for name, array in values.items():
            buffer: Tensor = getattr(self, name)
            buffer[at : at + len(nodes)] = torch.from_numpy(array).to(buffer.dtype)


def nodes_of(model: Any) -> Sequence[Sequence[Array]]:
    """The nodes of each round's trees of a fitted HistGradientBoosting model.

    scikit-learn has no public access to them; the tests compare the predictions with its own.
    """
    return [[tree.nodes for tree in each] for each in model._predictors]


def baseline_of(model: Any) -> Array:
    """The (T,) scores to which a fitted HistGradientBoosting model adds its trees."""
    return np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1)


def _rounded_down(thresholds: Array) -> Array:
    """The greatest float32 that is not above each threshold: float32 features compare with both alike."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)

"""Vectors less their mean over the training clips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from featzoo.zoo.nn.across_processes import gathered

SLOWEST = 0.02  # share of a step in the running mean, once there are enough


class Centred(nn.Module):
    """Subtracts the mean of the vectors that training has read, which it keeps as a running mean.

    It is the plain mean over the first 50 steps and follows later ones slowly, because the layers that make the vectors
    learn. Evaluation leaves it as it is.

    Args:
        width: W.
    """

    mean: Tensor
    steps: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        """(B, W) vectors, and (B, 1) bool which of them exist, to (B, W)."""
        if self.training:
            self._follow(vectors.detach().float(), there)
        return vectors - self.mean.to(vectors)

    @torch.no_grad()
    def _follow(self, vectors: Tensor, there: Tensor) -> None:
        """Move the mean towards that of a batch, of all processes; not if none of its vectors exists.

        No device waits for the count.
        """
        vectors, there = gathered(vectors, training=True), gathered(there, training=True)
        count = there.sum()
        self.steps.add_((count > 0).to(self.steps))
        share = (1 / self.steps.clamp(min=1)).clamp(min=SLOWEST)
        batch = vectors.where(there, 0.0).sum(dim=0) / count.clamp(min=1)  # (W,)
        self.mean.lerp_(batch.where(count > 0, self.mean), share)

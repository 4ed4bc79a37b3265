"""The running average of a head's weights, whose scores are often better and vary less than those of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def decay_of(average: float | str, steps: int) -> float:
    """The share that each step keeps: as given, or for `epoch` such that the average is over an epoch of `steps`."""
    return 1 - 1 / steps if isinstance(average, str) else average


class WeightAverage:
    """An exponential moving average of weights over training steps. Frozen weights are neither copied nor averaged.

    Args:
        head: The head in training.
        decay: Share of the average that each step keeps; 0 does not average.

    Reference:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; torch.optim.swa_utils.
    """

    def __init__(self, head: nn.Module, decay: float) -> None:
        self.trained = {name: each for name, each in head.named_parameters() if each.requires_grad} if decay else {}
        self.mean: dict[str, Tensor] = {}  # empty before the first step
        self.average = get_ema_multi_avg_fn(decay)

    def update(self) -> None:
        """Add the weights after a step."""
        if not self.mean:
            self.mean = _copied(self.trained)
        else:
            self.average(list(self.mean.values()), list(self.trained.values()), len(self.mean))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """A context in which the head has the averaged weights."""
        own = _copied({name: self.trained[name] for name in self.mean})
        self._put(self.mean)
        try:
            yield
        finally:
            self._put(own)

    def state(self) -> dict[str, Any]:
        """Tensors for `restore`."""
        return dict(self.mean)

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a `state`.

        Raises:
            KeyError: If it lacks weights, as one of another head does.
        """
        self.mean = {name: state[name].to(own, copy=True) for name, own in self.trained.items()} if state else {}

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, value in weights.items():
            self.trained[name].copy_(value)


def _copied(weights: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in weights.items()}

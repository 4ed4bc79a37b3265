"""The running average of a head's weights, whose scores are often better and vary less than those of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def decay_of(average: float | str, steps: int) -> float:
    """The share that each step keeps: as given, or for `epoch` such that the average is over an epoch of `steps`."""
    return 1 - 1 / steps if isinstance(average, str) else average


class WeightAverage:
    """An exponential moving average of weights over training steps.

    Args:
        head: The head in training.
        decay: Share of the average that each step keeps; 0 does not average.

    Reference:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; torch.optim.swa_utils.
    """

    def __init__(self, head: nn.Module, decay: float) -> None:
        self.head = head
        self.model = AveragedModel(head, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None

    def update(self) -> None:
        """Add the weights after a step."""
        if self.model:
            self.model.update_parameters(self.head)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """A context in which the head has the averaged weights."""
        if not self.model:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.head.state_dict().items()}
        self.head.load_state_dict(self.model.module.state_dict())
        try:
            yield
        finally:
            self.head.load_state_dict(own)

    def state(self) -> dict[str, Any]:
        """Tensors for `restore`."""
        return self.model.state_dict() if self.model else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a `state`."""
        if self.model:
            self.model.load_state_dict(state)

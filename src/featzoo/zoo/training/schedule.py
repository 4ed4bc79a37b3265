"""Learning rates over the steps of a stage."""

from __future__ import annotations

import math
from typing import Any

from featzoo.zoo.recipe import Training


class Schedule:
    """Learning rates over the steps of a stage.

    Args:
        optimizer: The optimiser whose rates are set.
        settings: The settings with the schedule.
        steps: Maximum number of steps.
    """

    def __init__(self, optimizer: Any, settings: Training, steps: int) -> None:
        self.optimizer, self.settings, self.steps = optimizer, settings, steps
        self.peaks = [group["lr"] for group in optimizer.param_groups]
        self.done, self.factor, self.best, self.since = 0, 1.0, math.inf, 0

    def step(self) -> None:
        """Set the rates of the next step."""
        self.done += 1
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * self.factor * self.share()

    def share(self) -> float:
        """The share of the peak rates at this step."""
        warm = math.ceil(self.settings.warmup * self.steps)
        if self.done <= warm:
            return self.done / warm
        left = (self.steps - self.done + 1) / max(1, self.steps - warm)
        if self.settings.schedule == "cosine":
            left = (1 - math.cos(math.pi * left)) / 2
        end = self.settings.end
        return end + (1 - end) * left if self.settings.schedule in ("linear", "cosine") else 1.0

    def observe(self, score: float) -> None:
        """After an epoch: the `plateau` schedule halves the rates when dev has not improved for a while."""
        self.best, self.since = (score, 0) if score < self.best else (self.best, self.since + 1)
        if self.settings.schedule == "plateau" and self.since > self.settings.plateau:
            self.factor, self.since = self.factor / 2, 0

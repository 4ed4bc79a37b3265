"""Whether the mean over seeds repeats a paper's figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from featzoo.zoo.runs.leaderboard import higher

LEVEL = 0.95


@dataclass(frozen=True)
class Verdict:
    """One metric of ours beside the paper's.

    Attributes:
        metric: Its name.
        values: One for each seed.
        mean: Their mean.
        low: Lower end of the 95 % interval of the mean over seeds, Student's t; NaN of fewer than two seeds.
        high: Its upper end.
        published: The paper's figure.
        short: By how much the mean is worse than the paper's figure; 0 if that is inside the interval, or beaten.
    """

    metric: str
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    published: float
    short: float

    @property
    def reproduced(self) -> bool:
        """Whether the paper's figure lies in the interval, or is beaten."""
        return self.short == 0.0

    def __str__(self) -> str:
        return "reproduced" if self.reproduced else f"not reproduced: {self.short:.4f} worse"


def judge(metric: str, values: Sequence[float], published: float) -> Verdict:
    """The verdict on one metric.

    Args:
        metric: Its name; whether higher is better follows from it.
        values: One for each seed.
        published: The paper's figure.
    """
    mean, (low, high) = float(np.mean(values)), interval(values)
    worse = (published - mean) * (1 if higher(metric) else -1)
    inside = low <= published <= high
    short = 0.0 if inside or worse <= 0 else worse if math.isfinite(worse) else math.inf
    return Verdict(metric, tuple(map(float, values)), mean, low, high, published, short)


def judge_all(metrics: Sequence[Mapping[str, float]], published: Mapping[str, float]) -> tuple[Verdict, ...]:
    """The verdicts on all published metrics; `metrics` has those of each seed."""
    return tuple(judge(name, [one[name] for one in metrics], value) for name, value in published.items())


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Student's t interval of a mean; NaN of fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    from scipy.stats import t

    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(t.ppf((1 + level) / 2, len(values) - 1)) * error
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach

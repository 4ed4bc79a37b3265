"""Sequences of stored features as one vector for each clip."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from featzoo.zoo.head import Padded

Statistics = Literal["mean", "mean-std"]


def pool(steps: Padded, statistics: Statistics) -> Tensor:
    """The mean of the observed values of each column, and their standard deviation with `mean-std`.

    Returns:
        (B, D) or (B, 2D); NaN for a column that was never observed.
    """
    seen = steps.observed & steps.mask[:, :, None]  # (B, T, D)
    count = seen.sum(dim=1).to(steps.values.dtype)  # (B, D)
    values = steps.values.masked_fill(~seen, 0.0)  # padding may hold NaN
    mean = values.sum(dim=1) / count  # (B, D), NaN where the count is 0
    if statistics == "mean":
        return mean
    gap = (values - mean.nan_to_num()[:, None]).masked_fill(~seen, 0.0)  # (B, T, D)
    return torch.cat([mean, (gap.square().sum(dim=1) / count).sqrt()], dim=1)  # (B, 2D)


def pooled_width(width: int, statistics: Statistics) -> int:
    """The width of what `pool` gives for D columns."""
    return width if statistics == "mean" else 2 * width

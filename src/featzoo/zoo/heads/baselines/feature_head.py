"""Inputs, loss, small networks and checks shared by the baselines on stored features."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Head, Inputs, Outputs, Padded, Role
from featzoo.zoo.nn.layers import MaskedLSTM, masked_average
from featzoo.zoo.nn.losses import absolute_error

MODALITIES = ("text", "audio", "vision")


class FeatureHead(Head):
    """A head on three sequences of stored features, whose only loss is the mean absolute error or that of classes."""

    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")

    roles: ClassVar[Mapping[str, Role]] = {
        "text": Role("a sequence of the transcript's words or tokens, from a frozen encoder"),
        "audio": Role("a sequence of audio features"),
        "vision": Role("a sequence of vision features"),
    }

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The only term: l1, or ce of classes."""
        return self.objective.terms(outputs["prediction"], targets, l1=absolute_error)


class MeanNet(nn.Module):
    """A modality's mean over time through dropout and three layers of `width`, each with a ReLU.

    Args:
        inputs: Width D of a step.
        width: Width of the result.
        dropout: On the mean.
    """

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(inputs, width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(),
        )  # fmt: skip

    def forward(self, steps: Padded) -> Tensor:
        """(B, T, D) to (B, width); 0 where a clip lacks the modality."""
        mean: Tensor = self.layers(masked_average(steps.values, steps.mask))  # (B, width)
        return mean * present(steps, mean)


class LastNet(nn.Module):
    """A modality's last LSTM state, projected.

    Args:
        inputs: Width D of a step.
        hidden: Width of the LSTM.
        width: Width of the result.
        dropout: On the state.
        both_ways: A second LSTM reads from the end.
    """

    def __init__(self, inputs: int, hidden: int, width: int, dropout: float, both_ways: bool = False) -> None:
        super().__init__()
        self.lstm = MaskedLSTM(inputs, hidden, both_ways=both_ways)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden * (1 + both_ways), width)

    def forward(self, steps: Padded) -> Tensor:
        """(B, T, D) to (B, width); 0 where a clip lacks the modality."""
        _, last = self.lstm(steps.values, steps.mask)  # (B, hidden)
        out: Tensor = self.out(self.dropout(last))  # (B, width)
        return out * present(steps, out)


def present(steps: Padded, like: Tensor) -> Tensor:
    """(B, 1): 1 where a clip has the modality, 0 where it lacks it."""
    return steps.mask.any(dim=1)[:, None].to(like.dtype)  # (B, 1)


def side_by_side(inputs: Inputs) -> tuple[dict[str, Tensor], Tensor]:
    """The three modalities at the text's steps; a clip without text has a single step.

    Returns:
        Modality to (B, T, D), 0 where a clip lacks it; and the (B, T) mask of the steps.
    """
    mask = inputs["text"].mask
    first = torch.arange(mask.shape[1], device=mask.device) == 0  # (T,)
    clock = mask | (~mask.any(dim=1)[:, None] & first)  # (B, T)
    return {m: onto(inputs[m].values, inputs[m].mask, clock) for m in MODALITIES}, clock


def onto(values: Tensor, mask: Tensor, clock: Tensor) -> Tensor:
    """Average a sequence over the steps of another that spans the same time.

    All true steps of a sequence are assumed to be equally long. A step of the clock gets the mean
    of the steps that it overlaps, weighted by the overlap: sequences of equal length are unchanged, so
    word-aligned features stay aligned; a single step is repeated.

    Args:
        values: (B, S, D).
        mask: (B, S) bool, true steps first.
        clock: (B, T) bool, true steps first.

    Returns:
        (B, T, D); 0 past the end of the clock and where `mask` has no step.
    """
    start, end = _spans(mask, values.dtype)  # (B, S)
    first, last = _spans(clock, values.dtype)  # (B, T)
    low = torch.maximum(first[:, :, None], start[:, None, :])  # (B, T, S)
    high = torch.minimum(last[:, :, None], end[:, None, :])  # (B, T, S)
    overlap = (high - low).clamp(min=0) * (clock[:, :, None] & mask[:, None, :])  # (B, T, S)
    share = overlap / overlap.sum(dim=2, keepdim=True).clamp(min=torch.finfo(values.dtype).tiny)  # (B, T, S)
    return share @ values.masked_fill(~mask[:, :, None], 0.0)  # (B, T, D); padding may hold NaN


def _spans(mask: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(B, T) starts and ends of each step as shares of the clip."""
    length = mask.sum(dim=1, keepdim=True).clamp(min=1).to(dtype)  # (B, 1)
    steps = torch.arange(mask.shape[1], device=mask.device, dtype=dtype)[None]  # (1, T)
    return steps / length, (steps + 1) / length  # (B, T)


def check_crossmodal(options: Any) -> None:
    """Check `width`, `heads` and `kernel` of a head of transformers on convolved sequences.

    Raises:
        ValueError: If the heads do not divide the width, or the kernel is even.
    """
    if options.width % options.heads:
        raise ValueError(f"width must be a multiple of heads; got {options.width} and {options.heads}")
    if not options.kernel % 2:
        raise ValueError(f"kernel must be odd; got {options.kernel}")


def check_options(options: Any) -> None:
    """Check every dropout and integer of a baseline's options.

    Raises:
        ValueError: For a dropout outside [0, 1), or an integer below 1 other than `frozen_layers`.
    """
    for option in dataclasses.fields(options):
        value = getattr(options, option.name)
        if option.name.endswith("dropout") and not 0 <= value < 1:
            raise ValueError(f"{option.name} must be in [0, 1); got {value}")
        number = isinstance(value, int) and not isinstance(value, bool)
        if number and option.name != "frozen_layers" and value < 1:
            raise ValueError(f"{option.name} must be at least 1; got {value}")

"""Layers that respect masks: padding and missing modalities never affect a result."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.recurrent import run_recurrent


class MaskedLSTM(nn.Module):
    """An LSTM over the true steps of each sequence.

    Args:
        inputs: Width D of a step.
        hidden: Width H of its state.
        layers: Number of stacked layers.
        dropout: Between layers.
        both_ways: Whether a second LSTM reads from the last true step to the first; H doubles.
    """

    def __init__(
        self, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0, both_ways: bool = False
    ) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(inputs, hidden, layers, batch_first=True, dropout=between, bidirectional=both_ways)

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The last layer's output at every step, and its state after the last step that it reads.

        Args:
            values: (B, T, D), T > 0.
            mask: (B, T) bool, true steps first.

        Returns:
            (B, T, H) and (B, H), 0 past the end of a sequence and for an empty one.
        """
        return run_recurrent(self.lstm, values, mask)


class MaskedAttention(nn.Module):
    """Multi-head attention from one sequence to the true steps of another.

    Args:
        width: D of both.
        heads: Number of heads.
        dropout: On the attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)

    def forward(self, query: Tensor, steps: Tensor, mask: Tensor, later: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            query: (B, T, D).
            steps: (B, S, D), S > 0.
            mask: (B, S) bool, the true steps.
            later: (B, T, S) bool, steps that a query must not attend to; each query keeps the first step.

        Returns:
            (B, T, D); 0 where a clip has no step to attend to.
        """
        empty = ~mask.any(dim=1)  # (B,)
        # A softmax over nothing is NaN: an empty clip attends to its first step and is masked.
        hidden = ~mask & ~(empty[:, None] & (torch.arange(mask.shape[1], device=mask.device) == 0))  # (B, S)
        # One mask for each head, because PyTorch takes (B * heads, T, S).
        apart = None if later is None else later.repeat_interleave(self.attention.num_heads, dim=0)
        attended = self.attention(query, steps, steps, key_padding_mask=hidden, attn_mask=apart, need_weights=False)
        out: Tensor = attended[0]  # (B, T, D)
        return out.masked_fill(empty[:, None, None], 0.0)


class CrossAttention(nn.Module):
    """One query per clip attends over the true steps of another modality; no residual, no feed-forward.

    Args:
        width: D of query, keys and result.
        heads: Number of heads.
        dropout: On the attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)

    def forward(self, query: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
        """Attend.

        Args:
            query: (B, D).
            steps: (B, T, D), T > 0.
            mask: (B, T) bool.

        Returns:
            (B, D); 0 where a clip has no step.
        """
        empty = ~mask.any(dim=1)  # (B,)
        # A softmax over nothing is NaN: an empty clip attends to its first step, which is zero, and is masked.
        hidden = ~mask & ~(empty[:, None] & (torch.arange(mask.shape[1], device=mask.device) == 0))  # (B, T)
        out, _ = self.attention(query[:, None], steps, steps, key_padding_mask=hidden, need_weights=False)
        return torch.where(empty[:, None], torch.zeros_like(out[:, 0]), out[:, 0])  # (B, D)


class Clip(nn.Module):
    """Scaled similarities between two views of the same clips, for `losses.info_nce`.

    Args:
        left: Width of the first view.
        right: Width of the second.
        kind: `official` is PSA-MF's released code: the left is projected, then normalised; the right is
            normalised, then projected; the scale is ln(1/0.07) = 2.659 itself. `standard` is CLIP:
            both projected, then normalised; the scale is learnt and starts at 1/0.07.
        width: Width of the shared space.
    """

    def __init__(self, left: int, right: int, kind: Literal["official", "standard"], width: int = 128) -> None:
        super().__init__()
        self.kind = kind
        self.scale: Tensor
        self.left = nn.Linear(left, width)
        self.right = nn.Linear(right, width)
        scale = torch.tensor(math.log(1 / 0.07))
        if kind == "standard":
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """(B, left) and (B, right) to (B, B) logits; of all processes' clips in training."""
        a: Tensor = F.normalize(self.left(left), dim=-1)  # (B, width)
        if self.kind == "official":
            b: Tensor = self.right(F.normalize(right, dim=-1))  # (B, width)
        else:
            b = F.normalize(self.right(right), dim=-1)  # (B, width)
        scale = self.scale if self.kind == "official" else self.scale.exp()
        return scale * (gathered(a, self.training) @ gathered(b, self.training).T)  # (B, B)


def masked_average(steps: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) averaged over the true steps of (B, T) `mask`: (B, D), 0 without true steps."""
    # Filled, not multiplied by 0: padding may hold NaN.
    total = steps.masked_fill(~mask[:, :, None], 0.0).sum(dim=1)  # (B, D)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1).to(steps.dtype)  # (B, D)

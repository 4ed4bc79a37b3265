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

    Its weights are those of PyTorch's layer. That one's forward pass reshapes clips and heads into one dimension, which
    takes an ONNX export of many layers minutes.

    Args:
        width: D of both.
        heads: Number of heads.
        dropout: On the attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)

    def forward(self, query: Tensor, steps: Tensor, seen: Tensor) -> Tensor:
        """Attend.

        Args:
            query: (B, T, D).
            steps: (B, S, D), S > 0.
            seen: (B, 1 or T, S) bool, the steps that each query attends to.

        Returns:
            (B, T, D); 0 where a clip has no step to attend to.
        """
        layer = self.attention
        weights, biases = layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3)
        asked, known, given = map(F.linear, (query, steps, steps), weights, biases)  # (B, T or S, D)
        dropout = layer.dropout if self.training else 0.0
        found = attend(asked, known, given, layer.num_heads, some_step(seen), dropout)
        out: Tensor = layer.out_proj(found)  # (B, T, D)
        return out.masked_fill(~seen.any(dim=2, keepdim=True), 0.0)


def some_step(seen: Tensor) -> Tensor:
    """(B, T, S) bool with the first step where there is none: a softmax over nothing is NaN."""
    first = torch.arange(seen.shape[2], device=seen.device) == 0  # (S,)
    return seen | (first & ~seen.any(dim=2, keepdim=True))


def attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, seen: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """Attention, head by head.

    Args:
        query: (B, T, H W) of H heads.
        key: (B, S, H W).
        value: (B, S, H W).
        heads: H.
        seen: (B, 1 or T, S) bool, the steps that each query attends to; None is all.
        dropout: On the attention weights.

    Returns:
        (B, T, H W).
    """
    asked, known, given = (
        each.unflatten(2, (heads, each.shape[2] // heads)).transpose(1, 2) for each in (query, key, value)
    )  # (B, H, T or S, W)
    mask = None if seen is None else seen[:, None]  # (B, 1, 1 or T, S)
    found = F.scaled_dot_product_attention(asked, known, given, attn_mask=mask, dropout_p=dropout)
    return found.transpose(1, 2).flatten(2)


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

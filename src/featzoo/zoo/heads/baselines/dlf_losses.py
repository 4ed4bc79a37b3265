"""The losses with which DLF takes modalities apart: margins between labels, opposite parts, equal sequences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from featzoo.zoo.nn.losses import masked_mean


def label_margin(vectors: Tensor, labels: Tensor, there: Tensor, margin: float = 0.15) -> Tensor:
    """Vectors with one label are more similar than those with others, by a margin that grows with the labels' distance.

    For a vector, the mean over its pairs of a vector with the same and one with another label of
    max(0, margin |label - other label| - cos(same) + cos(other)); the mean over vectors that have such pairs.

    Args:
        vectors: (N, D).
        labels: (N, K).
        there: (N,) bool, the vectors that exist.
        margin: Of labels that are 1 apart.

    Returns:
        A scalar; 0 without such pairs.
    """
    square = vectors.square().sum(dim=1) + 1e-8  # (N,); the constant keeps the gradient of a vector of zeros finite
    length = square.sqrt()
    cosine = vectors @ vectors.T / (length[:, None] * length[None])  # (N, N)
    apart = (labels[:, None] - labels[None]).abs().mean(dim=2)  # (N, N)
    pairs = there[:, None] & there[None]
    same = pairs & (apart == 0) & ~torch.eye(labels.shape[0], dtype=torch.bool, device=labels.device)  # (N, N)
    other = pairs & (apart > 0)
    gap = (margin * apart + cosine)[:, None, :] - cosine[:, :, None]  # (N, same N, other N)
    counted = same[:, :, None] & other[:, None, :]
    number = counted.sum(dim=(1, 2))  # (N,)
    each = (gap.clamp(min=0.0) * counted).sum(dim=(1, 2)) / number.clamp(min=1)  # (N,)
    return masked_mean(each, number > 0)


def opposite(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """The mean over true steps (B, T) of max(0, cos) of two (B, T, D); 0 without true steps."""
    return masked_mean(F.cosine_similarity(a, b, dim=2).clamp(min=0.0).flatten(), mask.flatten())


def step_error(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """The mean squared difference of two (B, T, D) over true steps (B, T); 0 without any."""
    return masked_mean((a - b).square().mean(dim=2).flatten(), mask.flatten())

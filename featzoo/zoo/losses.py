"""Loss terms that several heads share; each takes what a head's forward gave and has no parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(logits: Tensor) -> Tensor:
    """Symmetric InfoNCE: the mean of the cross entropies of rows and of columns, the diagonal being right.

    Args:
        logits: (B, B) scaled similarities of B things in one view to the same B things in another.

    Returns:
        A scalar; 0 for B = 0 (nothing to align) and B = 1 (nothing to tell apart).

    Reference:
        Radford et al. 2021 (CLIP), figure 3.
    """
    if logits.shape[0] == 0:
        return logits.sum() * 0.0
    right = torch.arange(len(logits), device=logits.device)  # (B,)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def half_distance(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """(1 - cos) / 2 averaged over the batch: 0 where two views agree, 1 where they are opposite.

    Args:
        a: (B, D).
        b: (B, D).
        mask: (B,) bool; rows that count. With none, the distance is 1/2: nothing is known.
    """
    cosine = F.cosine_similarity(a, b, dim=-1)  # (B,)
    return (1 - masked_mean(cosine, mask)) / 2


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of (B,) values where (B,) `mask` is true; 0 where none is."""
    if mask is None:
        return values.mean()
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1.0)


def absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of (B, K) predictions."""
    return (prediction - target).abs().mean()

"""Single words and pairs of neighbours, as one number each."""

from __future__ import annotations

import torch
from torch import Tensor

from featzoo.sequence import Array

# Numbers of words are below 2^31, so a pair fits in 62 bits; single words are above all pairs.
SHIFT, SINGLE = 31, 1 << 62
NONE = -1


def n_grams(words: Tensor, mask: Tensor, pairs: bool) -> Tensor:
    """The words and the pairs of neighbours of each text.

    Args:
        words: (B, T) int64 numbers of words.
        mask: (B, T) bool, the true ones.
        pairs: Whether pairs count too.

    Returns:
        (B, T) or (B, 2 T - 1) int64, -1 for padding.
    """
    single = (words + SINGLE).masked_fill(~mask, NONE)  # (B, T)
    if not pairs:
        return single
    both = mask[:, 1:] & mask[:, :-1]
    return torch.cat([single, ((words[:, :-1] << SHIFT) | words[:, 1:]).masked_fill(~both, NONE)], dim=1)


def of_rows(rows: Array, pairs: bool) -> Array:
    """`n_grams` of (N, T) float64 rows, NaN in padding: (N, T or 2 T - 1)."""
    words = torch.from_numpy(rows)
    mask = ~words.isnan()
    found: Array = n_grams(words.nan_to_num().long(), mask, pairs).numpy()
    return found

"""The order of clips in an epoch."""

from __future__ import annotations

import numpy as np

from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.recipe import Training

POOL = 16  # batches whose clips are shuffled, then sorted by length, together


def shuffled(split: Split, settings: Training, order: np.random.Generator) -> list[Array]:
    """The row numbers of an epoch's batches, in random order; clips of similar length together if requested."""
    rows = order.permutation(len(split))
    size = settings.batch_size
    if not settings.group_by_length:
        return [rows[start : start + size] for start in range(0, len(rows), size)]
    lengths, batches = split.lengths(), []
    for start in range(0, len(rows), size * POOL):
        pool = rows[start : start + size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [batches[i] for i in order.permutation(len(batches))]

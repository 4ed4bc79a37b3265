"""What a stage of training reads: only the roles that it needs, and what frozen parts make of them, once."""

from __future__ import annotations

import dataclasses

import torch

from featzoo.zoo.batches import Array, Split, Statistics
from featzoo.zoo.head import Head, InputSpec, Padded


def for_stage(head: Head, split: Split, stage: str, batch_size: int, device: torch.device) -> Split:
    """The split as a stage reads it; the same clips in the same order.

    Args:
        head: Which has been told of the stage by `begin`.
        split: Of the whole head.
        stage: One of the head's.
        batch_size: Of the forward passes.
        device: Where the head is.

    Returns:
        The roles of `Head.reads`; where the head distils them, what it made of them in evaluation mode.
    """
    roles = head.reads(stage)
    if roles is not None:
        features = {role: split.features[role] for role in roles}
        split = dataclasses.replace(split, features=features, specs={role: split.specs[role] for role in roles})
    return _distilled(head, split, batch_size, device)


@torch.no_grad()
def _distilled(head: Head, split: Split, batch_size: int, device: torch.device) -> Split:
    head.eval()
    kept: dict[str, list[Array | None]] = {}
    specs: dict[str, InputSpec] = {}
    for rows, batch in split.batches(batch_size):
        found = head.distil(batch.to(device).inputs)
        if found is None:
            return split
        for role, padded in found.items():
            arrays = kept.setdefault(role, [None] * len(split))
            specs[role] = InputSpec(padded.values.shape[-1])
            for row, array in zip(rows, _arrays(padded), strict=True):
                arrays[row] = array
    return dataclasses.replace(split, features=kept, specs=specs, statistics=Statistics({}, {}))


def _arrays(padded: Padded) -> list[Array | None]:
    """One (T, D) array for each clip of a batch; None where it has no step."""
    values, steps = padded.values.float().cpu().numpy(), padded.mask.sum(dim=1).tolist()
    return [array[:count].copy() if count else None for array, count in zip(values, steps, strict=True)]

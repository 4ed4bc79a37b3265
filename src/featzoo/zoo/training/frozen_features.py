"""What a stage of training reads: only the roles that it needs, and what frozen parts make of them, once."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable

import numpy as np
import torch

from featzoo.errors import FeatzooError
from featzoo.zoo.data.split import Array, Split, Statistics
from featzoo.zoo.head import Head, InputSpec, Padded
from featzoo.zoo.training.remembered import Made, key_of, recall, remember

IN_MEMORY = 1 << 30  # bytes of one split that stay in memory; what is beyond goes to temporary files
FILE = 1 << 28  # bytes of such a file


def for_stage(
    head: Head,
    split: Split,
    stage: str,
    batch_size: int,
    device: torch.device,
    on_step: Callable[[int, int], None] = lambda done, steps: None,
) -> Split:
    """The split as a stage reads it; the same clips in the same order.

    Args:
        head: Which has been told of the stage by `begin`.
        split: Of the whole head.
        stage: One of the head's.
        batch_size: Of the forward passes.
        device: Where the head is.
        on_step: Told after each batch that the head distils, how many there are too.

    Returns:
        The roles of `Head.reads`; where the head distils them, what it made of them in evaluation mode.

    Raises:
        FeatzooError: If that takes more space than the disk of temporary files has.
    """
    roles = head.reads(stage)
    if roles is not None:
        features = {role: split.features[role] for role in roles}
        split = dataclasses.replace(split, features=features, specs={role: split.specs[role] for role in roles})
    return _distilled(head, split, batch_size, device, on_step)


@torch.no_grad()
def _distilled(
    head: Head, split: Split, batch_size: int, device: torch.device, on_step: Callable[[int, int], None]
) -> Split:
    head.eval()
    made = _made(head, split, batch_size, device, on_step)
    if made is None:
        return split
    was = split.statistics
    return dataclasses.replace(
        split,
        # Where inputs stay as long as they were, so do the batches: what is kept changes no result.
        costs=split.lengths() if made.untouched else None,
        features={role: arrays for role, arrays in split.features.items() if role in made.untouched} | made.features,
        specs={role: spec for role, spec in split.specs.items() if role in made.untouched} | made.specs,
        statistics=Statistics(
            *({r: v for r, v in kind.items() if r in made.untouched} for kind in (was.mean, was.std))
        ),
    )


def _made(
    head: Head, split: Split, batch_size: int, device: torch.device, on_step: Callable[[int, int], None]
) -> Made | None:
    room, made, key = _Room(), Made({}, {}, set()), ""
    steps = math.ceil(len(split) / batch_size)
    for done, (rows, batch) in enumerate(split.batches(batch_size), start=1):
        inputs = batch.to(device).inputs
        found = head.distil(inputs)
        if found is None:
            return None
        if not made.features:
            key = key_of(head, split, batch_size, device)
            if known := recall(key):
                return known
            made.untouched.update(role for role in found if found[role] is inputs.get(role))
        for role in found.keys() - made.untouched:
            arrays = made.features.setdefault(role, [None] * len(split))
            made.specs[role] = InputSpec(found[role].values.shape[-1])
            for row, array in zip(rows, _arrays(found[role], room), strict=True):
                arrays[row] = array
        on_step(done, steps)
    remember(key, made)
    return made


def _arrays(padded: Padded, room: _Room) -> list[Array | None]:
    """One (T, D) array for each clip of a batch; None where it has no step."""
    values, steps = padded.values.float().cpu().numpy(), padded.mask.sum(dim=1).tolist()
    return [room.copy(array[:count]) if count else None for array, count in zip(values, steps, strict=True)]


class _Room:
    """Where arrays are kept: in memory up to a limit, then in temporary files that end with the arrays."""

    def __init__(self) -> None:
        self.used, self.free = 0, np.empty(0, dtype=np.float32)

    def copy(self, array: Array) -> Array:
        """A float32 copy.

        Raises:
            FeatzooError: If it would not fit on the disk.
        """
        self.used += array.nbytes
        if self.used <= IN_MEMORY:
            return array.copy()
        if array.size > len(self.free):
            self.free = _mapped(max(FILE, array.nbytes))
        kept, self.free = self.free[: array.size], self.free[array.size :]
        kept = kept.reshape(array.shape)  # (T, D)
        kept[:] = array
        return kept


def _mapped(size: int) -> Array:
    """A file without a name as float32 values; written now: a full disk says so, where a mapping would kill."""
    with tempfile.TemporaryFile() as file:
        try:
            for start in range(0, size, 1 << 20):
                file.write(bytes(min(1 << 20, size - start)))
            file.flush()
        except OSError as error:
            raise FeatzooError(
                f"no room in {tempfile.gettempdir()} for what the frozen layers give ({size / 1e9:.1f} GB more; "
                f"{error.strerror}): set TMPDIR to a larger disk, or train with frozen_layers = -1"
            ) from error
        return np.memmap(file, dtype=np.float32, mode="r+", shape=(size // 4,))

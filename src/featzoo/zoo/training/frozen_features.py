"""The inputs of a training stage: only the roles that it needs, with the outputs of frozen parts computed once."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from featzoo.errors import FeatzooError
from featzoo.zoo.data.split import Array, Split, Statistics
from featzoo.zoo.head import Head, Padded
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.centred import Centred
from featzoo.zoo.nn.dev_stack import DevStack
from featzoo.zoo.training.kept_parts import KeptParts

IN_MEMORY = 1 << 30  # bytes of one split that stay in memory; the rest goes to temporary files
FILE = 1 << 28  # bytes of such a file

# What frozen parts gave is kept for the next training in this process that would compute the same: another seed's.
LARGEST = 1 << 28  # bytes of a split's inputs or of what is made of them; more is not kept for the next training
ROOM = 1 << 29  # bytes kept for the next training in all


class Made(NamedTuple):
    """The outputs of a head's frozen parts for a split.

    Attributes:
        features: Role to its arrays.
        specs: Role to their width and kind.
        untouched: Roles that are read from the store unchanged.
    """

    features: dict[str, list[Array | None]]
    specs: dict[str, InputSpec]
    untouched: set[str]

    @property
    def bytes(self) -> int:
        """Size of the arrays."""
        return sum(a.nbytes for arrays in self.features.values() for a in arrays if a is not None)


def for_stage(
    head: Head,
    split: Split,
    stage: str,
    batch_size: int,
    device: torch.device,
    on_step: Callable[[int, int], None] = lambda done, steps: None,
    kept: Path | None = None,
) -> Split:
    """The split for a stage, with the same clips in the same order.

    Args:
        head: The head, after `begin` for this stage.
        split: The split with all roles of the head.
        stage: One of the head's stages.
        batch_size: Batch size of the forward passes.
        device: The head's device.
        on_step: Called after each batch that the head distils, with the numbers of done and of all batches.
        kept: A folder that keeps the results, if they are not large, for later trainings with the same frozen parts,
            and for this one if it is killed; None keeps nothing.

    Returns:
        The roles of `Head.reads`; if the head distils them, the results in evaluation mode.

    Raises:
        FeatzooError: If the results exceed the free space for temporary files.
    """
    roles = head.reads(stage)
    if roles is not None:
        features = {role: split.features[role] for role in roles}
        split = dataclasses.replace(split, features=features, specs={role: split.specs[role] for role in roles})
    return _distilled(head, split, batch_size, device, on_step, kept)


@torch.no_grad()
def _distilled(
    head: Head, split: Split, batch_size: int, device: torch.device, on_step: Callable[[int, int], None],
    kept: Path | None,
) -> Split:  # fmt: skip
    head.eval()
    made = _made(head, split, batch_size, device, on_step, kept)
    if made is None:
        return split
    was = split.statistics
    return dataclasses.replace(
        split,
        # If inputs keep their lengths, the batches are the same, so storing the outputs does not change results.
        costs=split.lengths() if made.untouched or head.keeps_batches else None,
        features={role: arrays for role, arrays in split.features.items() if role in made.untouched} | made.features,
        specs={role: spec for role, spec in split.specs.items() if role in made.untouched} | made.specs,
        statistics=Statistics(
            *({r: v for r, v in kind.items() if r in made.untouched} for kind in (was.mean, was.std))
        ),
    )


def _made(
    head: Head, split: Split, batch_size: int, device: torch.device, on_step: Callable[[int, int], None],
    kept: Path | None,
) -> Made | None:  # fmt: skip
    room, made, key, parts = _Room(), Made({}, {}, set()), "", None
    steps = math.ceil(len(split) / batch_size)
    for done, (rows, batch) in enumerate(split.batches(batch_size), start=1):
        arrays = parts.get(done) if parts else None
        if arrays is None:
            inputs = batch.to(device).inputs
            found = head.distil(inputs)
            if found is None:
                return None
            if not made.features:
                key = key_of(head, split, batch_size, device)
                if known := recall(key):
                    return known
                made.untouched.update(role for role in found if found[role] is inputs.get(role))
                parts = KeptParts(kept / key, LARGEST) if kept and key else None
            arrays = {role: _arrays(found[role]) for role in found.keys() - made.untouched}
            made.specs.update({role: InputSpec(found[role].values.shape[-1]) for role in arrays})
            if parts:
                parts.add(done, arrays)
        for role, each in arrays.items():
            whole = made.features.setdefault(role, [None] * len(split))
            for row, array in zip(rows, each, strict=True):
                whole[row] = None if array is None else room.copy(array)
        on_step(done, steps)
    if parts:
        parts.flush()
    remember(key, made)
    return made


def _arrays(padded: Padded) -> list[Array | None]:
    """One (T, D) view for each clip of a batch; None for a clip without steps."""
    values, steps = padded.values.float().cpu().numpy(), padded.mask.sum(dim=1).tolist()
    return [array[:count] if count else None for array, count in zip(values, steps, strict=True)]


class _Room:
    """Storage for arrays: in memory up to a limit, then in temporary files that are deleted with the arrays."""

    def __init__(self) -> None:
        self.used, self.free = 0, np.empty(0, dtype=np.float32)

    def copy(self, array: Array) -> Array:
        """A float32 copy.

        Raises:
            FeatzooError: If the disk is full.
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
    """Float32 values in an unnamed file, written at once, so that a full disk raises an error instead of a crash."""
    with tempfile.TemporaryFile() as file:
        try:
            for start in range(0, size, 1 << 20):
                file.write(bytes(min(1 << 20, size - start)))
            file.flush()
        except OSError as error:
            raise FeatzooError(
                f"no room in {tempfile.gettempdir()} for the outputs of frozen layers ({size / 1e9:.1f} GB more; "
                f"{error.strerror}): set TMPDIR to a larger disk, or train with frozen_layers = -1"
            ) from error
        return np.memmap(file, dtype=np.float32, mode="r+", shape=(size // 4,))


_MADE: OrderedDict[str, Made] = OrderedDict()


def recall(key: str) -> Made | None:
    """The stored result for a key; None if it is not stored."""
    return _MADE.get(key)


def remember(key: str, made: Made) -> None:
    """Store a result under its key and drop the oldest. Nothing is stored for "" or if it is too large."""
    if not key or made.bytes > LARGEST:
        return
    _MADE[key] = made
    while sum(each.bytes for each in _MADE.values()) > ROOM:
        _MADE.popitem(last=False)


def key_of(head: Head, split: Split, batch_size: int, device: torch.device) -> str:
    """A digest of everything that determines the frozen parts' outputs for a split; "" if the inputs are too large.

    It includes the batch size, because padding changes the last digits.
    """
    arrays = [(role, a) for role, each in split.features.items() for a in each]
    if sum(a.nbytes for _, a in arrays if a is not None) > LARGEST:
        return ""
    learning = {name for name, parameter in head.named_parameters() if parameter.requires_grad}
    read = {f.name: getattr(head.options, f.name) for f in dataclasses.fields(head.options)}
    options = {name: value for name, value in read.items() if name not in head.after_frozen}
    plain = (type(head).__qualname__, options, batch_size, device, torch.get_num_threads())
    digest = hashlib.sha256(repr(plain).encode())
    # Numbers that follow what layers in training give, so they come after all that is frozen.
    followers = (Centred, DevStack)
    later = tuple(f"{name}." for name, module in head.named_modules() if isinstance(module, followers))
    for name, tensor in head.state_dict().items():
        if name not in learning and not name.startswith(later):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    for role, array in arrays:
        digest.update(f"{role} {None if array is None else (array.shape, array.dtype)}".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    for role in split.statistics.mean:
        digest.update(split.statistics.mean[role].tobytes() + split.statistics.std[role].tobytes())
    return digest.hexdigest()

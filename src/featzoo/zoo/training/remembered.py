"""What frozen parts gave, for the next training in this process that would compute the very same: another seed's."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import torch

from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.head import Head, InputSpec

LARGEST = 1 << 28  # bytes of a split's inputs or of what is made of them; more is not remembered
ROOM = 1 << 29  # bytes that are remembered in all


class Made(NamedTuple):
    """What a head's frozen parts made of a split.

    Attributes:
        features: Role to its arrays.
        specs: Role to what they are.
        untouched: Roles that stay as the store has them.
    """

    features: dict[str, list[Array | None]]
    specs: dict[str, InputSpec]
    untouched: set[str]

    @property
    def bytes(self) -> int:
        """Size of the arrays."""
        return sum(a.nbytes for arrays in self.features.values() for a in arrays if a is not None)


_MADE: OrderedDict[str, Made] = OrderedDict()


def recall(key: str) -> Made | None:
    """What was made under a key; None if it is not remembered."""
    return _MADE.get(key)


def remember(key: str, made: Made) -> None:
    """Keep it under its key; the oldest make way. Nothing is kept under "", nor what is too large."""
    if not key or made.bytes > LARGEST:
        return
    _MADE[key] = made
    while sum(each.bytes for each in _MADE.values()) > ROOM:
        _MADE.popitem(last=False)


def key_of(head: Head, split: Split, batch_size: int, device: torch.device) -> str:
    """A digest of all that decides what a head's frozen parts make of a split; "" where the inputs are too large.

    Padding, and so the batch size, moves the last digits.
    """
    arrays = [(role, a) for role, each in split.features.items() for a in each]
    if sum(a.nbytes for _, a in arrays if a is not None) > LARGEST:
        return ""
    learning = {name for name, parameter in head.named_parameters() if parameter.requires_grad}
    plain = (type(head).__qualname__, head.options, sorted(learning), batch_size, device, torch.get_num_threads())
    digest = hashlib.sha256(repr(plain).encode())
    for name, tensor in head.state_dict().items():
        if name not in learning:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    for role, array in arrays:
        digest.update(f"{role} {None if array is None else (array.shape, array.dtype)}".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    for role in split.statistics.mean:
        digest.update(split.statistics.mean[role].tobytes() + split.statistics.std[role].tobytes())
    return digest.hexdigest()

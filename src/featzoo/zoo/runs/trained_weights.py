"""Loading a run's weights and text assets into its head: they must fit each other, and nothing outside is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from featzoo.errors import FeatzooError
from featzoo.zoo.head import Head

# A head may hold a little more than its weights: buffers that are not saved.
SPARE_BYTES = 1 << 26


def load_trained(make: Callable[[], Head], weights: Path) -> Head:
    """A head with the weights of a file.

    Args:
        make: Builds the head.
        weights: A safetensors file.

    Raises:
        FeatzooError: If the file is damaged, or its weights are not those of the head.
    """
    declared, size = _declared_bytes(make), weights.stat().st_size
    if declared > size + SPARE_BYTES:
        raise FeatzooError(
            f"{weights} has {size} bytes, but recipe and features.json describe a head of {declared} bytes"
        )
    try:
        tensors = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise FeatzooError(f"{weights} is damaged (an incomplete copy?): {error}") from error
    try:
        head = make()
        head.load_state_dict(tensors)
    except (RuntimeError, MemoryError) as error:
        said = " ".join(str(error).split())[:300]
        raise FeatzooError(f"{weights} holds other weights than those of the recipe beside it: {said}") from error
    return head


def _declared_bytes(make: Callable[[], Head]) -> int:
    """Bytes of a head's weights, found without memory for them; 0 where its code needs real tensors."""
    try:
        with torch.device("meta"):
            head = make()
    except (NotImplementedError, RuntimeError):
        return 0
    return sum(tensor.numel() * tensor.element_size() for tensor in head.state_dict().values())


def read_asset(folder: Path, name: str) -> str:
    """A text of a run, such as a tokenizer.

    Raises:
        ValueError: If the name leads out of the folder.
    """
    place = folder / name
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the asset {name!r} is outside the folder")
    return place.read_text(encoding="utf-8")

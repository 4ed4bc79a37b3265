"""Parameter groups of an optimiser, by what weight decay applies to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def without_decay_of_vectors(groups: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The groups, each split in two: matrices, and parameters of at most one dimension, which do not decay.

    The latter are biases, the scales and shifts of layer and batch norms, and single numbers such as temperatures.

    Args:
        groups: What `Head.parameter_groups` gives.
    """
    found = []
    for group in groups:
        vectors = [parameter for parameter in group["params"] if parameter.dim() <= 1]
        matrices = [parameter for parameter in group["params"] if parameter.dim() > 1]
        found += [{**group, "params": matrices}] if matrices else []
        found += [{**group, "params": vectors, "weight_decay": 0.0}] if vectors else []
    return found

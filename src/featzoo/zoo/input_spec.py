"""The kind of features that a head reads. Free of torch, so that a recipe without its features fails at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class InputSpec:
    """The features that the store holds for a role.

    Attributes:
        width: D.
        ids: Whether the values are token ids, see `holds_token_ids`.
        model: The transformers model whose tokenizer or weights made the set, "" if none did.
        given: Whether a set exists; the recipe may do without it.
    """

    width: int
    ids: bool = False
    model: str = ""
    given: bool = True


def holds_token_ids(dtype: np.dtype[Any], width: int) -> bool:
    """Whether a feature set of this type and width holds token ids: integers in one column.

    Bytes are pixels, and several columns of integers are features such as counts.
    """
    return dtype.kind in "iu" and dtype != "uint8" and width == 1

"""The option `precision` of the extractors that run a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from featzoo.errors import InvalidOption
from featzoo.extractors.contract import Extractor

Precision = Literal["fp32", "bf16", "fp16"]
# torch's names of the precisions.
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def placed(model: Any, device: str, precision: Precision) -> Any:
    """A network in evaluation mode, on a device, with its weights in a precision."""
    import torch

    return model.eval().to(device, getattr(torch, DTYPES[precision]))


def with_precision(extractors: Sequence[Extractor], precision: str) -> list[Extractor]:
    """The extractors with `precision` as their option, except those that have no such option or were given one.

    Args:
        extractors: Any extractors.
        precision: `bf16` or `fp16`; `auto` and `fp32` change nothing, because stored features are in 32 bit unless a
            user asks for less.

    Raises:
        InvalidOption: If none of the extractors has the option.
    """
    if precision in ("auto", "fp32"):
        return list(extractors)
    change: dict[str, Any] = {"precision": precision}
    names = [extractor.label for extractor in extractors]
    if not any(hasattr(extractor, "precision") for extractor in extractors):
        raise InvalidOption(f"precision {precision}: {', '.join(names)} cannot run in it; leave the option out")
    return [
        dataclasses.replace(extractor, **change) if getattr(extractor, "precision", "") == "fp32" else extractor
        for extractor in extractors
    ]

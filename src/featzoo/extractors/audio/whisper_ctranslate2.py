"""Whisper's encoder in CTranslate2's format, which faster-whisper and `feat transcribe` use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.errors import MissingWeights
from featzoo.sequence import Array
from featzoo.weights.imports import require

# The files that determine the encoder's output.
FILES = ("model.bin", "config.json")


def is_ctranslate2(folder: Path) -> bool:
    """Whether a folder holds a model in CTranslate2's format."""
    return (folder / "model.bin").is_file()


def mel_bins(folder: Path, digest: str) -> int:
    """Number of mel bins of the spectrum that the model reads: 80, or 128 of the largest models."""
    return int(_model(folder, "cpu", digest).n_mels)


def encoder(folder: Path, device: str, digest: str) -> Callable[[Array], Array]:
    """A function from (B, M, 3000) spectra to (B, 1500, D) outputs of the encoder.

    Args:
        folder: The model.
        device: cpu, or cuda with a number.
        digest: Of the model's files.
    """
    views: Any = require("ctranslate2", "asr").StorageView
    model = _model(folder, device, digest)

    def run(mel: Array) -> Array:
        rows: Array = np.asarray(model.encode(views.from_array(np.ascontiguousarray(mel)), to_cpu=True))
        return rows.astype(np.float32)

    return run


@cache
def _model(folder: Path, device: str, _digest: str) -> Any:
    """The model, loaded once per process unless its files change."""
    models: Any = require("ctranslate2", "asr").models
    kind, _, number = device.partition(":")
    try:
        return models.Whisper(str(folder), device=kind, device_index=int(number or 0), intra_threads=1)
    except (RuntimeError, ValueError) as error:
        raise MissingWeights(f"the model in {folder} cannot be loaded by CTranslate2: {error}") from error

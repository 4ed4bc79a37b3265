"""Sound for a speech encoder: its frames, normalisation, and windows of long clips."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import ClipError
from featzoo.media.audio import Audio, resample
from featzoo.sequence import Array


class Convolutions(NamedTuple):
    """The encoder's stacked convolutions as one: a frame every `stride` samples, computed from `field` samples."""

    stride: int
    field: int

    def frames(self, samples: int) -> int:
        """Number of frames of this many samples."""
        return max(0, (samples - self.field) // self.stride + 1)


class Piece(NamedTuple):
    """A piece of sound with context on both sides; its frames from `first` to `last` are kept.

    Attributes:
        samples: (N,) float32, normalised.
        first: Number of context frames at the start.
        last: Frame at which the context at the end begins.
        intervals: (T, 2) seconds of the kept frames.
    """

    samples: Array
    first: int
    last: int
    intervals: Array

    def __len__(self) -> int:
        return len(self.intervals)


def convolutions(config: dict[str, Any]) -> Convolutions:
    """Stride and receptive field of the stacked convolutions, in samples; 320 and 400 for the base models."""
    kernels = config.get("conv_kernel", (10, 3, 3, 3, 3, 2, 2))
    strides = config.get("conv_stride", (5, 2, 2, 2, 2, 2, 2))
    field_ = 1 + sum((kernel - 1) * prod(strides[:layer]) for layer, kernel in enumerate(kernels))
    return Convolutions(prod(strides), field_)


def normalised(samples: Array) -> Array:
    """Zero mean and unit variance, as in transformers' Wav2Vec2FeatureExtractor."""
    scaled: Array = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    return scaled


def pieces(samples: Array, intervals: Array, layout: Convolutions, window: int, context: int) -> Iterator[Piece]:
    """Cut (N,) samples into the fewest possible windows, of equal length up to rounding.

    Args:
        samples: (N,) sound of one clip.
        intervals: (T, 2) seconds of its frames.
        layout: The encoder's convolutions.
        window: Maximum number of frames in a window.
        context: Number of frames of context on either side.
    """
    total = layout.frames(len(samples))
    edges = np.linspace(0, total, ceil(total / window) + 1).round().astype(int).tolist()
    for start, end in pairwise(edges):
        first, last = max(0, start - context), min(total, end + context)
        stop = len(samples) if last == total else (last - 1) * layout.stride + layout.field
        yield Piece(samples[first * layout.stride : stop], start - first, end - first, intervals[start:end])


def cut(
    sound: Audio, preprocessor: dict[str, Any], config: dict[str, Any], window_seconds: float, context_seconds: float
) -> Iterator[Piece]:
    """Resample, normalise and cut a clip's sound.

    Args:
        sound: One channel.
        preprocessor: The model's preprocessor_config.json.
        config: The model's config.json.
        window_seconds: Length of a window, at most.
        context_seconds: Context on either side.

    Raises:
        ClipError: With reason `too-short`, if no frame fits (25 ms).
    """
    seconds = sound.samples.shape[1] / sound.rate
    rate = int(preprocessor.get("sampling_rate", 16000))
    samples = resample(sound, rate).samples[0]  # (N,)
    layout = convolutions(config)
    if not layout.frames(len(samples)):
        raise ClipError("too-short", f"{seconds:.3f} s of sound; one frame is {layout.field / rate:.3f} s")
    if preprocessor.get("do_normalize", True):
        samples = normalised(samples)
    start = np.arange(layout.frames(len(samples))) * layout.stride / rate
    # Resampling rounds the length up: rows are cut at the clip's end.
    intervals = np.minimum(np.stack([start, start + layout.field / rate], axis=1), seconds)  # (T, 2)
    window, context = (round(s * rate / layout.stride) for s in (window_seconds, context_seconds))
    yield from pieces(samples, intervals, layout, window, context)

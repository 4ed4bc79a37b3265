"""Pooling over time and conversion to a smaller type, for the features of any extractor."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from featzoo.alignment import SHORTEST, pool
from featzoo.errors import ClipError, InvalidOption
from featzoo.sequence import FeatureSequence

Pooling = Literal["mean", "std", "max", "min"]


def pooled(sequence: FeatureSequence, how: Pooling, seconds: float | None, label: str) -> FeatureSequence:
    """One row for the whole clip, or for each window of it.

    Args:
        sequence: Features of one clip.
        how: The statistic of the rows, column by column, ignoring NaN.
        seconds: Length of a window; the last ends with the last row. A row counts in every window that it
            overlaps by more than 1 ms. None pools the whole clip, with or without times.
        label: The extractor's name, for error messages.

    Raises:
        ClipError: With reason `no-times`, if windows are requested and no row has a known time.
        InvalidOption: If the features are integers, such as token ids.
    """
    _refuse_whole_numbers(sequence, label, f"pool={how}")
    known = sequence.intervals[~np.isnan(sequence.intervals).any(axis=1)]
    end = float(known[:, 1].max()) if len(known) else math.nan
    if seconds is None or end <= SHORTEST:
        # Every row counts regardless of its time, so its number is used as its time.
        number = np.arange(len(sequence), dtype=np.float64)
        rows = pool(sequence.features, np.stack([number, number + 1], axis=1), np.array([[0.0, len(sequence)]]), how)
        span = [known[:, 0].min(), end] if len(known) else [math.nan, math.nan]
        return FeatureSequence(rows, np.array([span]), sequence.names)
    if not len(known):
        raise ClipError("no-times", f"{label}: rows without times cannot be pooled in windows of {seconds:g} s")
    # The rest after the last whole window becomes a window if it is long enough for a row to count in it.
    edges = np.arange(max(1, math.ceil((end - SHORTEST) / seconds)) + 1) * seconds
    windows = np.stack([edges[:-1], np.minimum(edges[1:], end)], axis=1)  # (W, 2)
    return sequence.pool(windows, how)


def narrowed(sequence: FeatureSequence, dtype: str, label: str) -> FeatureSequence:
    """The same features in another floating type.

    Raises:
        ClipError: With reason `overflow`, if a value does not fit.
        InvalidOption: If the features are integers.
    """
    _refuse_whole_numbers(sequence, label, f"dtype={dtype}")
    kind: np.dtype[Any] = np.dtype(dtype)
    with np.errstate(over="ignore"):
        features = sequence.features.astype(kind)
    if np.isinf(features).any():
        worst = np.unravel_index(np.nanargmax(np.abs(sequence.features)), features.shape)
        raise ClipError(
            "overflow",
            f"{label}: {sequence.names[worst[-1]]} is {float(sequence.features[worst]):g}, more than "
            f"{dtype} holds ({np.finfo(kind).max:g}): extract without dtype={dtype}",
        )
    return FeatureSequence(features, sequence.intervals, sequence.names)


def _refuse_whole_numbers(sequence: FeatureSequence, label: str, option: str) -> None:
    if sequence.features.dtype.kind != "f":
        kind = sequence.features.dtype
        raise InvalidOption(f"{label} gives integers ({kind}), which are stored unchanged: leave out {option}")

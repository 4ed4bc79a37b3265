"""Pooling of rows onto intervals such as words, with the same rules as CMU-MultimodalSDK's `align`.

A row belongs to an interval when the two overlap by more than 1 ms, however small a part of the row that is. Rows that
are cut by an edge count in full, and a row may belong to several intervals. A row of zero length (an instant) belongs
to the interval that contains it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
How = Literal["mean", "weighted", "sum", "std", "max", "min", "first"]
HOWS: tuple[str, ...] = get_args(How)

# mmsdk's epsilon, seconds: a smaller overlap does not count.
SHORTEST = 10e-4


class Members(NamedTuple):
    """Pairs of intervals and their rows, sorted by interval, then by row.

    Attributes:
        interval: (P,) number of the interval.
        row: (P,) number of the row.
        seconds: (P,) float64, their overlap.
    """

    interval: Array
    row: Array
    seconds: Array


def members(intervals: Array, onto: Array) -> Members:
    """The rows that belong to each interval.

    Args:
        intervals: (T, 2) seconds, of the rows; rows with unknown times belong to no interval.
        onto: (W, 2) seconds; an interval with an unknown time, or of 1 ms or less, has no rows.
    """
    known = np.flatnonzero(~np.isnan(intervals).any(axis=1))
    by_start = known[np.argsort(intervals[known, 0], kind="stable")]
    start, end = intervals[by_start].T
    # Rows may be nested: the latest end so far is sorted even if the ends are not.
    reached = np.maximum.accumulate(end)
    low, high = onto[:, 0], onto[:, 1]
    wide = (high - low) >= SHORTEST  # NaN is not
    first = np.where(wide, np.searchsorted(reached, low, "left"), 0)
    # A row that starts where the interval ends lies outside, an instant as well.
    count = np.where(wide, np.maximum(np.searchsorted(start, high, "left") - first, 0), 0)
    interval = np.repeat(np.arange(len(onto)), count)  # (P,)
    place = np.arange(len(interval)) + np.repeat(first - (np.cumsum(count) - count), count)  # (P,)
    since, until = np.maximum(start[place], low[interval]), np.minimum(end[place], high[interval])
    seconds = until - since
    instant = (start[place] == end[place]) & (seconds == 0)
    kept = (seconds > SHORTEST) | instant
    # An instant gets the smallest possible weight, so it counts only if nothing else does.
    seconds = np.where(instant, np.finfo(np.float64).eps, seconds)
    interval, row, seconds = interval[kept], by_start[place[kept]], seconds[kept]
    return Members(interval, row, seconds)


def pool(features: Array, intervals: Array, onto: Array, how: How = "mean") -> Array:
    """One row for each interval, from the rows that belong to it, column by column.

    Args:
        features: (T, ..., D); NaN is ignored.
        intervals: (T, 2) seconds.
        onto: (W, 2) seconds.
        how: `mean`; `weighted` by the seconds of overlap; `sum`; `std` (of the population); `max`; `min`; `first`,
            the unchanged earliest row.

    Returns:
        (W, ..., D), in the features' own type if that is floating, else (and for sums of float16) float32;
        NaN where nothing was observed.

    Raises:
        ValueError: If `how` is unknown.
    """
    if how not in HOWS:
        raise ValueError(f"pooling must be one of {', '.join(HOWS)}; got '{how}'")
    kind = features.dtype if features.dtype.kind == "f" else np.dtype(np.float32)
    if how == "sum":
        kind = np.result_type(kind, np.float32)  # sums easily exceed the largest float16
    width = int(np.prod(features.shape[1:]))
    found = members(intervals, onto)
    filled, starts, counts = np.unique(found.interval, return_index=True, return_counts=True)
    pooled = np.full((len(onto), width), np.nan, dtype=kind)  # (W, K)
    if len(filled):
        rows = features.reshape(len(features), width)  # (T, K)
        pooled[filled] = _reduce(rows, found, starts, counts, how)
    return pooled.reshape(len(onto), *features.shape[1:])  # (W, ..., D)


def _reduce(rows: Array, found: Members, starts: Array, counts: Array, how: How) -> Array:
    """(F, K) of the F intervals that have rows; those of interval i begin at starts[i] of `found`."""
    if how == "first":
        first: Array = rows[found.row[starts]]
        return first
    values = rows[found.row].astype(np.float64)  # (P, K)
    if how in ("max", "min"):
        furthest: Array = (np.fmax if how == "max" else np.fmin).reduceat(values, starts, axis=0)
        return furthest
    weights = found.seconds[:, None] if how == "weighted" else np.ones((len(values), 1))
    summed = np.add.reduceat(values * weights if how == "weighted" else values, starts, axis=0)
    if np.isnan(summed).any():
        weights = np.where(np.isnan(values), 0.0, weights)  # (P, K)
        values = np.nan_to_num(values, nan=0.0)
        summed = np.add.reduceat(values * weights, starts, axis=0)
    weight = np.add.reduceat(weights, starts, axis=0)
    observed = weight > 0
    if how == "sum":
        return np.where(observed, summed, np.nan)
    mean = np.divide(summed, weight, out=np.full_like(summed, np.nan), where=observed)
    if how != "std":
        return mean
    # Two passes, because the difference of two large sums would lose precision.
    values -= np.repeat(mean, counts, axis=0)
    spread = np.add.reduceat(np.nan_to_num(values, nan=0.0) ** 2 * weights, starts, axis=0)
    return np.sqrt(np.divide(spread, weight, out=np.full_like(summed, np.nan), where=observed))

"""FeatureSequence, the result of every extractor and the content of every store entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from featzoo.alignment import How, pool

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class FeatureSequence:
    """Features of one clip over time.

    NaN in `features` means 'not observed', never 0. A NaN interval means that the time of the
    row is unknown (a word of a transcript without times).

    Attributes:
        features: (T, ..., D) numbers, one row per step.
        intervals: (T, 2) float64, start and end of each step in seconds from the clip's start.
        names: D column names.

    Raises:
        ValueError: If shapes disagree, a row ends before it starts, or a value is infinite or not a number type.
    """

    features: Array
    intervals: Array
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        features, intervals = np.asarray(self.features), np.asarray(self.intervals, dtype=np.float64)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "intervals", intervals)
        object.__setattr__(self, "names", tuple(self.names))
        if features.ndim < 2:
            raise ValueError(f"features must be (T, ..., D); got shape {features.shape}")
        if features.dtype.kind not in "biufc":
            raise ValueError(f"features must be numbers; got {features.dtype}")
        if intervals.shape != (len(features), 2):
            raise ValueError(f"{len(features)} rows need intervals (T, 2); got shape {intervals.shape}")
        if len(self.names) != features.shape[-1]:
            raise ValueError(f"{features.shape[-1]} columns but {len(self.names)} names")
        if len(features) and bool((intervals[:, 1] < intervals[:, 0]).any()):
            raise ValueError("an interval ends before it starts")
        if np.isinf(intervals).any() or (features.dtype.kind == "f" and np.isinf(features).any()):
            raise ValueError("infinite values: write NaN for what was not observed")

    @classmethod
    def stored(cls, features: Array, intervals: Array, names: tuple[str, ...]) -> FeatureSequence:
        """A sequence that was checked when it was stored, made without reading its pages again."""
        made = object.__new__(cls)
        # Three times as fast as object.__setattr__, and this is a fifth of a read.
        held = made.__dict__
        held["features"], held["intervals"], held["names"] = features, intervals, names
        return made

    def __len__(self) -> int:
        return len(self.features)

    @property
    def timed(self) -> bool:
        """Whether every row's time is known."""
        return not bool(np.isnan(self.intervals).any())

    def pool(self, onto: Array, how: How = "mean") -> FeatureSequence:
        """One row for each of the intervals `onto`, such as words: equal to CMU-MultimodalSDK's `align`.

        A row that overlaps the interval by more than 1 ms counts in full and unweighted (see
        `featzoo.alignment`); rows with unknown times are left out.

        Args:
            onto: (W, 2) seconds.
            how: `mean`, `weighted` (by the seconds of overlap), `sum`, `std`, `max`, `min` or `first`.

        Returns:
            W rows, whose intervals are `onto`. NaN values are ignored, column by column; an interval
            in which nothing was observed gives NaN.

        Raises:
            ValueError: If no row of this sequence has a known time, or `how` is unknown.
        """
        if len(self) and np.isnan(self.intervals).any(axis=1).all():
            raise ValueError("rows without times cannot be pooled onto intervals")
        onto = np.asarray(onto, dtype=np.float64).reshape(-1, 2)
        return FeatureSequence(pool(self.features, self.intervals, onto, how), onto, self.names)


def concatenate(parts: Sequence[FeatureSequence]) -> FeatureSequence:
    """Join the pieces of one clip in time order.

    Raises:
        ValueError: If `pieces` is empty, or the pieces' columns differ.
    """
    if not parts:
        raise ValueError("no pieces to join")
    if len(parts) == 1:
        return parts[0]
    if any(part.names != parts[0].names for part in parts):
        raise ValueError("the pieces have different columns")
    return FeatureSequence(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.intervals for part in parts]),
        parts[0].names,
    )


def untimed(array: Array, names: Sequence[str] | None = None) -> FeatureSequence:
    """Rows without times, (T, D) or one row (D,), with column names or `column_0` and so on."""
    rows = array[None] if array.ndim == 1 else array
    columns = tuple(names) if names is not None else tuple(f"column_{i}" for i in range(rows.shape[-1]))
    return FeatureSequence(rows, np.full((len(rows), 2), np.nan), columns)

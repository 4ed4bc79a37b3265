"""Statistics of a feature set's rows and columns, as `feat show` prints them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featzoo.sequence import Array, FeatureSequence

# Columns whose statistics are shown.
COLUMNS = 40


def describe(sample: Sequence[FeatureSequence]) -> list[str]:
    """Lines that tell the shape, rate and column statistics of some clips' features."""
    if not sample:
        return ["nothing stored yet"]
    rows = [len(sequence) for sequence in sample]
    first = sample[0].features
    lines = [f"shape: ({min(rows)} to {max(rows)}, {', '.join(map(str, first.shape[1:]))}) {first.dtype}"]
    lines.append(_rate(sample, max(rows)))
    values = np.concatenate([s.features.reshape(-1, first.shape[-1]) for s in sample])  # (sum T, D)
    names = sample[0].names
    width = max(map(len, names[:COLUMNS]))
    lines.append(f"{'column':<{width}}  {'mean':>10} {'std':>10} {'min':>10} {'max':>10}  not observed")
    for number, name in enumerate(names[:COLUMNS]):
        lines.append(f"{name:<{width}}  {_statistics(values[:, number])}")
    if len(names) > COLUMNS:
        lines.append(f"... and {len(names) - COLUMNS} more columns")
    return lines


def _rate(sample: Sequence[FeatureSequence], longest: int) -> str:
    hops = np.concatenate([np.diff(sequence.intervals[:, 0]) for sequence in sample])
    hops = hops[np.isfinite(hops) & (hops > 0)]
    if not len(hops):
        return "rate: one row per clip" if longest == 1 else "rate: times not known"
    spans = np.concatenate([np.diff(sequence.intervals, axis=1)[:, 0] for sequence in sample])
    spans = spans[np.isfinite(spans)]
    return f"rate: {1 / np.median(hops):.3g} rows/s, each {np.median(spans):.3g} s long (medians)"


def _statistics(column: Array) -> str:
    numbers = column.astype(np.float64)
    seen = numbers[~np.isnan(numbers)]
    if not len(seen):
        return f"{'-':>10} {'-':>10} {'-':>10} {'-':>10}  100 %"
    figures = " ".join(f"{value:>10.4g}" for value in (seen.mean(), seen.std(), seen.min(), seen.max()))
    return f"{figures}  {100 * (1 - len(seen) / len(numbers)):.3g} %"

"""Metrics as text, in aligned columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def format_metrics(
    metrics: Mapping[str, float],
    constant: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """A small aligned table: one row per metric, the head's value first, constant predictors beside it.

    A line below it names undefined metrics and the reason.
    """
    between = ["95 % interval"] if intervals else []
    rows = [["metric", "head", *between, *constant]]
    for key in shown(metrics):
        value = metrics[key]
        span = [f"{number(intervals[key][0])} to {number(intervals[key][1])}"] if intervals else []
        rows.append([key, number(value), *span, *(number(c.get(key, float("nan"))) for c in constant.values())])
    lacking = [key for key in shown(metrics) if key.endswith("ba") and np.isnan(metrics[key])]
    reason = f"\nno balanced accuracy, because all labels are alike: {', '.join(lacking)}" if lacking else ""
    undefined = [key for key in shown(metrics) if key not in lacking and np.isnan(metrics[key])]
    if undefined:
        reason += f"\nnot defined here, because all labels or all predictions are alike: {', '.join(undefined)}"
    return text_table(rows) + reason


def shown(metrics: Iterable[str]) -> list[str]:
    """The metrics in tables: all, or for `binary` only the balanced accuracy of each label and language."""
    names = list(metrics)
    return [key for key in names if "ba" not in names or "." not in key or key.endswith(".ba")]


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def number(value: float) -> str:
    """Four digits; a dash for NaN."""
    return "-" if np.isnan(value) else f"{value:.4f}"

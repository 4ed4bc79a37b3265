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

    Precision, recall, F1 and support of classes are a table below it. A line names undefined metrics and the reason.
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
    return text_table(rows) + reason + _class_table(metrics)


def shown(metrics: Iterable[str]) -> list[str]:
    """The metrics in tables: all, or for `binary` only the balanced accuracy of each label and language.

    Those of each class have a table of their own.
    """
    names = list(metrics)
    if "uar" in names:
        return [key for key in names if "." not in key]
    return [key for key in names if "ba" not in names or "." not in key or key.endswith(".ba")]


def _class_table(metrics: Mapping[str, float]) -> str:
    """Precision, recall, F1 and support of each class; empty for other metrics."""
    classes = [key.removesuffix(".support") for key in metrics if key.endswith(".support")]
    if not classes:
        return ""
    kinds = ("precision", "recall", "f1")
    rows = [["class", *kinds, "support"]]
    for name in classes:
        support = f"{metrics[f'{name}.support']:.0f}"
        rows.append([name, *(number(metrics[f"{name}.{kind}"]) for kind in kinds), support])
    return f"\n\n{text_table(rows)}"


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

"""A run's robustness as a table and as a picture of curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featzoo.errors import FeatzooError
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.tables import number
from featzoo.zoo.runs.robustness import Condition, Robustness

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROBUSTNESS = "robustness.csv"


def robustness_table(found: Robustness, metrics: Sequence[str]) -> list[list[str]]:
    """Rows of text: a header, each condition, and the other runs."""
    rows = [["inputs", *metrics]]
    rows += [[str(one), *(number(values[key]) for key in metrics)] for one, values in found.metrics.items()]
    return rows + [[f"run {name}", *(number(values[key]) for key in metrics)] for name, values in found.others.items()]


def robustness_csv(found: Robustness) -> str:
    """A row for each condition and other run, with every metric."""
    names = list(next(iter(found.metrics.values())))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["kind", "input", "level", *names])
    for one, values in found.metrics.items():
        level = repr(one.level) if one.kind in ("noise", "shortened") else ""
        rows.writerow([one.kind, one.role, level, *(repr(values[name]) for name in names)])
    for name, values in found.others.items():
        rows.writerow(["run", name, "", *(repr(values.get(key, float("nan"))) for key in names)])
    return text.getvalue()


def read_robustness(path: Path) -> tuple[dict[Condition, Metrics], dict[str, Metrics]]:
    """What `robustness_csv` wrote: the metrics of each condition, and of each other run.

    Raises:
        FeatzooError: If the file is damaged.
    """
    conditions: dict[Condition, Metrics] = {}
    others: dict[str, Metrics] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                kind, role, level = (row.pop(name) for name in ("kind", "input", "level"))
                values = {name: float(value) for name, value in row.items()}
                if kind == "run":
                    others[role] = values
                else:
                    conditions[Condition(kind, role, float(level or 0.0))] = values
    except (ValueError, TypeError, KeyError) as error:
        raise FeatzooError(f"{path} is damaged: delete it, or run zoo robustness again ({error})") from error
    return conditions, others


def robustness_picture(found: Robustness, metric: str) -> bytes:
    """A PNG: one metric by noise, by length, and without each input; other runs are dotted lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    noise, length, missing = figure.subplots(1, 3, sharey=True)
    _draw_lines(noise, found, "noise", metric)
    noise.invert_xaxis()
    noise.set(title="Noise in features", xlabel="signal-to-noise ratio (dB)", ylabel=metric)
    _draw_lines(length, found, "shortened", metric)
    length.set(title="First part of each clip", xlabel="share of the steps")
    without = [(one.role, values[metric]) for one, values in found.metrics.items() if one.kind == "missing"]
    missing.plot(range(len(without)), [value for _, value in without], "o")
    missing.set_xticks(range(len(without)), [role for role, _ in without])
    missing.set(title="Without an input")
    for axes in (noise, length, missing):
        axes.axhline(found.metrics[Condition("clean")][metric], color="black", linewidth=1, label="as it is")
        for place, (name, values) in enumerate(found.others.items()):
            axes.axhline(values[metric], color=f"C{place + 5}", linestyle=":", label=name)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def _draw_lines(axes: Axes, found: Robustness, kind: str, metric: str) -> None:
    those = [one for one in found.metrics if one.kind == kind]
    for role in dict.fromkeys(one.role for one in those):
        points = [(one.level, found.metrics[one][metric]) for one in those if one.role == role]
        axes.plot(*zip(*points, strict=True), marker="o", label=role)

"""Figures as plain dictionaries in Plotly's format; text in them is shown as it is."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from featzoo.reports.html import printable
from featzoo.sequence import Array

Figure = dict[str, Any]

# Told apart by people with any common colour vision (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b", "#a6761d")
GRID = {"gridcolor": "#e8eaed", "zerolinecolor": "#cfd3d8", "automargin": True, "fixedrange": True}
HEIGHT = 280
# A histogram of at most this many different values has a bar for each.
STEPS = 12
# Values with at most this many of their smallest steps between the lowest and the highest are taken to be on a grid.
GRID_STEPS = 1000


def plain(text: object) -> str:
    """Text for a figure: Plotly reads a part of HTML, and decodes these escapes."""
    return html.escape(printable(text), quote=False)


def numbers(values: npt.ArrayLike) -> list[Any]:
    """Numbers with six digits, which keeps the file small; null for NaN and infinities."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1:
        return [numbers(row) for row in array]
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in array.tolist()]


def bars(categories: Sequence[str], series: Mapping[str, npt.ArrayLike], x: str, stacked: bool = True) -> Figure:
    """Horizontal bars, one row for each category, from top to bottom.

    Args:
        categories: Names of the rows.
        series: Name of each part to its length in every row.
        x: Title of the axis of lengths.
        stacked: Put the parts after one another, instead of below.
    """
    names = [plain(name) for name in categories]
    traces = [
        {"type": "bar", "orientation": "h", "name": plain(name), "y": names, "x": numbers(values)}
        for name, values in series.items()
    ]
    rows = len(names) * (1 if stacked else max(1, len(traces)))
    layout = _layout(x, "", height=80 + 26 * rows + (20 * len(traces) if len(traces) > 1 else 0))
    layout |= {"barmode": "stack" if stacked else "group", "bargap": 0.25}
    layout["yaxis"] |= {"type": "category", "autorange": "reversed", "tickfont": {"size": 11}}
    return _figure(traces, layout)


def histogram(series: Mapping[str, npt.ArrayLike], x: str, bins: int = 30, y: str = "clips") -> Figure:
    """Counts in bins of equal width, of one or more series with the same bins. NaN is left out."""
    values = {name: _finite(given) for name, given in series.items()}
    everything = np.concatenate([*values.values(), np.zeros(0)])
    distinct = np.unique(everything)
    if 0 < len(distinct) <= min(STEPS, len(everything) / 3):  # such as labels of a few steps: a bar for each
        names = [f"{value:.4g}" for value in distinct.tolist()]
        bars_of: list[Figure] = [
            {"type": "bar", "name": plain(name), "x": names, "y": [int((given == v).sum()) for v in distinct]}
            for name, given in values.items()
        ]
        layout = _layout(x, y) | {"barmode": "stack", "bargap": 0.15}
        layout["xaxis"] |= {"type": "category"}
        return _figure(bars_of, layout)
    edges = _edges(distinct, bins)
    centres, width = (edges[:-1] + edges[1:]) / 2, float(edges[1] - edges[0])
    traces: list[Figure] = [
        {
            "type": "bar", "name": plain(name), "x": numbers(centres), "width": width,
            "y": np.histogram(given, edges)[0].tolist(),
        }
        for name, given in values.items()
    ]  # fmt: skip
    return _figure(traces, _layout(x, y) | {"barmode": "stack", "bargap": 0.02})


def lines(
    series: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    x: str,
    y: str,
    marked: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Lines through points.

    Args:
        series: Name to x and y values.
        x: Title of the axis.
        y: Title of the axis.
        marked: Name of a series to a point on it that is marked.
    """
    traces: list[Figure] = []
    for number, (name, (xs, ys)) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        mode = "lines+markers" if np.size(xs) < 60 else "lines"
        traces.append(
            {
                "type": "scatter", "mode": mode, "name": plain(name), "x": numbers(xs), "y": numbers(ys),
                "line": {"width": 1.6, "color": colour}, "marker": {"size": 4}, "legendgroup": plain(name),
            }
        )  # fmt: skip
        if marked and name in marked:
            at = [numbers([value]) for value in marked[name]]
            ring = {"size": 11, "color": "rgba(0,0,0,0)", "line": {"color": colour, "width": 2}}
            traces.append(
                {
                    "type": "scatter", "mode": "markers", "name": plain(name), "showlegend": False, "x": at[0],
                    "y": at[1], "marker": ring, "legendgroup": plain(name),
                }
            )  # fmt: skip
    return _figure(traces, _layout(x, y))


def scatter(
    series: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike, Sequence[str]]], x: str, y: str, diagonal: bool = False
) -> Figure:
    """Points with names that show when they are pointed at.

    Args:
        series: Name to x and y values and the points' names.
        x: Title of the axis.
        y: Title of the axis.
        diagonal: Draw the line on which x equals y.
    """
    traces: list[Figure] = [
        {
            "type": "scatter", "mode": "markers", "name": plain(name), "x": numbers(xs), "y": numbers(ys),
            "text": [plain(each) for each in names], "hovertemplate": "%{text}<br>%{x}, %{y}",
            "marker": {"size": 6, "opacity": 0.55},
        }
        for name, (xs, ys, names) in series.items()
    ]  # fmt: skip
    every = np.concatenate([_finite(part) for xs, ys, _ in series.values() for part in (xs, ys)] + [np.zeros(0)])
    if diagonal and len(every):
        ends = numbers([every.min(), every.max()])
        line = {"color": "#9aa0a6", "width": 1}
        traces.append({"type": "scatter", "mode": "lines", "x": ends, "y": ends, "line": line, "showlegend": False,
                       "hoverinfo": "skip"})  # fmt: skip
    return _figure(traces, _layout(x, y, height=340))


def heat_map(
    values: Array, xs: Sequence[object], ys: Sequence[object], x: str, y: str, diverging: bool = False,
    text: Sequence[Sequence[str]] | None = None,
) -> Figure:  # fmt: skip
    """A grid of colours, its first row on top.

    Args:
        values: (rows, columns).
        xs: Names of the columns, or their positions as numbers.
        ys: Names of the rows.
        x: Title of the axis.
        y: Title of the axis.
        diverging: Colours for values around 0, from -2.5 to 2.5, instead of from 0 up.
        text: Text in each cell.
    """
    positions = all(isinstance(each, int | float) for each in xs)
    trace: Figure = {
        "type": "heatmap", "z": numbers(values), "x": list(xs) if positions else [plain(each) for each in xs],
        "y": [plain(each) for each in ys], "showscale": False,
        "colorscale": [[0, "#2c6fbb"], [0.5, "#f7f7f7"], [1, "#c2452d"]] if diverging
        else [[0, "#f4f7fb"], [1, "#0b559f"]],
    }  # fmt: skip
    if diverging:
        trace |= {"zmin": -2.5, "zmax": 2.5}
    if text is not None:
        trace |= {"text": [[plain(cell) for cell in row] for row in text], "texttemplate": "%{text}"}
    row = 9 if diverging else 34
    layout = _layout(x, y, height=int(min(620, 90 + max(row * len(ys), 120))))
    layout["yaxis"] |= {"type": "category", "autorange": "reversed", "tickfont": {"size": 10}}
    if not positions:
        layout["xaxis"] |= {"type": "category"}
    return _figure([trace], layout)


def _figure(traces: list[Figure], layout: Figure) -> Figure:
    names = {trace["name"] for trace in traces if "name" in trace}
    return {"data": traces, "layout": layout | {"showlegend": len(names) > 1}}


def _layout(x: str, y: str, height: int = HEIGHT) -> Figure:
    return {
        "height": height, "colorway": list(COLOURS), "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "#fff",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#2b2f33"}, "dragmode": False,
        "margin": {"l": 48, "r": 12, "t": 10, "b": 44}, "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        "xaxis": {"title": {"text": plain(x)}, **GRID}, "yaxis": {"title": {"text": plain(y)}, **GRID},
    }  # fmt: skip


def _edges(distinct: Array, bins: int) -> Array:
    """Edges of about `bins` bins. Values on a grid, such as labels of one decimal, are the same number in each bin."""
    low, high = (float(distinct[0]), float(distinct[-1])) if len(distinct) else (0.0, 1.0)
    step = float(np.diff(distinct).min()) if len(distinct) > 1 else 1.0
    if (high - low) / step > GRID_STEPS:
        return np.linspace(low, high, bins + 1)
    width = step * max(1, math.ceil((high - low) / step / bins))
    return low - step / 2 + width * np.arange(math.ceil((high - low + step / 2) / width) + 1)


def _finite(values: npt.ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]

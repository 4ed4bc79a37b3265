"""Pictures of how clips are spread over classes and groups, and how features differ between classes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from featzoo.reports.exploration import Exploration
from featzoo.sequence import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Columns whose distributions are drawn, groups that are coloured apart, and speakers whose numbers are written.
SHOWN, COLOURED, WRITTEN = 9, 20, 30


def distributions(found: Exploration) -> bytes:
    """A PNG: for the columns with the largest effects, a box of the clips' means for each class."""
    chosen = found.order[:SHOWN]
    width = max(3.6, 0.5 * len(found.classes) + 1.2)
    rows = -(-len(chosen) // 3)
    figure = _figure(3 * width, 2.9 * rows)
    grid = figure.subplots(rows, 3, squeeze=False).ravel()
    for axes, place in zip(grid, chosen, strict=False):
        values = found.means[:, place]
        parts = [values[(found.truth == number) & ~np.isnan(values)] for number in range(len(found.classes))]
        axes.boxplot(parts, widths=0.6, flierprops={"markersize": 2}, medianprops={"color": "tab:red"})
        axes.set_xticks(range(1, len(found.classes) + 1), found.classes, rotation=45, ha="right", fontsize="small")
        axes.set_title(f"{found.names[place]}\neta squared {found.effects[place]:.2f}", fontsize="small")
        axes.tick_params(axis="y", labelsize="x-small")
    for axes in grid[len(chosen) :]:
        axes.set_axis_off()
    return _png(figure)


def spread(found: Exploration) -> bytes:
    """A PNG: numbers of clips by class, durations by class, and clips of each class by speaker."""
    panels = 2 + ("speaker" in found.groups)
    figure = _figure(4.6 * panels, 4.2)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    numbers = np.arange(len(found.classes))
    axes[0].bar(numbers, np.bincount(found.truth, minlength=len(numbers)), color="tab:blue")
    axes[0].set(ylabel="clips", title=f"{len(found.ids)} clips")
    known = ~np.isnan(found.seconds)
    axes[1].boxplot([found.seconds[(found.truth == n) & known] for n in numbers], positions=numbers, widths=0.6)
    axes[1].set(ylabel="seconds", title="durations")
    for one in axes[:2]:
        one.set_xticks(numbers, found.classes, rotation=45, ha="right", fontsize="small")
    if panels == 3:
        _draw_speakers(axes[2], found)
    return _png(figure)


def components(found: Exploration) -> bytes:
    """A PNG: the first two principal components of the clips' standardised means, coloured by class and by speaker."""
    points, shares = found.components()
    named: list[tuple[str, Sequence[str]]] = [(found.column, [found.classes[number] for number in found.truth])]
    named += [("speaker", found.groups["speaker"])] if "speaker" in found.groups else []
    figure = _figure(6.2 * len(named), 5)
    for axes, (title, names) in zip(figure.subplots(1, len(named), squeeze=False)[0], named, strict=True):
        _draw_points(axes, points, names)
        axes.set(title=f"by {title}", xlabel=f"first component ({shares[0]:.0%} of the variance)",
                 ylabel=f"second component ({shares[1]:.0%})")  # fmt: skip
    figure.suptitle(found.key, fontsize="medium")
    return _png(figure)


def _draw_speakers(axes: Axes, found: Exploration) -> None:
    table = found.cross_table("speaker")
    counts = np.array([[int(cell) for cell in row[1:]] for row in table[1:]])  # (S, C)
    axes.imshow(counts, cmap="Blues", vmin=0, aspect="auto")
    few = len(counts) <= WRITTEN
    axes.set_yticks(range(len(counts)) if few else [], [row[0] for row in table[1:]] if few else [], fontsize="x-small")
    axes.set_xticks(range(len(found.classes)), found.classes, rotation=45, ha="right", fontsize="small")
    if few:
        for row, column in np.ndindex(*counts.shape):
            colour = "white" if counts[row, column] > counts.max() / 2 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize="x-small")
    axes.set(title=f"clips of {len(counts)} speakers", ylabel="speaker")


def _draw_points(axes: Axes, points: Array, names: Sequence[str]) -> None:
    from matplotlib import colormaps

    kinds = sorted(set(names))
    palette = colormaps["tab10" if len(kinds) <= 10 else "tab20" if len(kinds) <= COLOURED else "hsv"]
    for number, kind in enumerate(kinds):
        held = np.array([name == kind for name in names])
        colour = palette(number) if len(kinds) <= COLOURED else palette(number / len(kinds))
        axes.scatter(
            points[held, 0], points[held, 1], s=8, color=colour, alpha=0.7, label=kind or "(none)", linewidths=0
        )
    if len(kinds) <= COLOURED:
        axes.legend(fontsize="x-small", markerscale=2, ncols=1 + len(kinds) // 11)


def _figure(width: float, height: float) -> Figure:
    """Drawn without pyplot: no global state, no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()

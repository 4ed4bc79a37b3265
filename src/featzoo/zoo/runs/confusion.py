"""Confusion matrices of a run: counts as a table, counts and shares as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.metrics.classification import Classified

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Predicted = Sequence[tuple[Split, Array]]


def confusion_csv(predicted: Predicted, classes: Sequence[str]) -> str:
    """A row for each true class of each split; the columns are numbers of clips by predicted class.

    Args:
        predicted: Splits and the (N, C) probabilities of their clips.
        classes: C names.
    """
    return matrices_csv({split.name: Classified.of(pred, split.targets, classes) for split, pred in predicted})


def matrices_csv(found: Mapping[str, Classified]) -> str:
    """A row for each true class of each name; the columns are numbers of clips by predicted class."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["split", "truth", *next(iter(found.values())).classes])
    for title, one in found.items():
        for name, counts in zip(one.classes, one.confusion(), strict=True):
            writer.writerow([title, name, *counts.tolist()])
    return out.getvalue()


def confusion_picture(predicted: Predicted, classes: Sequence[str]) -> bytes:
    """A PNG: a matrix for each split, with the number of clips and the percentage of the true class in each cell."""
    return matrices_picture({split.name: Classified.of(pred, split.targets, classes) for split, pred in predicted})


def matrices_picture(found: Mapping[str, Classified]) -> bytes:
    """A PNG with a matrix for each name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = max(3.6, 0.7 * len(next(iter(found.values())).classes) + 1.6)
    figure = Figure(figsize=(side * len(found), side), layout="constrained")
    for axes, (title, one) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        draw_confusion(axes, one)
        axes.set(title=f"{title}, {len(one.truth)} clips")
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def draw_confusion(axes: Axes, found: Classified) -> None:
    """Draw one matrix: rows are true classes, shaded by the share of the class."""
    counts = found.confusion()  # (C, C)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        text = f"{counts[row, column]}\n{100 * shares[row, column]:.0f} %"
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="x-small")
    numbers = range(len(found.classes))
    axes.set_xticks(numbers, found.classes, rotation=45, ha="right", fontsize="small")
    axes.set_yticks(numbers, found.classes, fontsize="small")
    axes.set(xlabel="predicted", ylabel="true")

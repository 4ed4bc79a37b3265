"""Confusion matrices of a run: counts as a table, counts and shares as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
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
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["split", "truth", *classes])
    for split, pred in predicted:
        for name, counts in zip(classes, Classified.of(pred, split.targets, classes).confusion(), strict=True):
            writer.writerow([split.name, name, *counts.tolist()])
    return out.getvalue()


def confusion_picture(predicted: Predicted, classes: Sequence[str]) -> bytes:
    """A PNG: a matrix for each split, with the number of clips and the percentage of the true class in each cell."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = max(3.6, 0.7 * len(classes) + 1.6)
    figure = Figure(figsize=(side * len(predicted), side), layout="constrained")
    for axes, (split, pred) in zip(figure.subplots(1, len(predicted), squeeze=False)[0], predicted, strict=True):
        draw_confusion(axes, Classified.of(pred, split.targets, classes))
        axes.set(title=f"{split.name}, {len(split)} clips")
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

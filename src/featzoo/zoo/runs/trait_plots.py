"""Regression to the mean, drawn: how far predictions of traits spread beside what they predict."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from featzoo.zoo.data.split import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 20  # of the histograms, over [0, 1]
TENTHS = 10  # of the clips, by their truth
TRUTH, PREDICTED = "0.6", "tab:blue"


def trait_distributions(pred: Array, truth: Array, train: Array, columns: Sequence[str], title: str) -> bytes:
    """A PNG: for each trait, above, how truths and predictions are distributed; below, predictions by truth.

    Above, dashed lines stand at the train split's mean and one standard deviation to either side: the bounds of the
    low and the high extremes. Below, each mark is the mean prediction of a tenth of the clips, by their truth; the bar
    spans the middle half of that tenth's predictions. Perfect predictions lie on the diagonal; the less they tell
    clips apart, the flatter the line through the marks.

    Args:
        pred: (N, K) predictions.
        truth: (N, K) annotations, 0 to 1.
        train: (M, K) annotations of the train split.
        columns: K names.
        title: Of the picture.
    """
    # Drawn without pyplot: no global state, no display, safe in any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(2.5 * len(columns), 5.0), 5.4), layout="constrained")
    axes = figure.subplots(2, len(columns), squeeze=False, sharex=True, sharey="row")
    for k, name in enumerate(columns):
        _draw_histograms(axes[0, k], pred[:, k], truth[:, k], train[:, k])
        axes[0, k].set_title(name.replace("_", " "), fontsize="medium")
        _draw_tenths(axes[1, k], pred[:, k], truth[:, k])
    axes[0, 0].set_ylabel("share of clips")
    axes[1, 0].set_ylabel("predicted")
    axes[0, 0].legend(fontsize="x-small", loc="upper left")
    axes[1, 0].legend(fontsize="x-small", loc="upper left")
    figure.suptitle(title, fontsize="medium")
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def _draw_histograms(axes: Axes, pred: Array, truth: Array, train: Array) -> None:
    edges = np.linspace(0.0, 1.0, BINS + 1).tolist()
    share = np.full(len(truth), 1 / len(truth))
    axes.hist(truth, edges, weights=share, color=TRUTH, alpha=0.6, label="truth")
    axes.hist(pred.clip(0, 1), edges, weights=share, histtype="step", color=PREDICTED, linewidth=1.6, label="predicted")
    for step in (-1, 0, 1):
        axes.axvline(train.mean() + step * train.std(), color="black", linestyle="--", linewidth=0.6)
    axes.margins(y=0.25)  # room for the words
    _say(axes, 0.97, "top", _spread(pred, truth))


def _say(axes: Axes, height: float, side: Literal["top", "bottom"], text: str) -> None:
    """Words in the right corner, legible over lines."""
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    axes.text(0.97, height, text, transform=axes.transAxes, ha="right", va=side, fontsize="small", bbox=ground)


def _spread(pred: Array, truth: Array) -> str:
    if np.ptp(truth) == 0:
        return ""
    return f"sd {pred.std() / truth.std():.2f}\nof truth's"


def _draw_tenths(axes: Axes, pred: Array, truth: Array) -> None:
    axes.scatter(truth, pred, s=3, alpha=0.15, color=PREDICTED, linewidths=0, rasterized=True)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, label="perfect")
    parts = np.array_split(np.argsort(truth, kind="stable"), min(TENTHS, len(truth)))
    centre = np.array([(truth[rows].mean(), pred[rows].mean()) for rows in parts])  # (tenths, 2)
    quarters = np.array([np.percentile(pred[rows], [25, 75]) for rows in parts])  # (tenths, 2)
    axes.vlines(centre[:, 0], quarters[:, 0], quarters[:, 1], color="black", linewidth=1)
    axes.plot(centre[:, 0], centre[:, 1], "o-", color="black", markersize=3, linewidth=1, label="mean of a tenth")
    if np.ptp(truth) > 0:
        slope = np.polyfit(truth, pred, 1)[0]
        _say(axes, 0.03, "bottom", f"slope {slope:.2f}")
    axes.set(xlabel="true", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)

"""Metrics of regression, computed as in the literature; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Metrics = dict[str, float]

# Whether higher is better.
HIGHER_IS_BETTER = {
    "mae": False, "rmse": False, "corr": True, "ccc": True, "r2": True, "r_acc": True, "r_acc_low": True,
    "r_acc_high": True, "acc7": True, "acc5": True, "mult_acc2": True, "mult_acc3": True, "mult_acc5": True, "f1": True,
    "acc2_has0": True, "f1_has0": True, "acc2_non0": True, "f1_non0": True,
    "sd_ratio": True,  # up to 1
}  # fmt: skip


def sentiment_metrics(pred: npt.ArrayLike, truth: npt.ArrayLike) -> Metrics:
    """The metrics of CMU-MOSI and CMU-MOSEI, as MMSA, MMIM and PSA-MF compute them.

    Args:
        pred: (N,) predicted sentiment, -3 to 3.
        truth: (N,) annotated sentiment, -3 to 3.

    Returns:
        mae; corr (Pearson); acc7 and acc5 (rounded half to even after clipping to +-3 and +-2);
        acc2_has0, f1_has0 (negative against non-negative, every clip); acc2_non0, f1_non0 (negative
        against positive, clips whose truth is 0 left out). F1 is weighted by class size. Undefined
        values are NaN: corr of a constant, non0 if every truth is 0.

    Raises:
        ValueError: If the shapes differ, the arrays are empty, or a value is not finite.
    """
    pred, truth = _pair(pred, truth)
    signed = truth != 0
    has0 = (truth >= 0, pred >= 0)
    non0 = (truth[signed] > 0, pred[signed] > 0)
    return {
        "mae": float(np.abs(pred - truth).mean()),
        "corr": _pearson(pred, truth),
        "acc7": _rounded_accuracy(pred, truth, 3.0),
        "acc5": _rounded_accuracy(pred, truth, 2.0),
        "acc2_has0": accuracy(*has0),
        "f1_has0": weighted_f1(*has0),
        "acc2_non0": accuracy(*non0),
        "f1_non0": weighted_f1(*non0),
    }


def sims_metrics(pred: npt.ArrayLike, truth: npt.ArrayLike) -> Metrics:
    """The metrics of CH-SIMS and CH-SIMS v2, as MMSA computes them, for labels from -1 to 1.

    Args:
        pred: (N,) predicted sentiment, clipped to [-1, 1], also for mae and corr.
        truth: (N,) annotated sentiment, -1 to 1.

    Returns:
        mae; corr (Pearson); mult_acc2 (up to 0, above), mult_acc3 (bounds -0.1 and 0.1), mult_acc5 (and -0.7, 0.7); a
        bound belongs to the class below it; f1 of the two classes, weighted by their size. Undefined values are NaN.

    Raises:
        ValueError: If the shapes differ, the arrays are empty, or a value is not finite.
    """
    pred, truth = (np.clip(values, -1.0, 1.0) for values in _pair(pred, truth))
    classes = {
        2: (truth > 0, pred > 0),
        3: _binned(truth, pred, (-0.1, 0.1)),
        5: _binned(truth, pred, (-0.7, -0.1, 0.1, 0.7)),
    }
    return {
        "mae": float(np.abs(pred - truth).mean()),
        "corr": _pearson(pred, truth),
        **{f"mult_acc{count}": accuracy(*pair) for count, pair in classes.items()},
        "f1": weighted_f1(*classes[2]),
    }


def regression_metrics(pred: npt.ArrayLike, truth: npt.ArrayLike) -> Metrics:
    """mae, rmse, corr (Pearson) and ccc (Lin's concordance) of (N,) predictions; NaN if undefined.

    Raises:
        ValueError: If the shapes differ, the arrays are empty, or a value is not finite.
    """
    pred, truth = _pair(pred, truth)
    error = pred - truth
    covariance = float(((pred - pred.mean()) * (truth - truth.mean())).mean())
    spread = float(pred.var() + truth.var() + (pred.mean() - truth.mean()) ** 2)
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "corr": _pearson(pred, truth),
        "ccc": 2 * covariance / spread if spread > 0 else float("nan"),
    }


def trait_metrics(pred: npt.ArrayLike, truth: npt.ArrayLike, train: npt.ArrayLike | None = None) -> Metrics:
    """The metrics of apparent personality: r_acc and r2 beside those of `regression_metrics`.

    Args:
        pred: (N,) predictions.
        truth: (N,) annotations, 0 to 1.
        train: (M,) annotations of the train split. With them, r_acc_low and r_acc_high are those of the clips below
            their mean minus one standard deviation, and from their mean plus one on.

    Returns:
        r_acc is 1 - mae; r2 the coefficient of determination; sd_ratio the predictions' standard deviation divided by
        the truth's: below 1, predictions have regressed to the mean. Undefined values are NaN.

    Raises:
        ValueError: If the shapes differ, the arrays are empty, or a value is not finite.
    """
    pred, truth = _pair(pred, truth)
    common = regression_metrics(pred, truth)
    # As for corr, rounding may give a constant a deviation other than 0; that of tiny values underflows to 0.
    spread = float(truth.std()) if np.ptp(truth) else 0.0
    ratio = float(pred.std()) / spread if spread else float("nan")
    found = {"r_acc": 1 - common["mae"], **common, "r2": _determination(pred, truth), "sd_ratio": ratio}
    if train is None:
        return found
    bounds = np.asarray(train, dtype=np.float64)
    mean, std = float(bounds.mean()), float(bounds.std())
    for name, rows in (("low", truth < mean - std), ("high", truth >= mean + std)):
        found[f"r_acc_{name}"] = float(1 - np.abs(pred[rows] - truth[rows]).mean()) if rows.any() else float("nan")
    return found


def accuracy(truth: Array, pred: Array) -> float:
    """The share of equal entries; NaN for empty arrays."""
    return float((truth == pred).mean()) if len(truth) else float("nan")


def weighted_f1(truth: Array, pred: Array) -> float:
    """F1 of each class that occurs in the truth, averaged with the classes' sizes as weights; NaN for empty arrays."""
    if not len(truth):
        return float("nan")
    total = 0.0
    for label in np.unique(truth):
        hit = float(((truth == label) & (pred == label)).sum())
        size, claimed = float((truth == label).sum()), float((pred == label).sum())
        total += size * 2 * hit / (size + claimed)
    return total / len(truth)


def _pair(pred: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Array, Array]:
    p, t = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if p.ndim != 1 or p.shape != t.shape or not len(p):
        raise ValueError(f"predictions and truths are (N,), N > 0; got {p.shape} and {t.shape}")
    if not (np.isfinite(p).all() and np.isfinite(t).all()):
        raise ValueError("predictions and truths must be finite")
    return p, t


def _pearson(pred: Array, truth: Array) -> float:
    # Rounding may give a constant deviations other than 0, hence the test on its range.
    if np.ptp(pred) == 0 or np.ptp(truth) == 0:
        return float("nan")
    with np.errstate(invalid="ignore", divide="ignore"):  # squares of the smallest deviations underflow to 0: NaN
        return float(np.corrcoef(pred, truth)[0, 1])


def _determination(pred: Array, truth: Array) -> float:
    total = ((truth - truth.mean()) ** 2).sum()
    if np.ptp(truth) == 0 or total == 0:
        return float("nan")
    return float(1 - ((truth - pred) ** 2).sum() / total)


def _binned(truth: Array, pred: Array, bounds: Sequence[float]) -> tuple[Array, Array]:
    """The number of bounds below each value; in 32 bit as in MMSA, so that a label of 0.1 equals the bound 0.1."""
    edges = np.asarray(bounds, dtype=np.float32)
    return tuple(np.searchsorted(edges, values.astype(np.float32)) for values in (truth, pred))  # type: ignore[return-value]


def _rounded_accuracy(pred: Array, truth: Array, limit: float) -> float:
    return accuracy(np.round(np.clip(truth, -limit, limit)), np.round(np.clip(pred, -limit, limit)))

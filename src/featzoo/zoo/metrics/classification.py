"""Metrics of predicted probabilities of C classes, of which a clip has one; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from featzoo.zoo.metrics.regression import Metrics

Array = npt.NDArray[Any]

BINS = 15
HIGHER_IS_BETTER = {
    "uar": True, "acc": True, "f1_macro": True, "f1_weighted": True, "ece": False,
    "precision": True, "recall": True, "f1": True, "support": True,
}  # fmt: skip


def entropy(pred: npt.ArrayLike) -> Array:
    """Entropy in nats of (..., C) probabilities: (...), from 0 (certain) to log(C) (all equally likely)."""
    p = np.asarray(pred, dtype=np.float64)
    found: Array = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)
    return found + 0.0  # not -0


@dataclass(frozen=True)
class Classified:
    """Predicted probabilities beside the true classes; used for many samples of clips.

    Attributes:
        pred: (N, C) probabilities.
        truth: (N,) numbers of the true classes.
        classes: C names.
    """

    pred: Array
    truth: Array
    classes: tuple[str, ...]

    @classmethod
    def of(cls, pred: npt.ArrayLike, truth: npt.ArrayLike, classes: Sequence[str]) -> Classified:
        """Checked predictions.

        Args:
            pred: (N, C) probabilities, N > 0.
            truth: (N,) or (N, 1) class numbers.
            classes: C names.

        Raises:
            ValueError: If the shapes differ, there are no clips, or a value is not one of a probability or a class.
        """
        p, t = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
        if p.ndim != 2 or p.shape[1] != len(classes) or t.size != len(p) or not len(p):
            raise ValueError(
                f"predictions are (N, {len(classes)}), N > 0, and truths (N,); got {p.shape} and {t.shape}"
            )
        numbers = t.ravel().astype(np.int64)
        if not ((p >= 0) & (p <= 1)).all() or (numbers != t.ravel()).any() or not _within(numbers, len(classes)):
            raise ValueError(f"predictions are probabilities, and truths class numbers below {len(classes)}")
        return cls(p, numbers, tuple(classes))

    def confusion(self, rows: Array | None = None) -> Array:
        """(C, C) numbers of clips by true class (row) and predicted class (column), of all clips or of `rows`."""
        truth, claimed = self.truth, self.pred.argmax(axis=1)
        if rows is not None:
            truth, claimed = truth[rows], claimed[rows]
        count = len(self.classes)
        counts: Array = np.bincount(truth * count + claimed, minlength=count * count).reshape(count, count)
        return counts

    def metrics(self, rows: Array | None = None) -> Metrics:
        """The metrics of all clips, or of the clips `rows`, which may repeat clips.

        Returns:
            `uar` (unweighted average recall: the mean recall of the classes that occur), `acc`, `f1_macro` (the mean
            over classes that occur or are predicted), `f1_weighted` (by the classes' sizes), `ece` (expected
            calibration error of the highest probability, 15 bins of equal width), and for each class `name.precision`,
            `name.recall`, `name.f1` and `name.support`. Undefined values are NaN.
        """
        counts = self.confusion(rows).astype(np.float64)
        hit, size, claimed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)  # (C,)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall, precision, f1 = hit / size, hit / claimed, 2 * hit / (size + claimed)
        total = size.sum()
        found = {
            "uar": float(recall[size > 0].mean()),
            "acc": float(hit.sum() / total),
            "f1_macro": float(f1[size + claimed > 0].mean()),
            "f1_weighted": float((np.nan_to_num(f1) * size).sum() / total),
            "ece": self._calibration_error(rows),
        }
        for k, name in enumerate(self.classes):
            each = {"precision": precision[k], "recall": recall[k], "f1": f1[k], "support": size[k]}
            found |= {f"{name}.{key}": float(value) for key, value in each.items()}
        return found

    def _calibration_error(self, rows: Array | None) -> float:
        pred, truth = (self.pred, self.truth) if rows is None else (self.pred[rows], self.truth[rows])
        sure, right = pred.max(axis=1), pred.argmax(axis=1) == truth
        number = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], sure)
        gap = np.bincount(number, sure - right, minlength=BINS)  # an edge belongs to the bin below it
        return float(np.abs(gap).sum() / len(pred))


def class_metrics(pred: npt.ArrayLike, truth: npt.ArrayLike, classes: Sequence[str]) -> Metrics:
    """The metrics of (N, C) probabilities; see `Classified`."""
    return Classified.of(pred, truth, classes).metrics()


def one_hot(numbers: Array, count: int) -> Array:
    """(N, C) probabilities that are 1 for one class."""
    chosen: Array = np.eye(count)[np.asarray(numbers, dtype=np.int64).ravel()]
    return chosen


def _within(numbers: Array, count: int) -> bool:
    return bool(((numbers >= 0) & (numbers < count)).all())

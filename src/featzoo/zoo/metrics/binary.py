"""Metrics of predicted probabilities of binary labels, by label and language; NumPy only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from featzoo.errors import InvalidOption

Array = npt.NDArray[Any]

# A probability above this is a prediction of 1; one that is equal to it is a prediction of 0.
THRESHOLD = 0.5
BINS = 10
ENGLISH = "en"
HIGHER_IS_BETTER = {"ba": True, "ba_without_en": True, "acc": True, "f1": True, "ece": False, "brier": False}


def binary_metrics(
    pred: npt.ArrayLike, truth: npt.ArrayLike, columns: Sequence[str], languages: Sequence[str] | None = None
) -> dict[str, float]:
    """Balanced accuracy, accuracy, F1 and calibration of (N, K) probabilities.

    Each is computed separately for every label in every language. Values over several of them are the plain mean (macro
    mean) of those that are defined: balanced accuracy is undefined (NaN) if all labels are equal, and NaN
    is left out of means.

    Args:
        pred: (N, K) probabilities of 1, from 0 to 1.
        truth: (N, K) labels, 0 or 1.
        columns: K label names.
        languages: N languages of the clips; None for one language.

    Returns:
        `ba` (balanced accuracy with a threshold of 0.5), `acc`, `f1` (mean over the two classes), `ece` (expected
        calibration error of the probability of 1, 10 bins of equal width) and `brier`: means over all; the same for
        each label as `label.ba` if there are several labels; for each language as `fr.ba` and `fr.label.ba`, and
        without English as `ba_without_en`, if there are several languages.

    Raises:
        ValueError: If the shapes differ, the arrays are empty, or a value is not finite.
        InvalidOption: If a prediction is not a probability, or a label neither 0 nor 1.
    """
    return Cells.of(pred, truth, columns, languages).metrics()


@dataclass(frozen=True)
class Cells:
    """Predictions divided into cells, one for each label in each language; used for many samples of clips.

    Attributes:
        pred: (N, K) probabilities.
        truth: (N, K) labels as bool.
        columns: K label names.
        languages: L languages; a single one without a name if clips have none.
        language: (N,) number of each clip's language.
    """

    pred: Array
    truth: Array
    columns: tuple[str, ...]
    languages: tuple[str, ...]
    language: Array

    @classmethod
    def of(
        cls, pred: npt.ArrayLike, truth: npt.ArrayLike, columns: Sequence[str], languages: Sequence[str] | None = None
    ) -> Cells:
        """The cells of (N, K) predictions and labels, checked; arguments and errors are those of `binary_metrics`."""
        p, t = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
        if p.ndim != 2 or p.shape != t.shape or not len(p) or p.shape[1] != len(columns):
            raise ValueError(f"predictions and truths are (N, {len(columns)}), N > 0; got {p.shape} and {t.shape}")
        if languages is not None and len(languages) != len(p):
            raise ValueError(f"{len(languages)} languages for {len(p)} clips")
        if not (np.isfinite(p).all() and np.isfinite(t).all()):
            raise ValueError("predictions and truths must be finite")
        if not ((p >= 0) & (p <= 1)).all():
            span = f"{p.min():g} to {p.max():g}"
            raise InvalidOption(
                f"binary metrics are of probabilities, 0 to 1; the predictions are {span}: choose a head that predicts "
                "probabilities, or other target.metrics"
            )
        if odd := sorted(set(np.unique(t)) - {0.0, 1.0}):
            raise InvalidOption(f"binary metrics are of labels 0 and 1, not {odd[0]:g}: choose other target.metrics")
        names, numbers = np.unique([""] * len(p) if languages is None else list(languages), return_inverse=True)
        return cls(p, t == 1, tuple(columns), tuple(map(str, names)), numbers)

    def metrics(self, rows: Array | None = None) -> dict[str, float]:
        """The result of `binary_metrics` for all clips, or for the clips `rows`, which may repeat clips."""
        each = self.each(rows)
        found = {key: _mean(values) for key, values in each.items()}
        others = [i for i, name in enumerate(self.languages) if name != ENGLISH]
        several = len(self.languages) > 1
        if 0 < len(others) < len(self.languages):
            found["ba_without_en"] = _mean(each["ba"][others])
        if len(self.columns) > 1:
            for k, column in enumerate(self.columns):
                found.update({f"{column}.{key}": _mean(values[:, k]) for key, values in each.items()})
        for i, language in enumerate(self.languages if several else ()):
            found.update({f"{language}.{key}": _mean(values[i]) for key, values in each.items()})
            if len(self.columns) > 1:
                found.update({f"{language}.{c}.ba": float(each["ba"][i, k]) for k, c in enumerate(self.columns)})
        return found

    def each(self, rows: Array | None = None) -> dict[str, Array]:
        """Metric to its (L, K) values, NaN if undefined, for all clips or for the clips `rows`."""
        pred, truth, language = self.pred, self.truth, self.language
        if rows is not None:
            pred, truth, language = pred[rows], truth[rows], language[rows]
        shape = (len(self.languages), len(self.columns))
        cell = (language[:, None] * shape[1] + np.arange(shape[1])).ravel()  # (N * K,)
        p, t = pred.ravel(), truth.ravel()  # (N * K,)

        def count(weights: Array | None = None) -> Array:
            return np.bincount(cell, weights, minlength=shape[0] * shape[1]).reshape(shape)  # (L, K)

        size, yes = count(), count(t)
        claimed = count(p > THRESHOLD)
        hit = count(t & (p > THRESHOLD))
        no, right = size - yes, size - yes - claimed + 2 * hit
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "ba": (hit / yes + (no - claimed + hit) / no) / 2,
                "acc": right / size,
                # A class that is neither present nor predicted has no F1; like scikit-learn, the mean is over the
                # others.
                "f1": _mean_of(2 * hit / (yes + claimed), 2 * (right - hit) / (2 * size - yes - claimed)),
                "ece": _calibration_error(p, t, cell, shape) / size,
                "brier": count((p - t) ** 2) / size,
            }

    def undefined(self) -> list[str]:
        """The reasons why balanced accuracy is undefined, one line for each label and language."""
        lines = []
        for i, language in enumerate(self.languages):
            truth = self.truth[self.language == i]
            for k, column in enumerate(self.columns):
                if truth[:, k].all() or not truth[:, k].any():
                    where = f"{language}.{column}" if language else column
                    lines.append(f"{where} has no balanced accuracy, as all {len(truth)} labels are {int(truth[0, k])}")
        return lines


def languages_of(ids: Sequence[str]) -> list[str] | None:
    """The languages of clips called `<row>/<language>`, a code of two letters; None unless all are called so."""
    found = [re.fullmatch(r".+/([a-z]{2})", clip) for clip in ids]
    return [match[1] for match in found if match] if ids and all(found) else None


def rows_of(ids: Sequence[str]) -> Array:
    """(N,) row numbers of the clips: the languages of one text are one row, and every other clip is a row."""
    if languages_of(ids) is None:
        return np.arange(len(ids))
    return np.unique([clip.rpartition("/")[0] for clip in ids], return_inverse=True)[1]


def reliability(pred: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """The share of 1 by the predicted probability of 1, in 10 bins of equal width.

    Args:
        pred: (N,) probabilities.
        truth: (N,) labels, 0 or 1.

    Returns:
        (10,) mean probability, (10,) share of 1, both NaN for an empty bin, and (10,) number of clips.
    """
    p, t = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    number = _bins(p)
    size = np.bincount(number, minlength=BINS)
    with np.errstate(invalid="ignore"):
        return np.bincount(number, p, BINS) / size, np.bincount(number, t, BINS) / size, size


def _bins(probability: Array) -> Array:
    """Bin numbers; a probability on an edge belongs to the bin below it, as in scikit-learn."""
    numbers: Array = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], probability)
    return numbers


def _calibration_error(p: Array, t: Array, cell: Array, shape: tuple[int, int]) -> Array:
    """(L, K) sums over bins of the difference between the bin's probabilities and labels, in clips."""
    bins = cell * BINS + _bins(p)
    gap = np.bincount(bins, p - t, minlength=shape[0] * shape[1] * BINS)
    total: Array = np.abs(gap).reshape(*shape, BINS).sum(axis=-1)  # (L, K)
    return total


def _mean_of(a: Array, b: Array) -> Array:
    """(a + b) / 2, or the one that is not NaN."""
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, (a + b) / 2))


def _mean(values: Array) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")

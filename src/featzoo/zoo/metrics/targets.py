"""Metrics of a recipe's targets, by the kind that its `target.metrics` names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from featzoo.zoo.metrics import binary, classification, regression
from featzoo.zoo.metrics.binary import Cells, languages_of
from featzoo.zoo.metrics.classification import Classified, one_hot
from featzoo.zoo.metrics.regression import Array, Metrics

# Whether higher is better, for tables and for choosing epochs.
HIGHER_IS_BETTER = {**regression.HIGHER_IS_BETTER, **binary.HIGHER_IS_BETTER, **classification.HIGHER_IS_BETTER}

# By kind, the metrics of one target that need only predictions and truths.
OF_ONE_TARGET = {
    "sentiment": regression.sentiment_metrics,
    "sims": regression.sims_metrics,
    "regression": regression.regression_metrics,
}


def target_metrics(
    kind: str,
    pred: Array,
    truth: Array,
    columns: tuple[str, ...],
    train: Array | None = None,
    ids: Sequence[str] = (),
) -> Metrics:
    """Metrics of (N, K) predictions: of the one column, or the columns' mean and each one's as `column.name`.

    Args:
        kind: `sentiment`, `sims`, `regression`, `traits`, `binary` or `class`.
        pred: (N, K) predictions.
        truth: (N, K) targets; (N, 1) for `class`.
        columns: K target names, or the classes of `class`.
        train: (M, K) train targets, which bound the extremes of `traits`.
        ids: N clip ids, from which `binary` finds the languages.
    """
    return measure_of(kind, pred, truth, columns, train, ids)(np.arange(len(truth)))


def measure_of(
    kind: str,
    pred: Array,
    truth: Array,
    columns: tuple[str, ...],
    train: Array | None = None,
    ids: Sequence[str] = (),
) -> Callable[[Array], Metrics]:
    """A function from row numbers to the metrics of these clips; the arguments are those of `target_metrics`."""
    if kind == "binary":
        return Cells.of(pred, truth, columns, languages_of(ids)).metrics
    if kind == "class":
        return Classified.of(pred, truth, columns).metrics

    def measure(rows: Array) -> Metrics:
        return _of_columns(kind, pred[rows], truth[rows], columns, train)

    return measure


def _of_columns(kind: str, pred: Array, truth: Array, columns: tuple[str, ...], train: Array | None) -> Metrics:
    each = {}
    for k, name in enumerate(columns):
        if kind == "traits":
            each[name] = regression.trait_metrics(pred[:, k], truth[:, k], None if train is None else train[:, k])
        else:
            each[name] = OF_ONE_TARGET[kind](pred[:, k], truth[:, k])
    if len(columns) == 1:
        return each[columns[0]]
    first = next(iter(each.values()))
    found = {key: float(np.mean([values[key] for values in each.values()])) for key in first}
    for name, values in each.items():
        found.update({f"{name}.{key}": value for key, value in values.items()})
    return found


def constant_metrics(
    kind: str, train: Array, truth: Array, columns: tuple[str, ...], ids: Sequence[str] = ()
) -> dict[str, Metrics]:
    """The metrics of constant predictions, which a head must exceed: the train mean and median, or the largest class.

    Args:
        kind: `sentiment`, `sims`, `regression`, `traits`, `binary` or `class`.
        train: (M, K) train targets.
        truth: (N, K) targets of the split that is scored.
        columns: K target names.
        ids: N clip ids, which tell `binary` the languages.
    """
    if kind == "class":
        largest = np.bincount(train.ravel().astype(np.int64), minlength=len(columns)).argmax()
        pred = one_hot(np.full(len(truth), largest), len(columns))
        return {f"all {columns[largest]}": target_metrics(kind, pred, truth, columns)}
    constants = {"train mean": train.mean(axis=0), "train median": np.median(train, axis=0)}
    return {
        name: target_metrics(kind, np.broadcast_to(value, truth.shape), truth, columns, train, ids)
        for name, value in constants.items()
    }

"""The predictions that a run recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from featzoo.sequence import Array
from featzoo.vocabulary import GROUPS
from featzoo.zoo.target import Target


@dataclass(frozen=True)
class RecordedPredictions:
    """The predictions of one split that a run recorded.

    Attributes:
        ids: N clip ids.
        truth: (N, K) targets, or (N, 1) class numbers.
        pred: (N, K) predictions, or (N, C) probabilities of classes.
        groups: Column of groups (`speaker`, ...) to the N names of the clips.
    """

    ids: tuple[str, ...]
    truth: Array
    pred: Array
    groups: Mapping[str, tuple[str, ...]]


def recorded_predictions(rows: Sequence[Mapping[str, str]], target: Target) -> RecordedPredictions:
    """The predictions in rows of a run's table.

    Args:
        rows: At least one, each with its cells by column.
        target: What the run predicts.

    Raises:
        ValueError: If a cell is not a number or one of the classes.
        KeyError: If a column is missing.
    """
    if target.kind == "class":
        truth = np.array([[target.classes.index(row["truth"])] for row in rows])  # (N, 1)
        pred = np.array([[float(row[f"p.{name}"]) for name in target.classes] for row in rows])  # (N, C)
    else:
        ends = [f".{name}" for name in target.columns] if len(target.columns) > 1 else [""]
        truth = np.array([[float(row[f"truth{end}"]) for end in ends] for row in rows])  # (N, K)
        pred = np.array([[float(row[f"pred{end}"]) for end in ends] for row in rows])  # (N, K)
    groups = {column: tuple(row[column] for row in rows) for column in GROUPS if rows[0].get(column)}
    return RecordedPredictions(tuple(row["id"] for row in rows), truth, pred, groups)


def joined(parts: Sequence[RecordedPredictions]) -> RecordedPredictions:
    """The predictions of several test splits as one."""
    columns = set.intersection(*(set(part.groups) for part in parts))
    return RecordedPredictions(
        tuple(name for part in parts for name in part.ids),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.pred for part in parts]),
        {column: tuple(name for part in parts for name in part.groups[column]) for column in sorted(columns)},
    )

"""How sure a number is: bootstrap intervals of one run's metrics, and of the difference between two sides."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featzoo.errors import FeatzooError
from featzoo.zoo.data.split import Array
from featzoo.zoo.metrics.binary import rows_of
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import measure_of
from featzoo.zoo.recipe import read

RESAMPLES = 1000
LEVEL = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """One metric of side A minus side B.

    Attributes:
        a: Mean over side A's runs.
        b: Mean over side B's runs.
        interval: Of a - b, over resampled clips; it does not cover the spread between seeds.
    """

    a: float
    b: float
    interval: Interval

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.interval[0] > 0 or self.interval[1] < 0


def intervals(
    measure: Callable[[Array], Metrics], units: Array, resamples: int = RESAMPLES, level: float = LEVEL
) -> dict[str, Interval]:
    """Percentile bootstrap intervals over clips; the same clips are drawn every time.

    Args:
        measure: Metrics of the clips with some row numbers.
        units: (N,) numbers of what is drawn: clips of one number, such as a text in several languages, together.
        resamples: How often as many units as there are are drawn with replacement.
        level: Share of resamples in an interval.

    Returns:
        Metric to (low, high); NaN resamples (no correlation of a constant) are left out.
    """
    return _percentiles([measure(rows) for rows in _draws(units, resamples)], level)


def compare(
    a: Sequence[Path], b: Sequence[Path], split: str = "test", resamples: int = RESAMPLES, level: float = LEVEL
) -> dict[str, Difference]:
    """The paired difference between two sides of one or more runs each (seeds) on the same clips.

    In each resample the same clips are drawn for every run, the languages of one text together, and each side's metric
    is its runs' mean.

    Args:
        a: Run folders.
        b: Run folders.
        split: train, valid or test.
        resamples: How often clips are drawn.
        level: Of the intervals.

    Raises:
        FeatzooError: If a folder is no finished run, or the runs do not predict the same clips and targets.
    """
    sides = [[_predictions(Path(run), split) for run in side] for side in (a, b)]
    first = sides[0][0]
    for other in [one for side in sides for one in side]:
        if other.ids != first.ids or other.columns != first.columns or not np.array_equal(other.truth, first.truth):
            raise FeatzooError(f"{other.run} and {first.run} do not predict the same clips of {split}: not comparable")
    columns, truth, ids = first.columns, first.truth, first.ids
    measures = [[measure_of(first.kind, one.pred, truth, columns, ids=ids) for one in side] for side in sides]

    def mean(side: Sequence[Callable[[Array], Metrics]], rows: Array) -> Metrics:
        each = [measure(rows) for measure in side]
        return {key: float(np.mean([values[key] for values in each])) for key in each[0]}

    whole = np.arange(len(truth))
    means = [mean(side, whole) for side in measures]
    drawn = []
    for rows in _draws(rows_of(ids), resamples):
        ours, theirs = (mean(side, rows) for side in measures)
        drawn.append({key: ours[key] - theirs[key] for key in ours})
    spans = _percentiles(drawn, level)
    return {key: Difference(means[0][key], means[1][key], spans[key]) for key in means[0]}


@dataclass(frozen=True)
class _Predictions:
    run: Path
    kind: str
    columns: tuple[str, ...]
    ids: tuple[str, ...]
    truth: Array
    pred: Array


def _predictions(run: Path, split: str) -> _Predictions:
    """A split's (N, K) predictions as the run recorded them."""
    try:
        recipe = read(run / "recipe.toml")
        with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == split]
    except OSError as error:
        raise FeatzooError(f"{run} is not a finished run: {error}") from error
    if not rows:
        raise FeatzooError(f"{run} has no predictions of split '{split}'")
    columns = recipe.target.columns
    suffix = [f".{name}" for name in columns] if len(columns) > 1 else [""]
    truth = np.array([[float(row[f"truth{end}"]) for end in suffix] for row in rows])  # (N, K)
    pred = np.array([[float(row[f"pred{end}"]) for end in suffix] for row in rows])  # (N, K)
    return _Predictions(run, recipe.target.metrics, columns, tuple(row["id"] for row in rows), truth, pred)


def _draws(units: Array, resamples: int) -> Iterator[Array]:
    """Row numbers of as many units as there are, the same ones every time."""
    sizes = np.bincount(units)
    order, starts = np.argsort(units, kind="stable"), np.cumsum(sizes) - sizes
    for drawn in np.random.default_rng(0).integers(0, len(sizes), size=(resamples, len(sizes))):
        own = sizes[drawn]
        yield order[np.repeat(starts[drawn] - (np.cumsum(own) - own), own) + np.arange(own.sum())]


def _percentiles(drawn: Sequence[Mapping[str, float]], level: float) -> dict[str, Interval]:
    tails = [50 * (1 - level), 50 * (1 + level)]
    found = {}
    for key in drawn[0]:
        values = np.array([one[key] for one in drawn])
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, tails) if len(values) else (np.nan, np.nan)
        found[key] = float(low), float(high)
    return found

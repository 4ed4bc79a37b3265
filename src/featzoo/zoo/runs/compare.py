"""Bootstrap intervals of a run's metrics, and of the difference between two sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featzoo.errors import FeatzooError
from featzoo.sequence import Array
from featzoo.vocabulary import split_name
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import measure_of
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.units import Units, units_of

RESAMPLES = 1000
LEVEL = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """One metric of side A minus side B.

    Attributes:
        a: Mean over side A's runs.
        b: Mean over side B's runs.
        interval: Of a - b, over resampled speakers or clips; it does not cover the spread between seeds.
        units: What was resampled.
    """

    a: float
    b: float
    interval: Interval
    units: Units

    @property
    def clear(self) -> bool:
        """Whether 0 lies outside the interval, and the units are enough to tell."""
        return self.units.enough and (self.interval[0] > 0 or self.interval[1] < 0)


def intervals(
    measure: Callable[[Array], Metrics], units: Array, resamples: int = RESAMPLES, level: float = LEVEL
) -> dict[str, Interval]:
    """Percentile bootstrap intervals over units; the same ones are drawn every time.

    Args:
        measure: Metrics of the clips with some row numbers.
        units: (N,) numbers of the units that are drawn; clips with one number, such as those of a speaker, are drawn
            together.
        resamples: Number of resamples; each draws as many units as there are, with replacement.
        level: Share of resamples in an interval.

    Returns:
        Metric to (low, high); NaN resamples (no correlation of a constant) are left out.
    """
    return _percentiles([measure(rows) for rows in _draws(units, resamples)], level)


def compare(
    a: Sequence[Path], b: Sequence[Path], split: str = "test", resamples: int = RESAMPLES, level: float = LEVEL
) -> dict[str, Difference]:
    """The paired difference between two sides of one or more runs each (seeds) on the same clips.

    In each resample the same speakers are drawn for every run (clips, if these have no speakers; the languages of one
    text together), and each side's metric is its runs' mean.

    Args:
        a: Run folders.
        b: Run folders.
        split: train, valid or test.
        resamples: Number of resamples.
        level: Of the intervals.

    Raises:
        FeatzooError: If a folder is not that of a finished run, or the runs do not predict the same clips and targets.
    """
    split = split_name(split) or split
    a_runs, b_runs = ([RunFolder.open(run) for run in side] for side in (a, b))
    first = a_runs[0]
    columns, kind, recorded = first.recipe.target.outputs, first.recipe.target.metrics, first.predictions(split)
    for other in (*a_runs, *b_runs):
        _check_comparable(first, other, split)
    truth, ids = recorded.truth, recorded.ids
    units = units_of(ids, recorded.groups)
    measures = [
        [measure_of(kind, one.predictions(split).pred, truth, columns, ids=ids) for one in side]
        for side in (a_runs, b_runs)
    ]

    def mean(side: Sequence[Callable[[Array], Metrics]], rows: Array) -> Metrics:
        each = [measure(rows) for measure in side]
        return {key: float(np.mean([values[key] for values in each])) for key in each[0]}

    whole = np.arange(len(truth))
    means = [mean(side, whole) for side in measures]
    drawn = []
    for rows in _draws(units.numbers, resamples):
        ours, theirs = (mean(side, rows) for side in measures)
        drawn.append({key: ours[key] - theirs[key] for key in ours})
    spans = _percentiles(drawn, level)
    return {key: Difference(means[0][key], means[1][key], spans[key], units) for key in means[0]}


def _check_comparable(first: RunFolder, other: RunFolder, split: str) -> None:
    ours, theirs = first.predictions(split), other.predictions(split)
    same_clips = ours.ids == theirs.ids and np.array_equal(ours.truth, theirs.truth)
    if _targets(first) != _targets(other) or not same_clips:
        raise FeatzooError(f"{other.path} and {first.path} do not predict the same clips of {split}: not comparable")


def _targets(run: RunFolder) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return run.recipe.target.columns, run.recipe.target.outputs


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

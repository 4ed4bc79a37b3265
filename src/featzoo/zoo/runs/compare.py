"""Bootstrap intervals of a run's metrics, and the difference between two sides with its interval and probability."""

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
from featzoo.zoo.runs.fold_folder import FOLDS, FoldsFolder
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.permutation import Measure, pairs_of, permutation_test
from featzoo.zoo.runs.units import Units, units_of

RESAMPLES = 1000
LEVEL = 0.95
ALPHA = 0.05

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """One metric of side A minus side B.

    Attributes:
        a: Mean over side A's runs.
        b: Mean over side B's runs.
        interval: Of a - b, over resampled speakers or clips; it does not cover the spread between seeds.
        p: Probability of a difference of this size by chance, from a permutation test over the same units.
        units: Speakers or clips that were resampled and swapped.
    """

    a: float
    b: float
    interval: Interval
    p: float
    units: Units

    @property
    def clear(self) -> bool:
        """Whether 0 lies outside the interval, chance is unlikely (p below .05), and the units are enough to tell."""
        outside = self.interval[0] > 0 or self.interval[1] < 0
        return self.units.enough and outside and self.p < ALPHA


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
    text together), and each side's metric is its runs' mean. The permutation test swaps the sides of the same units.

    Args:
        a: Run folders, or folders of a recipe's folds.
        b: As `a`.
        split: train, valid or test.
        resamples: Number of resamples.
        level: Of the intervals.

    Raises:
        FeatzooError: If a folder is not that of a finished run, or the runs do not predict the same clips and targets.
    """
    split = split_name(split) or split
    a_runs, b_runs = ([_opened(run) for run in side] for side in (a, b))
    first = a_runs[0]
    columns, kind, recorded = first.recipe.target.outputs, first.recipe.target.metrics, first.predictions(split)
    for other in (*a_runs, *b_runs):
        check_comparable(first, other, split)
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
    chance = permutation_test(_pairs(a_runs, b_runs, split), units.numbers)
    return {key: Difference(means[0][key], means[1][key], spans[key], chance[key], units) for key in means[0]}


def _pairs(a_runs: Sequence[RunFolder], b_runs: Sequence[RunFolder], split: str) -> list[Measure]:
    """For each pair of runs, a measure of the predictions of side A followed by those of side B."""
    target = a_runs[0].recipe.target
    pairs: list[Measure] = []
    for i, j in pairs_of(len(a_runs), len(b_runs)):
        ours, theirs = a_runs[i].predictions(split), b_runs[j].predictions(split)
        pred, truth = np.concatenate([ours.pred, theirs.pred]), np.concatenate([ours.truth, theirs.truth])
        pairs.append(measure_of(target.metrics, pred, truth, target.outputs, ids=ours.ids + theirs.ids))
    return pairs


def check_comparable(first: RunFolder, other: RunFolder, split: str) -> None:
    """Check that two runs predict the same targets of the same clips.

    Raises:
        FeatzooError: If they do not.
    """
    ours, theirs = first.predictions(split), other.predictions(split)
    same_clips = ours.ids == theirs.ids and np.array_equal(ours.truth, theirs.truth)
    if _targets(first) != _targets(other) or not same_clips:
        raise FeatzooError(f"{other.path} and {first.path} do not predict the same clips of {split}: not comparable")


def _opened(path: Path) -> RunFolder:
    """A run, or a recipe's folds as one. Its weights are not needed."""
    return FoldsFolder(path) if (path / FOLDS).is_file() else RunFolder.open(path)


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

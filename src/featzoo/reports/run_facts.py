"""Finished runs beside each other: their predictions of one split, errors by clip, and settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError, StoreError
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.vocabulary import split_name
from featzoo.zoo.metrics.targets import measure_of
from featzoo.zoo.runs.compare import Interval, intervals
from featzoo.zoo.runs.fold_folder import open_run_or_folds
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.predictions import RecordedPredictions
from featzoo.zoo.runs.units import Units, units_of
from featzoo.zoo.target import Target


@dataclass(frozen=True)
class RunFacts:
    """One run and its predictions of the split that is reported.

    Attributes:
        name: A name that no other run of the report has.
        folder: The run's folder.
        recorded: Its predictions of the split.
        split: The split.
    """

    name: str
    folder: RunFolder
    recorded: RecordedPredictions
    split: str

    @property
    def ids(self) -> tuple[str, ...]:
        """N clip ids."""
        return self.recorded.ids

    @property
    def truth(self) -> Array:
        """(N, K) targets, or (N, 1) class numbers."""
        return self.recorded.truth

    @property
    def pred(self) -> Array:
        """(N, K) predictions, or (N, C) probabilities of classes."""
        return self.recorded.pred

    @property
    def kind(self) -> str:
        """The recipe's `target.metrics`."""
        return self.folder.recipe.target.metrics

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the targets, or of the classes."""
        return self.folder.recipe.target.outputs

    @cached_property
    def errors(self) -> Array:
        """(N,) mean absolute error of each clip; of a class, 1 minus the probability of the true one."""
        if self.kind == "class":
            rows = np.arange(len(self.truth))
            return 1 - np.asarray(self.pred[rows, self.truth[:, 0].astype(int)], dtype=np.float64)
        errors: Array = np.abs(self.pred - self.truth).mean(axis=1)
        return errors

    @cached_property
    def rows(self) -> dict[str, int]:
        """Clip id to its row."""
        return {name: row for row, name in enumerate(self.ids)}

    @cached_property
    def units(self) -> Units:
        """What is resampled for intervals: speakers, or clips."""
        return units_of(self.ids, self.recorded.groups)

    def intervals(self) -> dict[str, Interval]:
        """Metric to its 95 % bootstrap interval."""
        measure = measure_of(self.kind, self.pred, self.truth, self.outputs, ids=self.ids)
        return intervals(measure, self.units.numbers)


@dataclass(frozen=True)
class Runs:
    """The runs of a report.

    Attributes:
        runs: At least one.
        store: The store of the first run; None if it is not there any more.
        clips: Its clips.
        split: The split that is reported.
    """

    runs: Sequence[RunFacts]
    store: FeatureStore | None
    clips: Mapping[str, Clip]
    split: str

    @cached_property
    def common(self) -> list[str]:
        """The clips that all runs predict, those with the largest mean error first."""
        shared = set(self.runs[0].ids).intersection(*(run.ids for run in self.runs))
        means = {name: float(np.mean([run.errors[run.rows[name]] for run in self.runs])) for name in shared}
        return sorted(shared, key=lambda name: (-means[name], name))


def run_facts(paths: Sequence[Path], split: str = "") -> Runs:
    """Open finished runs.

    Args:
        paths: Their folders, or those of all folds of a recipe.
        split: train, valid or test; by default test, or valid if a run recorded no predictions of test.

    Raises:
        FeatzooError: If a folder is not that of a finished run, the runs predict other labels, or one recorded no
            predictions of the split.
    """
    folders = [open_run_or_folds(path) for path in dict.fromkeys(Path(path) for path in paths)]
    first = folders[0].recipe.target
    for folder in folders:
        target = folder.recipe.target
        if _predicts(target) != _predicts(first):
            raise FeatzooError(
                f"{folder.path} predicts {_predicts(target)}, {folders[0].path} predicts {_predicts(first)}: one "
                "report shows runs that predict the same"
            )
    chosen = split_name(split) or split or ("test" if all("test" in f.metrics for f in folders) else "valid")
    found = []
    for name, folder in zip(_names([folder.path for folder in folders]), folders, strict=True):
        found.append(RunFacts(name, folder, folder.predictions(chosen), chosen))
    try:
        store = FeatureStore(folders[0].store)
        return Runs(found, store, store.clips(), chosen)
    except StoreError:
        return Runs(found, None, {}, chosen)


def _predicts(target: Target) -> str:
    classes = f": {', '.join(target.classes)}" if target.classes else ""
    return f"{', '.join(target.columns)} ({target.metrics}{classes})"


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names, with as many parents as make them differ."""
    resolved = [path.resolve() for path in paths]
    deepest = max(len(path.parts) for path in resolved)
    for length in range(1, deepest + 1):
        names = ["/".join(path.parts[-length:]) for path in resolved]
        if len(set(names)) == len(names):
            break
    return names

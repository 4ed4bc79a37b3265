"""The folder of all folds of a recipe, read as one run: its predictions are those of every fold's test split."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from featzoo.errors import FeatzooError
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.runs.folder import METRICS, RunFolder
from featzoo.zoo.runs.predictions import RecordedPredictions, joined

FOLDS = "folds.csv"


class FoldsFolder(RunFolder):
    """The folder of a training in folds. Recipe, features and environment are those of the first fold.

    Args:
        path: The folder.

    Raises:
        FeatzooError: If a fold's run is missing or has not finished.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._reading(METRICS):
            numbers = sorted(map(int, self._summary["folds"]))
        self._runs = [self._run_of(number) for number in numbers]

    def _run_of(self, number: int) -> RunFolder:
        found = sorted(self.path.glob(f"fold-{number}-s*"))
        if len(found) != 1:
            raise FeatzooError(f"{self.path} has {len(found)} runs of fold {number}, and needs one: train it again")
        return RunFolder.open_finished(found[0])

    @property
    def table(self) -> list[list[str]]:
        """Rows of text: a header, each fold's test metrics, and those of all predictions together."""
        with self._reading(FOLDS), (self.path / FOLDS).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the first fold."""
        return self._runs[0].recipe

    @property
    def recorded_sets(self) -> Mapping[str, Mapping[str, Any]]:
        """The feature sets of the first fold."""
        return self._runs[0].recorded_sets

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """Where and with what the first fold was trained."""
        return self._runs[0].environment

    @property
    def seconds(self) -> float:
        """Wall time of all trainings."""
        return sum(run.seconds for run in self._runs)

    @cached_property
    def epochs(self) -> list[dict[str, Any]]:
        """None: each fold has its own."""
        return []

    def predictions(self, split: str) -> RecordedPredictions:
        """The predictions of every fold's test split.

        Args:
            split: test; the other splits of a fold are in the test splits of others.

        Raises:
            FeatzooError: For another split.
        """
        if split != "test":
            raise FeatzooError(f"{self.path} holds folds, of which only test can be joined; got split '{split}'")
        return joined([run.predictions(split) for run in self._runs])


def open_run_or_folds(path: Path) -> RunFolder:
    """A finished run, or the folder of all folds of a recipe.

    Raises:
        FeatzooError: If it is neither, or has not finished.
    """
    return FoldsFolder(path) if (path / FOLDS).is_file() else RunFolder.open_finished(path)

"""A run's folder: each file is read once, and gives the recipe, the trained head, its feature sets or predictions.

torch is imported by what makes a head or reads tensors, so that a wrong folder is refused at once.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from featzoo.errors import FeatzooError, InvalidOption, suggestion
from featzoo.extractors.contract import Extractor
from featzoo.untrusted import parse_json
from featzoo.zoo.data.feature_choice import Chosen, checked_record, same_sets
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import Recipe, read
from featzoo.zoo.runs.bundle_digests import check_digests
from featzoo.zoo.runs.earlier_options import with_earlier_options
from featzoo.zoo.runs.epoch_log import read_epochs
from featzoo.zoo.runs.predictions import RecordedPredictions, recorded_predictions
from featzoo.zoo.runs.recorded_extractors import rebuild
from featzoo.zoo.runs.trust import check_trust, classes_named

if TYPE_CHECKING:
    from featzoo.cache.store import FeatureStore
    from featzoo.zoo.data.split import Statistics
    from featzoo.zoo.head import Head
    from featzoo.zoo.metrics.regression import Metrics

# metrics.json is written last: a folder without it is of a run that has not finished.
RECIPE, WEIGHTS, STATISTICS = "recipe.toml", "weights.safetensors", "statistics.safetensors"
FEATURES, ENVIRONMENT, METRICS, LOG = "features.json", "environment.json", "metrics.json", "metrics.jsonl"
PREDICTIONS, STATE = "predictions.csv", "resume.pt"
# The files of a finished run that its head needs.
CORE = (RECIPE, FEATURES, ENVIRONMENT, STATISTICS, WEIGHTS, METRICS)


class RunFolder:
    """A run's folder, opened. A file is read when it is first needed, and never a second time.

    Args:
        path: The folder.
        trust: Whether it may import classes that its user has not trained with; see `trust`.

    Raises:
        FeatzooError: From any attribute or method, if the file that it needs is missing or damaged.
    """

    def __init__(self, path: Path, trust: bool = False) -> None:
        self.path = path
        self._trust = trust

    @classmethod
    def open(cls, path: Path, trust: bool = False) -> Self:
        """The folder of a run, finished or not.

        Args:
            path: The folder.
            trust: Whether it may import classes that its user has not trained with; see `trust`.

        Raises:
            FeatzooError: If it is not the folder of a run.
        """
        path = Path(path)
        if not (path / RECIPE).is_file():
            raise FeatzooError(f"{path} is not a run folder: it has no {RECIPE}. `zoo train` makes run folders")
        return cls(path, trust)

    @classmethod
    def open_finished(cls, path: Path, trust: bool = False) -> Self:
        """The folder of a finished run.

        Args:
            path: The folder.
            trust: As in `open`.

        Raises:
            FeatzooError: If it is not the folder of a run, the run has not finished, or a file is not the one that
                the run was shared with.
        """
        run = cls.open(path, trust)
        missing = [name for name in (FEATURES, ENVIRONMENT, WEIGHTS, METRICS) if not (run.path / name).is_file()]
        if missing:
            lacking = ", ".join(missing)
            raise FeatzooError(f"{path} is a run that did not finish: it has no {lacking}. Resume its training first")
        check_digests(run.path, CORE)
        return run

    @property
    def finished(self) -> bool:
        """Whether the run's training has finished."""
        return (self.path / METRICS).is_file()

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, with every default filled in: those of the version that trained the run."""
        return with_earlier_options(read(self.path / RECIPE))

    @property
    def recorded_sets(self) -> Mapping[str, Mapping[str, Any]]:
        """Role to the feature set that the run was trained on, as `feature_choice.describe` recorded it."""
        with self._reading(FEATURES):
            sets: Mapping[str, Mapping[str, Any]] = {
                role: checked_record(one) for role, one in self._features["sets"].items()
            }
        return sets

    @property
    def specs(self) -> dict[str, InputSpec]:
        """Role to the width and kind of the features that the head was made for."""
        return {
            role: InputSpec(one["width"], one["ids"], one["model"], bool(one["key"]))
            for role, one in self.recorded_sets.items()
        }

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """Where, with what and by which command the run was made; see `files.environment`."""
        return self._json(ENVIRONMENT)

    @property
    def store(self) -> Path:
        """The feature store that the run was trained on."""
        with self._reading(ENVIRONMENT):
            return Path(self.environment["store"])

    @cached_property
    def statistics(self) -> Statistics:
        """The train split's statistics, which standardise the inputs."""
        from featzoo.zoo.files import read_statistics

        with self._reading(STATISTICS):
            return read_statistics(self.path / STATISTICS)

    @property
    def seconds(self) -> float:
        """Wall time of the training."""
        with self._reading(METRICS):
            return float(self._summary["seconds"])

    @cached_property
    def epochs(self) -> list[dict[str, Any]]:
        """The epochs so far; see `read_epochs`."""
        return read_epochs(self.path / LOG)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, from 1."""
        with self._reading(METRICS):
            return int(self._summary["best_epoch"])

    @property
    def constants(self) -> dict[str, dict[str, Metrics]]:
        """Split to the metrics of constant predictions, by name."""
        with self._reading(METRICS):
            return {
                split: {name: _floats(one) for name, one in values.items() if name != "head"}
                for split, values in self._summary["splits"].items()
            }

    @property
    def metrics(self) -> dict[str, Metrics]:
        """Split to the head's metrics; NaN where one does not exist."""
        with self._reading(METRICS):
            return {split: _floats(values["head"]) for split, values in self._summary["splits"].items()}

    def check_trust(self) -> None:
        """Check that the user trusts the classes that the run imports. Needed before any of them is imported.

        Raises:
            UntrustedRun: If the user does not.
        """
        check_trust(self.path, classes_named(self.recipe.head, self.recorded_sets), self._trust)

    def head(self) -> Head:
        """The trained head, in evaluation mode, on the CPU; the original encoder's weights are not needed.

        Raises:
            UntrustedRun: If the user does not trust the classes that the run imports.
            FeatzooError: If a file is damaged, or the weights are not those of the head.
        """
        from featzoo.zoo.head import make_head
        from featzoo.zoo.objective import Objective
        from featzoo.zoo.runs.trained_weights import load_trained, read_asset

        self.check_trust()
        with self._reading(FEATURES):
            assets = {name: read_asset(self.path, name) for name in self._features["assets"]}
        recipe = self.recipe
        outputs, objective = len(recipe.target.outputs), Objective(recipe.target.predicts)
        make = partial(make_head, recipe.head, recipe.options, self.specs, outputs, assets, objective)
        return load_trained(make, self.path / WEIGHTS).eval()

    def sets(self, store: FeatureStore, without: Collection[str] = ()) -> dict[str, Chosen]:
        """Role to the feature set of a store that the run was trained on, digest for digest.

        Args:
            store: To look in.
            without: Roles whose set may be missing: they are masked then.

        Raises:
            StoreError: If the store does not hold exactly these sets.
        """
        return same_sets(store, self.path, self.recorded_sets, without)

    def extractors(self, without: Collection[str] = ()) -> dict[str, Extractor | None]:
        """Role to the extractor that makes the features the run was trained on; None where the head predicts without.

        Args:
            without: Roles to mask.

        Raises:
            InvalidOption: If the run has no such role.
            UntrustedRun: If the user does not trust the classes that the run imports.
            FeatzooError: If a set cannot be made here as it was for training.
        """
        from featzoo.zoo.head import roles_for_losses

        self.check_trust()
        sets = self.recorded_sets
        for role in without:
            if role not in sets:
                raise InvalidOption(f"run {self.path.name} has no input '{role}'{suggestion(role, sets)}")
        masked = {*without, *roles_for_losses(self.recipe.head)}
        return {
            role: rebuild(self.path.name, role, one) if one["key"] and role not in masked else None
            for role, one in sets.items()
        }

    def predictions(self, split: str) -> RecordedPredictions:
        """The predictions that the run recorded for a split.

        Args:
            split: train, valid or test.

        Raises:
            FeatzooError: If the run recorded none for it.
        """
        rows = [row for row in self._predicted if row.get("split") == split]
        if not rows:
            raise FeatzooError(f"{self.path} has no predictions of split '{split}'")
        with self._reading(PREDICTIONS):
            return recorded_predictions(rows, self.recipe.target)

    @cached_property
    def _predicted(self) -> list[dict[str, str]]:
        with self._reading(PREDICTIONS), (self.path / PREDICTIONS).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @cached_property
    def _features(self) -> Mapping[str, Any]:
        return self._json(FEATURES)

    @cached_property
    def _summary(self) -> Mapping[str, Any]:
        return self._json(METRICS)

    def _json(self, name: str) -> Mapping[str, Any]:
        with self._reading(name):
            found = parse_json((self.path / name).read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"it holds a {type(found).__name__}, not an object")
            return found

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Turn what a damaged file leads to into an error that names the file."""
        try:
            yield
        except OSError as error:
            raise FeatzooError(f"{self.path} is not a complete run folder: {name} cannot be read ({error})") from error
        except (ValueError, TypeError, LookupError, AttributeError, csv.Error) as error:
            met = f"{type(error).__name__}: {error}"
            raise FeatzooError(f"{self.path / name} is damaged, or not as featzoo writes it ({met})") from error


def _floats(values: Mapping[str, float | None]) -> Metrics:
    """Metrics from JSON, which has null for NaN."""
    return {key: float("nan") if value is None else float(value) for key, value in values.items()}

"""Writes a run's folder: what is known before training, a log of its epochs, and its results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featzoo.config import to_toml
from featzoo.durable import refused, write
from featzoo.errors import FeatzooError
from featzoo.zoo import files
from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import Head
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.runs import report
from featzoo.zoo.runs.confusion import confusion_csv, confusion_picture
from featzoo.zoo.runs.events import EventsFile
from featzoo.zoo.runs.folder import ENVIRONMENT, FEATURES, LOG, METRICS, PREDICTIONS, RECIPE, STATISTICS, WEIGHTS
from featzoo.zoo.runs.trackers import Tracker
from featzoo.zoo.runs.trait_plots import trait_distributions
from featzoo.zoo.runs.trust import classes_named, remember
from featzoo.zoo.training.checkpoint import Epoch, Trained
from featzoo.zoo.training.progress import TrainingProgress


@dataclasses.dataclass(frozen=True)
class RunWriter:
    """Writes what a training gives into its folder.

    Attributes:
        path: The folder.
        recipe: As resolved.
        head: In training.
        splits: train, valid, and test where there is one.
        sets: What `feature_choice.describe` gave.
        environment: What `files.environment` gave.
    """

    path: Path
    recipe: Recipe
    head: Head
    splits: Mapping[str, Split]
    sets: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any]

    def begin(self) -> None:
        """Make the folder, and write what is known before training.

        Raises:
            FeatzooError: If it holds a run already, or cannot be made.
        """
        path = self.path
        if (path / RECIPE).exists():
            raise FeatzooError(f"{path} already holds a run: resume it, or choose another folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused(path, error) from error
        options = {k: v for k, v in dataclasses.asdict(self.head.options).items() if v is not None}
        resolved = dataclasses.replace(self.recipe, options=options, ablations={}, published={}, tune={})
        used = "".join(f"# {role}: {one['key']}\n" for role, one in self.sets.items())
        remember(classes_named(self.recipe.head, self.sets))
        write(path / RECIPE, f"# As resolved; the feature sets that were used:\n{used}\n{to_toml(resolved)}")
        clips = {name: dataclasses.asdict(split.counts) for name, split in self.splits.items()}
        assets = self.head.assets()
        files.write_json(path / FEATURES, {"sets": self.sets, "clips": clips, "assets": list(assets)})
        files.write_json(path / ENVIRONMENT, self.environment)
        files.write_statistics(path / STATISTICS, self.splits["train"].statistics)
        for name, text in assets.items():
            write(path / name, text)

    def finish(
        self,
        trained: Trained,
        predicted: Mapping[str, Array],
        metrics: Mapping[str, Mapping[str, Metrics]],
        seconds: float,
    ) -> None:
        """Write the results; the metrics come last, and mark the run as finished.

        Args:
            trained: What training gave.
            predicted: Split to (N, K) predictions.
            metrics: Split to the metrics of the head and of the constant predictors.
            seconds: Wall time of the training.
        """
        path, target = self.path, self.recipe.target
        pairs = [(self.splits[name], pred) for name, pred in predicted.items()]
        if target.metrics == "traits":
            split, pred = pairs[-1]
            title = f"{path.name}: {split.name}, {len(split)} clips"
            labels = self.splits["train"].labels
            write(path / "traits.png", trait_distributions(pred, split.targets, labels, target.columns, title))
        self.head.export(path)
        write(path / PREDICTIONS, files.predictions_csv(target, pairs))
        if trained.epochs:
            write(path / "curves.png", report.curves(trained, pairs, target.outputs, target.metrics))
        if target.kind == "class":
            write(path / "confusion.csv", confusion_csv(pairs, target.classes))
            write(path / "confusion.png", confusion_picture(pairs, target.classes))
        counts = {name: split.counts for name, split in self.splits.items()}
        text = report.card(path.name, self.recipe, self.head, self.sets, counts, metrics, trained, self.environment)
        write(path / "README.md", text)
        best = trained.best.epoch if trained.best else 0
        summary = {"best_epoch": best, "epochs": len(trained.epochs), "seconds": seconds, "splits": metrics}
        if isinstance(self.head, FittedHead):
            summary["choices"] = self.head.choices
        files.write_json(path / METRICS, summary)


class SilentLog:
    """The log of every process of a training but the first, which writes nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """Ignore an epoch."""

    def cut(self, state: Mapping[str, Any] | None) -> None:
        """Ignore that training resumes."""

    def close(self) -> None:
        """Close nothing."""


class EpochLog(SilentLog):
    """A line of JSON for each epoch, TensorBoard events, and the best weights so far."""

    def __init__(self, path: Path, head: Head, progress: TrainingProgress, tracker: Tracker | None = None) -> None:
        self.path, self.head, self.progress = path, head, progress
        self.events, self.tracker = EventsFile(path / "tensorboard"), tracker

    def cut(self, state: Mapping[str, Any] | None) -> None:
        """Drop the epochs after the checkpoint that training resumes from: they are run again."""
        done = len(state["epochs"]) if state else 0
        lines = (self.path / LOG).read_text(encoding="utf-8").splitlines(keepends=True) if done else []
        write(self.path / LOG, "".join(lines[:done]))
        self.progress.line(f"resuming after epoch {done}")

    def epoch(self, epoch: Epoch) -> None:
        """Record an epoch."""
        self.progress.epoch(epoch)
        files.append(self.path / LOG, dataclasses.asdict(epoch))
        kinds = {
            "train": epoch.losses, "valid": epoch.dev_losses, "rate": epoch.rates, "gradient": epoch.gradients
        }  # fmt: skip
        scalars = {f"{kind}/{name}": value for kind, values in kinds.items() for name, value in values.items()}
        scalars["valid/mae"] = epoch.dev_mae
        if epoch.chosen_by in ("BA", "UAR"):
            scalars[f"valid/{epoch.chosen_by.lower()}"] = epoch.score
        self.events.add(scalars, epoch.epoch)
        if self.tracker is not None:
            self.tracker.add(scalars, epoch.epoch)
        if epoch.best:
            files.write_weights(self.path / WEIGHTS, self.head.state_dict())

    def close(self) -> None:
        """Close the events file, and the run in the tracker."""
        self.events.close()
        if self.tracker is not None:
            self.tracker.close()

"""Run folders: a training from recipe to model card, and what can be asked of a finished run."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from featzoo.cache.store import FeatureStore
from featzoo.config import to_toml
from featzoo.durable import write
from featzoo.errors import FeatzooError, MissingFeatures
from featzoo.zoo import files
from featzoo.zoo.data.feature_choice import Chosen, choose, describe, same_sets
from featzoo.zoo.data.load import chooses, load_split
from featzoo.zoo.data.split import Array, Counts, Split
from featzoo.zoo.head import Head, make_head
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import constant_metrics, target_metrics
from featzoo.zoo.recipe import Recipe, find_recipe, read
from featzoo.zoo.runs import report
from featzoo.zoo.runs.trait_plots import trait_distributions
from featzoo.zoo.training.checkpoint import Checkpoint, Epoch, Trained, of_first
from featzoo.zoo.training.epoch_choice import judge_of
from featzoo.zoo.training.loop import accelerator_on, evaluate, seed_everything, train
from featzoo.zoo.training.progress import TrainingProgress

# What a run folder holds; metrics.json is written last, so a folder without it is unfinished.
RECIPE, WEIGHTS, STATISTICS = "recipe.toml", "weights.safetensors", "statistics.safetensors"
FEATURES, ENVIRONMENT, METRICS, LOG = "features.json", "environment.json", "metrics.json", "metrics.jsonl"
STATE, TRAITS = "resume.pt", "traits.png"


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        path: Its folder.
        recipe: Name of its recipe.
        used: Role to the key of the feature set that it read.
        counts: Split to what became of its clips.
        metrics: Split (valid, and test where there is one) to the head's metrics.
        constant: Split to what the train mean and median would score.
        best_epoch: The epoch that dev chose, from 1.
        epochs: How many were run.
        seconds: Wall time, loading included.
    """

    path: Path
    recipe: str
    used: Mapping[str, str]
    counts: Mapping[str, Counts]
    metrics: Mapping[str, Metrics]
    constant: Mapping[str, Mapping[str, Metrics]]
    best_epoch: int
    epochs: int
    seconds: float

    @property
    def picture(self) -> Path:
        """Curves and predictions."""
        return self.path / "curves.png"


def train_recipe(
    name: str | Path,
    store: Path,
    runs: Path = Path("runs"),
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    folder: str = "",
) -> Run:
    """Train a recipe's head on a feature store's train split, choose by its dev split, report both and test.

    Args:
        name: A recipe, or the path of one.
        store: The feature store.
        runs: Where the run's folder is made.
        overrides: Dotted recipe field to value, such as `training.epochs` to 3.
        device: auto, cpu, cuda, cuda:<number> or mps.
        folder: The run's folder in `runs`; by default recipe, date and a random end.

    Raises:
        FeatzooError: If recipe, features, labels, weights or device do not allow it.
    """
    recipe = find_recipe(name, overrides)
    opened = FeatureStore(Path(store))
    chosen = choose(opened, recipe)
    path = Path(runs) / (folder or f"{recipe.name}-{date.today().isoformat()}-{uuid.uuid4().hex[:6]}")
    return _train(recipe, opened, chosen, path, device, resumed=False)


def resume_run(run: Path, device: str = "auto") -> Run:
    """Go on with a training that was stopped; on the same device it ends as if it had not been.

    It goes on after the last epoch whose state was kept (`training.checkpoint_seconds`), or from the start.

    Args:
        run: The folder that `zoo train` had begun.
        device: auto, cpu, cuda, cuda:<number> or mps.

    Raises:
        FeatzooError: If the folder is no run, is finished, or the store does not hold the same features.
    """
    run = Path(run)
    if not all((run / name).is_file() for name in (RECIPE, FEATURES, ENVIRONMENT)):
        raise FeatzooError(f"{run} is not a run folder: `zoo train` makes runs")
    if (run / METRICS).is_file():
        raise FeatzooError(f"{run} is finished: `zoo evaluate {run}` computes its metrics again")
    recorded = json.loads((run / FEATURES).read_text(encoding="utf-8"))
    opened = FeatureStore(json.loads((run / ENVIRONMENT).read_text(encoding="utf-8"))["store"])
    return _train(read(run / RECIPE), opened, same_sets(opened, run, recorded["sets"]), run, device, resumed=True)


def _train(
    recipe: Recipe, opened: FeatureStore, chosen: Mapping[str, Chosen], path: Path, device: str, resumed: bool
) -> Run:
    started = time.perf_counter()
    accelerator = accelerator_on(device, recipe.training.precision)
    first = accelerator.is_main_process
    train_split = load_split(opened, recipe, "train", chosen)
    dev = load_split(opened, recipe, "valid", chosen, train_split.statistics)
    choosing = chooses(dev, recipe)
    test = _test(opened, recipe, chosen, train_split)
    seed_everything(recipe.training.seed)
    head = make_head(recipe.head, recipe.options, train_split.specs, len(recipe.target.columns))
    for stage in head.stages:  # says now, not after an hour, that a rate is missing
        head.parameter_groups(stage, recipe.training.learning_rates)
    counts = {split.name: split.counts for split in (train_split, dev, test) if split}
    environment = files.environment(str(accelerator.device), opened.path)
    if first and not resumed:
        if (path / RECIPE).exists():
            raise FeatzooError(f"{path} holds a run already: `zoo train --resume {path}` goes on with it")
        _begin(path, recipe, head, train_split, describe(chosen), counts, environment)
    path = of_first(path)  # its name may be drawn at random
    if not first:  # dropout of its own
        seed_everything(recipe.training.seed + accelerator.process_index)
    checkpoint = Checkpoint(path / STATE, recipe.training.checkpoint_seconds)
    with TrainingProgress(recipe.training.batch_size, first) as progress:
        _announce(progress, chosen, recipe, counts)
        log = _Log(path, head, progress) if first else _Silent()
        if resumed:
            log.cut(checkpoint.load())
        judge = judge_of(recipe.target.metrics)
        trained = train(
            head,
            train_split,
            choosing,
            recipe.training,
            accelerator,
            log.epoch,
            progress.step,
            progress.read,
            checkpoint,
            judge,
        )
        log.close()
    predicted = [
        (split, evaluate(head, split, recipe.training.batch_size, accelerator.device, head.stages[-1])[1])
        for split in (dev, test)
        if split
    ]
    metrics = {split.name: measure(recipe, train_split, split, pred) for split, pred in predicted}
    seconds = time.perf_counter() - started
    if first:
        if recipe.target.metrics == "traits":
            split, pred = predicted[-1]
            title = f"{path.name}: {split.name}, {len(split)} clips"
            drawn = trait_distributions(pred, split.targets, train_split.labels, recipe.target.columns, title)
            write(path / TRAITS, drawn)
        _finish(path, recipe, head, trained, predicted, metrics, counts, environment, describe(chosen), seconds)
    checkpoint.remove()
    accelerator.wait_for_everyone()  # until the run is written
    return Run(
        path, recipe.name, {role: one.key for role, one in chosen.items()}, counts,
        {split: values["head"] for split, values in metrics.items()},
        {split: constants(values) for split, values in metrics.items()},
        trained.best.epoch if trained.best else 0, len(trained.epochs), seconds,
    )  # fmt: skip


def _begin(
    path: Path,
    recipe: Recipe,
    head: Head,
    train_split: Split,
    sets: Mapping[str, Any],
    counts: Mapping[str, Counts],
    environment: Mapping[str, Any],
) -> None:
    path.mkdir(parents=True, exist_ok=True)
    options = dataclasses.asdict(head.options)
    plain = {k: v for k, v in options.items() if v is not None}
    resolved = dataclasses.replace(recipe, options=plain, ablations={}, published={})
    used = "".join(f"# {role}: {one['key']}\n" for role, one in sets.items())
    write(path / RECIPE, f"# As resolved; the feature sets that were used:\n{used}\n{to_toml(resolved)}")
    clips = {split: dataclasses.asdict(count) for split, count in counts.items()}
    assets = head.assets()
    files.write_json(path / FEATURES, {"sets": sets, "clips": clips, "assets": list(assets)})
    files.write_json(path / ENVIRONMENT, environment)
    files.write_statistics(path / STATISTICS, train_split.statistics)
    for name, text in assets.items():
        write(path / name, text)


def _announce(
    progress: TrainingProgress, chosen: Mapping[str, Chosen], recipe: Recipe, counts: Mapping[str, Counts]
) -> None:
    for role, one in chosen.items():
        wanted = recipe.inputs[role].features
        among = f" (choice {wanted.index(one.request) + 1} of {len(wanted)})" if len(wanted) > 1 else ""
        progress.line(f"{role}: {one.key or 'none, as the recipe says'}{among}")
    for split, count in counts.items():
        notes = [f"{count.without_target} without a label"] if count.without_target else []
        notes += [f"{count.unlabelled} used without their labels"] if count.unlabelled else []
        notes += [f"{n} left out, no {role}" for role, n in count.left_out.items()]
        notes += [f"{n} without {role}, masked" for role, n in count.missing.items() if chosen[role].key]
        notes += [f"{n} values of {role} not observed" for role, n in count.unobserved.items()]
        progress.line(f"{split}: {count.clips} clips{'; ' if notes else ''}{', '.join(notes)}")


class _Silent:
    """The log of every process but the first."""

    def epoch(self, epoch: Epoch) -> None:
        """Keep nothing."""

    def cut(self, state: Mapping[str, Any] | None) -> None:
        """Forget nothing."""

    def close(self) -> None:
        """Close nothing."""


class _Log(_Silent):
    """One line of JSON an epoch, TensorBoard events, the best weights so far."""

    def __init__(self, path: Path, head: Head, progress: TrainingProgress) -> None:
        self.path, self.head, self.progress = path, head, progress
        self.events = SummaryWriter(str(path / "tensorboard"))

    def cut(self, state: Mapping[str, Any] | None) -> None:
        """Forget the epochs after a kept state: they come again."""
        done = len(state["epochs"]) if state else 0
        lines = (self.path / LOG).read_text(encoding="utf-8").splitlines(keepends=True) if done else []
        write(self.path / LOG, "".join(lines[:done]))
        self.progress.line(f"going on after epoch {done}")

    def epoch(self, epoch: Epoch) -> None:
        """Record an epoch."""
        self.progress.epoch(epoch)
        files.append(self.path / LOG, dataclasses.asdict(epoch))
        kinds = {"train": epoch.losses, "valid": epoch.dev_losses, "rate": epoch.rates}
        for kind, values in kinds.items():
            for name, value in values.items():
                self.events.add_scalar(f"{kind}/{name}", value, epoch.epoch)
        self.events.add_scalar("valid/mae", epoch.dev_mae, epoch.epoch)
        if epoch.chosen_by == "BA":
            self.events.add_scalar("valid/ba", epoch.score, epoch.epoch)
        if epoch.best:
            files.write_weights(self.path / WEIGHTS, self.head.state_dict())

    def close(self) -> None:
        """Close the events file."""
        self.events.close()


def _finish(
    path: Path,
    recipe: Recipe,
    head: Head,
    trained: Trained,
    predicted: list[tuple[Split, Array]],
    metrics: Mapping[str, Mapping[str, Metrics]],
    counts: Mapping[str, Counts],
    environment: Mapping[str, Any],
    sets: Mapping[str, Any],
    seconds: float,
) -> None:
    head.export(path)
    write(path / "predictions.csv", files.predictions_csv(recipe.target.columns, predicted))
    write(path / "curves.png", report.curves(trained, predicted, recipe.target.columns, recipe.target.metrics))
    text = report.card(path.name, recipe, head, sets, counts, metrics, trained, environment)
    write(path / "README.md", text)
    best = trained.best.epoch if trained.best else 0
    summary = {"best_epoch": best, "epochs": len(trained.epochs), "seconds": seconds, "splits": metrics}
    files.write_json(path / METRICS, summary)


def _test(store: FeatureStore, recipe: Recipe, chosen: Mapping[str, Chosen], train_split: Split) -> Split | None:
    """The test split, which is scored once after training; None where the store has none with labels."""
    try:
        return load_split(store, recipe, "test", chosen, train_split.statistics)
    except MissingFeatures:
        return None


def measure(recipe: Recipe, train_split: Split, split: Split, pred: Array) -> dict[str, Metrics]:
    """The metrics of the `head` and of the constant predictors on (N, K) predictions of a split.

    Raises:
        FeatzooError: If a prediction is not finite.
    """
    kind, columns = recipe.target.metrics, recipe.target.columns
    if not np.isfinite(pred).all():
        raise FeatzooError(f"{int((~np.isfinite(pred)).sum())} predictions of {split.name} are not finite numbers")
    found = {"head": target_metrics(kind, pred, split.targets, columns, train_split.labels, split.ids)}
    return found | constant_metrics(kind, train_split.labels, split.targets, columns, split.ids)


def constants(values: Mapping[str, Metrics]) -> dict[str, Metrics]:
    """What `measure` gave for the constant predictors."""
    return {name: metrics for name, metrics in values.items() if name != "head"}

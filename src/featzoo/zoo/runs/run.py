"""Training a recipe into a run's folder, and resuming a training that was stopped."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from featzoo.cache.gc import FROZEN
from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError, TrainingStopped
from featzoo.wording import count, some
from featzoo.zoo import files
from featzoo.zoo.data.feature_choice import Chosen, choose, describe, unfinished
from featzoo.zoo.data.folds import with_groups, with_splits
from featzoo.zoo.data.labels import with_classes
from featzoo.zoo.data.load import chooses, fitted_targets
from featzoo.zoo.data.split import Array, Counts, Split
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.recipe import Recipe, find_recipe
from featzoo.zoo.runs.audit import audit_splits
from featzoo.zoo.runs.floors import floors
from featzoo.zoo.runs.folder import STATE, WEIGHTS, RunFolder
from featzoo.zoo.runs.preparation import load_splits, new_head
from featzoo.zoo.runs.scores import constants, measure
from featzoo.zoo.runs.settings import settings as settings_of
from featzoo.zoo.runs.trackers import open_tracker
from featzoo.zoo.runs.writer import EpochLog, RunWriter, SilentLog
from featzoo.zoo.training.checkpoint import Checkpoint, Trained, of_first
from featzoo.zoo.training.epoch_choice import criterion_of
from featzoo.zoo.training.evaluation import evaluation_batch, predictions
from featzoo.zoo.training.fitting import fit
from featzoo.zoo.training.frozen_features import for_stage
from featzoo.zoo.training.interruption import saves_before_stopping
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train
from featzoo.zoo.training.progress import TrainingProgress

# A set that stands in for features of faces, where none can be computed.
WEAK_VISION = "motion-energy"


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        path: Its folder.
        recipe: Name of its recipe.
        used: Role to the key of the feature set that it read; "" where the input was masked.
        counts: Split to how many of its clips were used, and why others were not.
        metrics: Split (valid, and test where there is one) to the head's metrics.
        constant: Split to the metrics of simple predictors: the train split's mean and median, and the `floors`.
        best_epoch: The epoch with the best dev score, from 1.
        epochs: Number of epochs that were run.
        seconds: Wall time, loading included.
        chosen_by: Name of the dev score, the best epoch's and the last epoch's; empty for a head without epochs. The
            last one was chosen by nothing.
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
    chosen_by: tuple[str, float, float] | None = None

    @property
    def picture(self) -> Path:
        """Curves and predictions."""
        return self.path / "curves.png"


def train_recipe(
    name: str | Path,
    store: str | Path,
    runs: str | Path = Path("runs"),
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    folder: str = "",
    strict: bool = False,
) -> Run:
    """Train a recipe's head on a store's train split, keep the epoch that is best on dev, and score dev and test.

    Args:
        name: A recipe, or the path of one.
        store: The feature store.
        runs: Where the run's folder is made.
        overrides: Dotted recipe field to value, such as `training.epochs` to 3.
        device: auto, cpu, cuda, cuda:N or mps.
        folder: The run's folder in `runs`; by default recipe, date and a random suffix.
        strict: Refuse to train if the audit finds that train shares something with dev or test.

    Raises:
        FeatzooError: If recipe, features, labels, weights or device do not allow it.
        TrainingStopped: On Ctrl+C or SIGTERM; the state after the last epoch is saved.
    """
    recipe = find_recipe(name, overrides)
    opened = FeatureStore(Path(store))
    chosen = choose(opened, recipe)
    recipe = resolve(recipe, opened)
    path = Path(runs) / (folder or f"{recipe.name}-{date.today().isoformat()}-{uuid.uuid4().hex[:6]}")
    return _train(recipe, opened, chosen, path, device, resumed=False, strict=strict)


def resolve(recipe: Recipe, store: FeatureStore) -> Recipe:
    """The recipe with what it takes from the store's clips: its classes, and the column that it splits by.

    Raises:
        FeatzooError: If labels or groups do not allow it.
    """
    clips = store.clips()
    recipe = with_groups(recipe, clips)
    return with_classes(recipe, clips if recipe.split.published else with_splits(clips, recipe))


def resume_run(run: Path, device: str = "auto", trust: bool = False) -> Run:
    """Resume a training that was stopped; on the same device it gives the same weights as one that was not.

    It continues after the epoch of the last checkpoint (`training.checkpoint_seconds`), or starts over without one.

    Args:
        run: The folder of the stopped run.
        device: auto, cpu, cuda, cuda:N or mps.
        trust: Whether the run may import classes that you have not trained with on this machine.

    Raises:
        UntrustedRun: If it names such classes, and `trust` is not given.
        FeatzooError: If the folder is not that of a run, the run is finished, or the store does not hold the same
            features.
    """
    folder = RunFolder.open(run, trust)
    if folder.finished:
        raise FeatzooError(f"{run} is finished: there is nothing to resume")
    folder.check_trust()
    store = FeatureStore(folder.store)
    return _train(folder.recipe, store, folder.sets(store), folder.path, device, resumed=True)


def _train(
    recipe: Recipe, store: FeatureStore, chosen: Mapping[str, Chosen], path: Path, device: str, resumed: bool,
    strict: bool = False,
) -> Run:  # fmt: skip
    started = time.perf_counter()
    accelerator = accelerator_on(device, recipe.training.precision)
    splits = load_splits(store, recipe, chosen)
    head = new_head(recipe, splits["train"])
    if "valid" in splits:
        chooses(splits["valid"], recipe)  # raises now, not after the folder is made
    path = of_first(path)  # its name may be drawn at random
    audit = audit_splits(recipe, splits, store.records())
    if strict and audit.findings:
        raise FeatzooError(f"the audit found leaks, and strict refuses them: {'; '.join(map(str, audit.findings))}")
    environment = files.environment(str(accelerator.device), store.path)
    environment["audit"] = [*audit.lines, *unfinished(store, chosen)]
    environment["precision"] = "fp32" if accelerator.mixed_precision == "no" else accelerator.mixed_precision
    writer = RunWriter(path, recipe, head, splits, describe(chosen), environment)
    first = accelerator.is_main_process
    if first and not resumed:
        writer.begin()
    checkpoint = Checkpoint(path / STATE, recipe.training.checkpoint_seconds)
    try:
        trained = _fit(writer, chosen, accelerator, checkpoint, resumed)
        predicted = _predict(writer, accelerator)
        metrics = {name: measure(recipe, splits["train"], splits[name], pred) for name, pred in predicted.items()}
        for name, beside in (floors(recipe, splits, store.clips()) if first else {}).items():
            metrics[name] |= beside
        seconds = time.perf_counter() - started
        if first:
            writer.finish(trained, predicted, metrics, seconds)
    except KeyboardInterrupt as interrupt:
        raise TrainingStopped(path, checkpoint.saved) from interrupt
    checkpoint.remove()
    accelerator.wait_for_everyone()  # until the run is written
    return Run(
        path, recipe.name, {role: one.key for role, one in chosen.items()},
        {name: split.counts for name, split in splits.items()},
        {name: values["head"] for name, values in metrics.items()},
        {name: constants(values) for name, values in metrics.items()},
        trained.best.epoch if trained.best else 0, len(trained.epochs), seconds, trained.dev_scores,
    )  # fmt: skip


def _fit(
    writer: RunWriter, chosen: Mapping[str, Chosen], accelerator: Accelerator, checkpoint: Checkpoint, resumed: bool
) -> Trained:
    """Train the writer's head, with a log of its epochs."""
    recipe, splits, first = writer.recipe, writer.splits, accelerator.is_main_process
    if not first:  # each process draws its own dropout
        seed_everything(recipe.training.seed + accelerator.process_index)
    with TrainingProgress(recipe.training.batch_size, first) as progress:
        _announce(progress, chosen, recipe, splits)
        for line in writer.environment["audit"]:
            progress.line(f"audit: {line}")
        if isinstance(writer.head, FittedHead):
            settings = recipe.training
            trained = fit(writer.head, splits["train"], settings.batch_size, settings.seed, recipe.split.by)
            if first:
                files.write_weights(writer.path / WEIGHTS, trained.weights)
            return trained
        name, wanted = writer.path.name, recipe.training.tracker
        tracker = open_tracker(wanted, name, settings_of(recipe)) if wanted and first else None
        log = EpochLog(writer.path, writer.head, progress, tracker) if first else SilentLog()
        if resumed:
            log.cut(checkpoint.load())
        with saves_before_stopping(checkpoint, first):
            trained = train(
                writer.head, splits["train"], chooses(splits["valid"], recipe), recipe.training, accelerator,
                log.epoch, progress.step, progress.read, checkpoint, criterion_of(recipe.target.metrics),
                _frozen(writer),
            )  # fmt: skip
        log.close()
    return trained


def _predict(writer: RunWriter, accelerator: Accelerator) -> dict[str, Array]:
    """(N, K) predictions of dev and test; what frozen parts give is read from the training, or computed once."""
    head, device, stage = writer.head, accelerator.device, writer.head.stages[-1]
    size, kept = evaluation_batch(writer.recipe.training.batch_size, device), _frozen(writer)
    found = {}
    for name, split in writer.splits.items():
        if name != "train":
            read = for_stage(head, split, stage, size, device, kept=kept)
            fitted = fitted_targets(split, writer.recipe) if name == "valid" else None
            found[name] = predictions(head, read, size, device, stage, fitted)
    return found


def _frozen(writer: RunWriter) -> Path:
    """The store's folder for the outputs of frozen parts."""
    return Path(writer.environment["store"]) / FROZEN


def _announce(
    progress: TrainingProgress, chosen: Mapping[str, Chosen], recipe: Recipe, splits: Mapping[str, Split]
) -> None:
    for role, one in chosen.items():
        wanted = recipe.inputs[role].features
        among = f" (choice {wanted.index(one.request) + 1} of {len(wanted)})" if len(wanted) > 1 else ""
        progress.line(f"{role}: {one.key}{among}" if one.key else f"{role}: not used by this recipe")
        if one.features is not None and one.features.name == WEAK_VISION:
            progress.line(f"warning: {role} has no face features, only {one.spec.width} numbers of motion energy")
    for name, split in splits.items():
        of = split.counts
        notes = [f"{of.without_target} without a label"] if of.without_target else []
        notes += [f"{of.unlabelled} used without their labels"] if of.unlabelled else []
        notes += [f"{n} left out, no {role}" for role, n in of.left_out.items()]
        notes += [f"{n} without {role}, masked" for role, n in of.missing.items() if chosen[role].key]
        notes += [f"{count(n, 'value')} of {role} not observed" for role, n in of.unobserved.items()]
        progress.line(f"{name}: {count(of.clips, 'clip')}{'; ' if notes else ''}{', '.join(notes)}")
        for line in _composition(recipe, split):
            progress.line(f"    {line}")


def _composition(recipe: Recipe, split: Split) -> list[str]:
    """The number of clips of each class, and the speakers."""
    lines = []
    if recipe.target.kind == "class":
        numbers = split.labels.ravel().tolist()
        each = [f"{name} {numbers.count(k)}" for k, name in enumerate(recipe.target.classes)]
        lines.append(f"{recipe.target.columns[0]}: {', '.join(each)}")
    speakers = sorted(set(split.groups.get("speaker", ())))
    return [*lines, f"{count(len(speakers), 'speaker')}: {some(speakers, 10)}"] if speakers else lines

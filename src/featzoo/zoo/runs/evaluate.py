"""A run's metrics, computed again from its weights and stored features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from featzoo.cache.store import FeatureStore
from featzoo.vocabulary import split_name
from featzoo.zoo.data.load import fitted_targets, load_split
from featzoo.zoo.data.split import Counts, Split
from featzoo.zoo.head import roles_for_losses
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import measure_of
from featzoo.zoo.runs.compare import Interval, intervals
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.scores import constants, measure
from featzoo.zoo.runs.units import Units, units_of
from featzoo.zoo.training.evaluation import evaluation_batch, predictions
from featzoo.zoo.training.frozen_features import for_stage
from featzoo.zoo.training.loop import accelerator_on


@dataclass(frozen=True)
class Evaluation:
    """A run's head on one split.

    Attributes:
        run: The run's folder.
        split: train, valid or test.
        counts: How many of the split's clips were used, and why others were not.
        metrics: The head's.
        constant: Metrics of the train split's mean and median as predictions, and of the floors that the run recorded.
        intervals: Metric to its 95 % bootstrap interval over `units`.
        units: What was resampled: speakers, or clips without speakers.
        stored: The metrics that the run recorded for the same clips; None where it recorded none.
    """

    run: Path
    split: str
    counts: Counts
    metrics: Metrics
    constant: Mapping[str, Metrics]
    intervals: Mapping[str, Interval]
    units: Units
    stored: Metrics | None


def evaluate_run(
    run: Path, store: Path | None = None, split: str = "test", device: str = "auto", trust: bool = False
) -> Evaluation:
    """Compute a run's metrics again from its weights and the features.

    Args:
        run: The run's folder.
        store: A feature store, of the same or another data set; by default the one that the run was trained on, whose
            train split gives the constant predictors where `store` has none.
        split: train, valid (or dev) or test.
        device: auto, cpu, cuda, cuda:N or mps.
        trust: Whether the run may import classes that you have not trained with on this machine.

    Raises:
        UntrustedRun: If it names such classes, and `trust` is not given.
        StoreError: If the store does not hold exactly the feature sets that the run was trained on.
        FeatzooError: If the folder is not that of a finished run, or the split has no clip.
    """
    folder = RunFolder.open_finished(run, trust)
    folder.check_trust()
    recipe, split = folder.recipe, split_name(split) or split
    opened = FeatureStore(store or folder.store)
    loaded = load_split(opened, recipe, split, folder.sets(opened, roles_for_losses(recipe.head)), folder.statistics)
    train_split = train_split_of(opened, folder)
    accelerator = accelerator_on(device, "fp32")
    head = folder.head().to(accelerator.device)
    with _threads(folder.environment.get("threads") if accelerator.device.type == "cpu" else None):
        size, stage = evaluation_batch(recipe.training.batch_size, accelerator.device), head.stages[-1]
        # In the batches of the end of training, but computed anew.
        read = for_stage(head, loaded, stage, size, accelerator.device)
        stored = _stored(folder, loaded)
        fitted = fitted_targets(loaded, recipe) if stored and split == "valid" else None
        pred = predictions(head, read, size, accelerator.device, stage, fitted)
    values = measure(recipe, train_split, loaded, pred)
    target = recipe.target
    score = measure_of(target.metrics, pred, loaded.targets, target.outputs, train_split.labels, loaded.ids)
    units = units_of(loaded.ids, loaded.groups)
    spans = intervals(score, units.numbers)
    # The floors were fitted when the run was trained.
    beside = constants(values) if stored is None else {**folder.constants[split], **constants(values)}
    return Evaluation(folder.path, split, loaded.counts, values["head"], beside, spans, units, stored)


def _stored(folder: RunFolder, split: Split) -> Metrics | None:
    """The metrics that the run recorded for a split, if it recorded them for the same clips."""
    found = folder.metrics.get(split.name)
    return found if found and folder.predictions(split.name).ids == split.ids else None


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Use the run's number of threads: the last digits of float32 sums depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_split_of(opened: FeatureStore, folder: RunFolder) -> Split:
    """The store's train split, else that of the store that the run was trained on."""
    here = any(split_name(clip.split) == "train" for clip in opened.clips().values())
    store = opened if here else FeatureStore(folder.store)
    sets = folder.sets(store, roles_for_losses(folder.recipe.head))
    return load_split(store, folder.recipe, "train", sets, folder.statistics)

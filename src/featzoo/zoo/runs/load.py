"""What can be asked of a finished run: its head, and its metrics computed again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError
from featzoo.zoo import files
from featzoo.zoo.data.feature_choice import same_sets
from featzoo.zoo.data.load import SPLITS, load_split
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import Head, InputSpec, make_head, roles_for_losses
from featzoo.zoo.metrics.binary import rows_of
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import measure_of
from featzoo.zoo.recipe import Recipe, read
from featzoo.zoo.runs.compare import Interval, intervals
from featzoo.zoo.runs.run import ENVIRONMENT, FEATURES, METRICS, RECIPE, STATISTICS, WEIGHTS, constants, measure
from featzoo.zoo.training.loop import accelerator_on, evaluate


@dataclass(frozen=True)
class Evaluation:
    """A run's weights on one split.

    Attributes:
        run: The run's folder.
        split: train, valid or test.
        counts: What became of the split's clips.
        metrics: The head's.
        constant: What the train mean and median would score.
        intervals: Metric to its 95 % bootstrap interval over clips.
        stored: What the run itself recorded for this split, if it did.
    """

    run: Path
    split: str
    counts: Counts
    metrics: Metrics
    constant: Mapping[str, Metrics]
    intervals: Mapping[str, Interval]
    stored: Metrics | None


def evaluate_run(run: Path, store: Path | None = None, split: str = "test", device: str = "auto") -> Evaluation:
    """Compute a run's metrics again from its weights and the features.

    Args:
        run: The run's folder.
        store: A feature store, of the same or another data set; by default the one that it was trained on, whose
            train split gives the constant predictors where `store` has none.
        split: train, valid (or dev) or test.
        device: auto, cpu, cuda, cuda:<number> or mps.

    Raises:
        StoreError: If the store does not hold the very feature sets that the run was trained on.
        FeatzooError: If the folder is no finished run, or the split has no clip.
    """
    recipe, recorded = _read(run)
    split = SPLITS.get(split, split)
    opened = FeatureStore(store or Path(recorded[ENVIRONMENT]["store"]))
    chosen = same_sets(opened, run, recorded[FEATURES]["sets"], roles_for_losses(recipe.head))
    statistics = files.read_statistics(run / STATISTICS)
    loaded = load_split(opened, recipe, split, chosen, statistics)
    train_split = _train_split(opened, run, recipe, recorded, statistics)
    accelerator = accelerator_on(device, "no")
    head = load_head(run).to(accelerator.device)
    with _threads(recorded[ENVIRONMENT].get("threads") if accelerator.device.type == "cpu" else None):
        _, pred = evaluate(head, loaded, recipe.training.batch_size, accelerator.device, head.stages[-1])
    values = measure(recipe, train_split, loaded, pred)
    stored = recorded[METRICS]["splits"].get(split, {}).get("head")
    if stored and _predicted(run, split) != list(loaded.ids):
        stored = None  # of other clips
    stored = {k: float("nan") if v is None else v for k, v in stored.items()} if stored else None
    target = recipe.target
    score = measure_of(target.metrics, pred, loaded.targets, target.columns, train_split.labels, loaded.ids)
    spans = intervals(score, rows_of(loaded.ids))
    return Evaluation(run, split, loaded.counts, values["head"], constants(values), spans, stored)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """As many threads as the run had: by how many float32 sums are shared, their last digits differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_split(
    opened: FeatureStore, run: Path, recipe: Recipe, recorded: Mapping[str, Any], statistics: Statistics
) -> Split:
    """The store's train split, else that of the store that the run was trained on."""
    sets, without = recorded[FEATURES]["sets"], roles_for_losses(recipe.head)
    if any(SPLITS.get(clip.split or "", "") == "train" for clip in opened.clips().values()):
        return load_split(opened, recipe, "train", same_sets(opened, run, sets, without), statistics)
    own = FeatureStore(Path(recorded[ENVIRONMENT]["store"]))
    return load_split(own, recipe, "train", same_sets(own, run, sets, without), statistics)


def _predicted(run: Path, split: str) -> list[str]:
    """Ids of the clips whose predictions the run recorded."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return [row["id"] for row in csv.DictReader(file) if row["split"] == split]


def load_head(run: Path) -> Head:
    """A run's trained head, in evaluation mode, on the CPU; the original encoder's weights are not needed.

    Raises:
        FeatzooError: If the folder is no finished run.
    """
    run = Path(run)
    recipe, recorded = _read(run)
    sets = recorded[FEATURES]["sets"]
    specs = {role: InputSpec(one["width"], one["ids"], one["model"], bool(one["key"])) for role, one in sets.items()}
    assets = {name: (run / name).read_text(encoding="utf-8") for name in recorded[FEATURES]["assets"]}
    head = make_head(recipe.head, recipe.options, specs, len(recipe.target.columns), assets)
    head.load_state_dict(load_file(run / WEIGHTS))
    return head.eval()


def recipe_and_statistics(run: Path) -> tuple[Recipe, Statistics]:
    """A finished run's recipe, and the train split's statistics that its inputs are standardised by.

    Raises:
        FeatzooError: If the folder is no finished run.
    """
    recipe, _ = _read(run)
    return recipe, files.read_statistics(Path(run) / STATISTICS)


def _read(run: Path) -> tuple[Recipe, dict[str, Any]]:
    """A finished run's recipe and JSON files."""
    run = Path(run)
    missing = [name for name in (RECIPE, FEATURES, WEIGHTS, METRICS) if not (run / name).is_file()]
    if missing:
        what = "a run that did not finish" if (run / RECIPE).is_file() else "not a run folder"
        raise FeatzooError(f"{run} is {what}: it has no {', '.join(missing)}. `zoo train` makes runs")
    names = (FEATURES, ENVIRONMENT, METRICS)
    return read(run / RECIPE), {name: json.loads((run / name).read_text(encoding="utf-8")) for name in names}

"""Several trainings of one recipe (seeds, variants); finished ones are kept and not repeated."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.config import to_toml
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.vocabulary import GROUPS
from featzoo.weights.locate import locate
from featzoo.zoo.data.feature_choice import choose
from featzoo.zoo.files import write_json
from featzoo.zoo.head import find_head
from featzoo.zoo.recipe import Recipe, find_recipe
from featzoo.zoo.runs.folder import METRICS, RECIPE, RunFolder
from featzoo.zoo.runs.run import resume_run, train_recipe

TRIAL = "trial.json"


@dataclass(frozen=True)
class Trial:
    """One training of one variant.

    Attributes:
        variant: Its name.
        seed: Of the training.
        path: The run's folder.
        metrics: Split to metric to value.
        seconds: Wall time.
        kept: Whether it was finished before.
    """

    variant: str
    seed: int
    path: Path
    metrics: Mapping[str, Mapping[str, float]]
    seconds: float
    kept: bool


@dataclass(frozen=True)
class Planned:
    """A training to be done: what is different, and where its run goes."""

    variant: str
    changes: Mapping[str, Any]
    seed: int
    path: Path


def variants(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The full model and the recipe's ablations, as tables of changes.

    Raises:
        FeatzooError: If the recipe has no ablations.
    """
    if not recipe.ablations:
        raise FeatzooError(f"recipe {recipe.name} lists no ablations: add [ablations.NAME] tables to a copy of it")
    made = {"full model": dict(changes)}
    return made | {name: {**changes, **one.set} for name, one in recipe.ablations.items()}


def layer_variants(recipe: Recipe, store: Path, changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One variant for each hidden state of the recipe's encoder, aligned there: `layer 0` is the embeddings.

    Raises:
        FeatzooError: If the head aligns at no layer, or the store does not hold the recipe's token ids.
    """
    options = {field.name for field in dataclasses.fields(find_head(recipe.head).options_class)}
    if "align_layer" not in options or "text" not in recipe.inputs:
        raise FeatzooError(f"recipe {recipe.name}: head {recipe.head} aligns at no layer; psa-mf does")
    text = choose(FeatureStore(store), recipe)["text"].spec.model
    depth = json.loads((locate(text) / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    return {f"layer {n}": {**changes, "options.align_layer": n} for n in range(depth + 1)}


def run_trials(
    name: str | Path,
    store: Path,
    folder: Path,
    wanted: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    device: str = "auto",
    jobs: int = 1,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Train every variant with every seed; those that are finished in `folder` are not trained again.

    Two trainings count as the same if their resolved recipes and the digests of their features are equal; the version
    of the code does not count. Use another folder to train again.

    Args:
        name: A recipe, or the path of one.
        store: The feature store.
        folder: Where the runs' folders are made.
        wanted: Variant to changes of the recipe.
        seeds: Seeds of each variant's trainings.
        device: auto, cpu, cuda, cuda:N or mps.
        jobs: Trainings at the same time, on the CPU: each with its share of the cores.
        on_trial: Called with each trial as soon as it is done.

    Returns:
        The trials in the order of `wanted` and `seeds`.

    Raises:
        FeatzooError: If a recipe, features, labels, weights or device do not allow it.
    """
    _check_single_process()
    plan = [
        Planned(variant, {**changes, "training.seed": seed}, seed, folder / f"{_slug(variant)}-s{seed}")
        for variant, changes in wanted.items()
        for seed in seeds
    ]
    done: dict[tuple[str, int], Trial] = {}
    for trial in _trials(name, store, plan, device, jobs):
        done[trial.variant, trial.seed] = trial
        on_trial(trial)
    return [done[one.variant, one.seed] for one in plan]


def _check_single_process() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InvalidOption(
            "several trainings in one command cannot share processes: start one command for each seed, or train "
            "several at the same time in one process each"
        )


def _trials(name: str | Path, store: Path, plan: Sequence[Planned], device: str, jobs: int) -> Iterator[Trial]:
    """The trials, each as soon as it is done."""
    from joblib import Parallel, cpu_count, delayed, parallel_config

    if jobs == 1:
        yield from (_trial(name, store, one, device) for one in plan)
        return
    with parallel_config(backend="loky", inner_max_num_threads=max(1, cpu_count() // jobs)):
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        yield from parallel(delayed(_trial)(name, store, one, device) for one in plan)


def _trial(name: str | Path, store: Path, plan: Planned, device: str) -> Trial:
    recipe = find_recipe(name, plan.changes)
    identity = identity_of(recipe, FeatureStore(store))
    place = plan.path / TRIAL
    same = place.is_file() and json.loads(place.read_text(encoding="utf-8"))["identity"] == identity
    if same and (plan.path / METRICS).is_file():
        return _read(plan, kept=True)
    if same and (plan.path / RECIPE).is_file():
        resume_run(plan.path, device)
        return _read(plan, kept=False)
    if not same and not _never_began(plan.path):
        raise FeatzooError(
            f"{plan.path} holds another training, of other data or settings: choose another folder, or delete this one"
        )
    plan.path.mkdir(parents=True, exist_ok=True)
    write_json(place, {"identity": identity, "variant": plan.variant, "changes": plan.changes})
    train_recipe(name, store, plan.path.parent, plan.changes, device, folder=plan.path.name)
    return _read(plan, kept=False)


def _never_began(folder: Path) -> bool:
    """Whether a folder is missing, or has nothing but the record of a training that was refused."""
    return not folder.exists() or {path.name for path in folder.iterdir()} <= {TRIAL}


def identity_of(recipe: Recipe, store: FeatureStore) -> str:
    """A digest of all that decides a training's result, but the code."""
    chosen = choose(store, recipe)
    digests = {role: one.features.digest if one.features else "" for role, one in chosen.items()}
    training = dataclasses.replace(recipe.training, tracker="")
    plain = dataclasses.replace(recipe, ablations={}, published={}, description="", tune={}, training=training)
    text = to_toml(plain) + json.dumps(digests, sort_keys=True) + _labels(recipe, store)
    return hashlib.sha256(text.encode()).hexdigest()


def _labels(recipe: Recipe, store: FeatureStore) -> str:
    """The clips' splits, labels and groups."""
    columns = (*recipe.target.columns, *GROUPS, recipe.split.by)
    return json.dumps(
        [
            [name, clip.split, [clip.labels.get(key) for key in columns], [clip.categories.get(key) for key in columns]]
            for name, clip in sorted(store.clips().items())
        ]
    )


def _read(plan: Planned, kept: bool) -> Trial:
    run = RunFolder.open_finished(plan.path)
    return Trial(plan.variant, plan.seed, plan.path, run.metrics, run.seconds, kept)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("w/o", "without")).strip("-")


def spread(trials: Sequence[Trial], split: str, metric: str) -> tuple[float, float]:
    """Mean and sample standard deviation (NaN of a single trial) of one metric over trials."""
    values = np.array([trial.metrics[split][metric] for trial in trials], dtype=np.float64)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def table(recipe: Recipe, trials: Sequence[Trial], split: str, metrics: Sequence[str]) -> list[list[str]]:
    """Rows of text: a header, then each variant's mean +- deviation by metric, the paper's test value beside it."""
    rows = [["variant", "runs", *(part for metric in metrics for part in (metric, "paper, test"))]]
    for variant in dict.fromkeys(trial.variant for trial in trials):
        those = [trial for trial in trials if trial.variant == variant]
        ablation = recipe.ablations.get(variant)
        published = ablation.published if ablation else recipe.published
        row = [variant, str(len(those))]
        for metric in metrics:
            mean, deviation = spread(those, split, metric)
            row.append(f"{mean:.4f}" + (f" +-{deviation:.4f}" if deviation == deviation else ""))
            row.append(f"{published[metric]:.4f}" if metric in published else "-")
        rows.append(row)
    return rows

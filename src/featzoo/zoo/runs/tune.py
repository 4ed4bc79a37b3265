"""Tuning a recipe with Optuna, on dev or on inner folds; the test split is not read."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from featzoo.config import to_toml
from featzoo.durable import refused, write
from featzoo.errors import FeatzooError
from featzoo.weights.imports import require
from featzoo.wording import count
from featzoo.zoo.data.development import DevelopmentStore, development_stores
from featzoo.zoo.data.folds import with_groups
from featzoo.zoo.recipe import Recipe, find_recipe
from featzoo.zoo.runs.dev_score import DevScore, score_on_dev
from featzoo.zoo.runs.search_space import Space, search_space
from featzoo.zoo.runs.trials import identity_of
from featzoo.zoo.training.checkpoint import Epoch

STORAGE, HISTORY, BEST = "trials.log", "history.csv", "best.toml"
STUDY = "tune"
# Epochs or folds, and trials, before any trial is pruned.
WARM_UP, START_UP = 2, 5


@dataclass(frozen=True)
class Search:
    """What is tuned.

    Attributes:
        name: A recipe, or the path of one.
        store: The feature store.
        folder: Where the trials and the best recipe are written.
        changes: Dotted recipe field to value, for all trials.
        trials: Number of trials in the folder after which the search ends.
        folds: Number of inner folds; 0 scores on dev.
        seed: Of the sampler.
        device: auto, cpu, cuda, cuda:N or mps.
    """

    name: str | Path
    store: Path
    folder: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 50
    folds: int = 0
    seed: int = 1
    device: str = "auto"


@dataclass(frozen=True)
class Tried:
    """One trial.

    Attributes:
        number: From 0.
        state: complete, pruned or failed.
        score: The dev score; NaN unless it is complete.
        values: Dotted recipe field to value.
        said: Why it failed.
    """

    number: int
    state: str
    score: float
    values: Mapping[str, Any]
    said: str


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Attributes:
        best: The best trial.
        criterion: Name of the dev score: `MAE`, `loss`, `BA` or `UAR`.
        trials: Every finished trial of the folder, also those of earlier searches and other processes.
        recipe: The file of the best recipe.
    """

    best: Tried
    criterion: str
    trials: Sequence[Tried]
    recipe: Path


def tune(search: Search, jobs: int = 1, on_trial: Callable[[Tried], None] = lambda trial: None) -> Tuned:
    """Search for the values with the best dev score.

    The folder keeps every trial. The same search continues there, and several processes may work on it at once. Trials
    that are worse than the median of the others at the same epoch, or fold, are pruned.

    Args:
        search: What to tune.
        jobs: Processes that train at the same time.
        on_trial: Called after each trial, only with one process.

    Raises:
        MissingPackage: If Optuna is not installed.
        FeatzooError: If recipe, features or labels do not allow it, the folder holds another search, or every trial
            failed.
    """
    require("optuna", "tune")
    recipe = find_recipe(search.name, search.changes)
    space, stores = search_space(recipe), development_stores(search.store, recipe, search.folds)
    study = _open(search)
    wanted = _identity(recipe, stores, space)
    if study.user_attrs.setdefault("search", wanted) != wanted:
        raise FeatzooError(f"{search.folder} holds another search, of other settings or data: choose another folder")
    study.set_user_attr("search", wanted)
    if jobs == 1:
        _work(search, recipe, space, stores, 0, on_trial)
    else:
        from joblib import Parallel, cpu_count, delayed, parallel_config

        with parallel_config(backend="loky", inner_max_num_threads=max(1, cpu_count() // jobs)):
            Parallel(n_jobs=jobs)(delayed(_work)(search, recipe, space, stores, worker) for worker in range(jobs))
    return _written(search, recipe)


def _open(search: Search) -> Any:
    """The study of a folder, made if it is missing."""
    optuna = require("optuna", "tune")
    backends = require("optuna.storages.journal", "tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        search.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(search.folder, error) from error
    storage = optuna.storages.JournalStorage(backends.JournalFileBackend(str(search.folder / STORAGE)))
    return optuna.create_study(study_name=STUDY, storage=storage, load_if_exists=True, direction="minimize")


def _identity(recipe: Recipe, stores: Sequence[DevelopmentStore], space: Space) -> str:
    whole = [repr(sorted(space.items())), *(identity_of(recipe, store) for store in stores)]
    return hashlib.sha256("".join(whole).encode()).hexdigest()


def _work(
    search: Search, recipe: Recipe, space: Space, stores: Sequence[DevelopmentStore], worker: int,
    on_trial: Callable[[Tried], None] = lambda trial: None,
) -> None:  # fmt: skip
    """Run trials until the folder has enough."""
    optuna, study = require("optuna", "tune"), _open(search)
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)

    def done() -> int:
        return len(study.get_trials(deepcopy=False, states=states))

    # Another seed after each trial: a resumed search must not draw the same values again.
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + 1000 * worker + len(study.trials))
    study.pruner = optuna.pruners.MedianPruner(START_UP, WARM_UP)

    def objective(trial: Any) -> float:
        values = {name: what.draw(name, trial) for name, what in space.items()}
        trial.set_user_attr("values", values)
        try:
            return _cost(search, recipe, stores, values, trial)
        except FeatzooError as error:
            trial.set_user_attr("error", str(error))
            raise optuna.TrialPruned from error

    while done() < search.trials:
        study.optimize(objective, n_trials=1)
        on_trial(_tried(study.trials[-1]))


def _cost(
    search: Search, recipe: Recipe, stores: Sequence[DevelopmentStore], values: Mapping[str, Any], trial: Any
) -> float:
    """The mean cost over dev splits of a recipe with some values."""
    pruned = require("optuna", "tune").TrialPruned
    varied = find_recipe(search.name, {**search.changes, **values})
    varied = replace(varied, split=replace(varied.split, by=with_groups(recipe, stores[0].clips()).split.by))
    found: list[DevScore] = []

    def report(cost: float, step: int) -> None:
        trial.report(cost, step)
        if trial.should_prune():
            raise pruned

    def on_epoch(epoch: Epoch, one_stage: bool) -> None:
        if one_stage and len(stores) == 1:
            report(DevScore(epoch.chosen_by, epoch.score, epoch.epoch).cost, epoch.epoch)

    for number, store in enumerate(stores, start=1):
        found.append(score_on_dev(varied, store, search.device, on_epoch))
        if 1 < len(stores) != number:
            report(sum(score.cost for score in found) / number, number)
    trial.set_user_attr("criterion", found[0].name)
    trial.set_user_attr("score", sum(score.score for score in found) / len(found))
    return sum(score.cost for score in found) / len(found)


def _tried(trial: Any) -> Tried:
    said = trial.user_attrs.get("error", "")
    state = "failed" if said else trial.state.name.lower()
    score = float(trial.user_attrs.get("score", "nan")) if state == "complete" else float("nan")
    return Tried(trial.number, state, score, trial.user_attrs.get("values", {}), said)


def _written(search: Search, recipe: Recipe) -> Tuned:
    """Write the history and the best recipe."""
    study = _open(search)
    ended = [trial for trial in study.trials if trial.state.is_finished() and trial.state.name != "FAIL"]
    tried = [_tried(trial) for trial in ended]
    complete = [trial for trial in ended if trial.state.name == "COMPLETE"]
    if not complete:
        said = next((trial.said for trial in tried if trial.said), "all were pruned")
        raise FeatzooError(f"none of {count(len(tried), 'trial')} could be trained: {said}")
    first = min(complete, key=lambda trial: (trial.value, trial.number))
    best, criterion = _tried(first), str(first.user_attrs["criterion"])
    write(search.folder / HISTORY, _history(tried, criterion))
    varied = find_recipe(search.name, {**search.changes, **best.values})
    plain = replace(varied, name=f"{recipe.name}-tuned", tune={}, ablations={}, published={})
    where = f"{search.folds} inner folds of train and dev" if search.folds else "dev"
    lines = [
        f"# {recipe.name}, tuned: the best of {count(len(tried), 'trial')} by {criterion} on {where}, {best.score:.4f} "
        f"(trial {best.number}).",
        f"# Every trial is in {HISTORY}. The test split was not read.",
        *(f"# {name} = {json.dumps(value)}" for name, value in best.values.items()),
    ]
    write(search.folder / BEST, "\n".join(lines) + "\n\n" + to_toml(plain))
    return Tuned(best, criterion, tried, search.folder / BEST)


def _history(tried: Sequence[Tried], criterion: str) -> str:
    """A row for each trial."""
    names = list(dict.fromkeys(name for trial in tried for name in trial.values))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", "state", criterion, *names, "error"])
    for one in tried:
        values = [json.dumps(one.values[name]) if name in one.values else "" for name in names]
        rows.writerow([one.number, one.state, "" if one.score != one.score else repr(one.score), *values, one.said])
    return text.getvalue()

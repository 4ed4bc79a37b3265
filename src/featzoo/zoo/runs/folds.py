"""Every fold of a recipe: each clip is predicted by the one training that has it in its test split."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.durable import write
from featzoo.errors import FeatzooError
from featzoo.sequence import Array
from featzoo.zoo.data.folds import fold_names, with_groups
from featzoo.zoo.files import write_json
from featzoo.zoo.metrics.classification import Classified, one_hot
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.tables import format_metrics, number, shown, text_table
from featzoo.zoo.metrics.targets import measure_of, target_metrics
from featzoo.zoo.recipe import Recipe, find_recipe
from featzoo.zoo.runs.compare import Interval, intervals
from featzoo.zoo.runs.confusion import matrices_csv, matrices_picture
from featzoo.zoo.runs.fold_folder import FOLDS
from featzoo.zoo.runs.folder import METRICS, PREDICTIONS, RunFolder
from featzoo.zoo.runs.predictions import RecordedPredictions, joined
from featzoo.zoo.runs.trials import Trial, run_trials
from featzoo.zoo.runs.units import Units, units_of


@dataclass(frozen=True)
class Folds:
    """All folds of a recipe.

    Attributes:
        path: The folder of the folds' runs, with the predictions and metrics of all test splits together.
        recipe: As resolved.
        names: The folds' names.
        trials: The folds' trainings.
        clips: Number of clips in each fold's test split.
        metrics: Of the test predictions of all folds together.
        constant: The same for constant predictors that learn from the other folds.
        intervals: Metric to its 95 % bootstrap interval over `units`.
        units: What was resampled: speakers, or clips without speakers.
    """

    path: Path
    recipe: Recipe
    names: Sequence[str]
    trials: Sequence[Trial]
    clips: Sequence[int]
    metrics: Metrics
    constant: Mapping[str, Metrics]
    intervals: Mapping[str, Interval]
    units: Units

    @property
    def table(self) -> list[list[str]]:
        """Rows of text: a header, each fold's test metrics, and those of all predictions together."""
        keys = [key for key in shown(self.metrics) if "." not in key]
        rows = [["fold", "test", "clips", *keys]]
        for place, (name, trial, size) in enumerate(zip(self.names, self.trials, self.clips, strict=True), start=1):
            rows.append([str(place), name, str(size), *(number(trial.metrics["test"][key]) for key in keys)])
        return [*rows, ["all", "", str(sum(self.clips)), *(number(self.metrics[key]) for key in keys)]]


def train_folds(
    name: str | Path,
    store: Path,
    folder: Path,
    changes: Mapping[str, Any],
    device: str = "auto",
    jobs: int = 1,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Folds:
    """Train every fold of a recipe, and score the test predictions of all folds together.

    Finished folds in the folder are kept.

    Args:
        name: A recipe with `split.folds`, or the path of one.
        store: The feature store.
        folder: Where the folds' runs and their common results are written.
        changes: Dotted recipe field to value.
        device: auto, cpu, cuda, cuda:N or mps.
        jobs: Trainings at the same time, on the CPU.
        on_trial: Called with each fold's training as soon as it is done.

    Raises:
        FeatzooError: If the recipe has no folds, or recipe, features, labels, weights or device do not allow it.
    """
    recipe, clips = find_recipe(name, changes), FeatureStore(store).clips()
    if not recipe.split.all_folds:
        raise FeatzooError(f"recipe {recipe.name} has no folds: set split.folds")
    names = fold_names(clips, recipe)
    fixed = {**changes, "split.by": with_groups(recipe, clips).split.by}
    wanted = {f"fold {place}": {**fixed, "split.fold": place} for place in range(1, len(names) + 1)}
    trials = run_trials(name, store, folder, wanted, [recipe.training.seed], device, jobs, on_trial)
    runs = [RunFolder.open_finished(trial.path) for trial in trials]
    found = _together(folder, runs[0].recipe, names, trials, [run.predictions("test") for run in runs])
    _write(found, runs)
    return found


def _together(
    path: Path, recipe: Recipe, names: Sequence[str], trials: Sequence[Trial], parts: Sequence[RecordedPredictions]
) -> Folds:
    every = joined(parts)
    kind, outputs = recipe.target.metrics, recipe.target.outputs
    score = measure_of(kind, every.pred, every.truth, outputs, ids=every.ids)
    units = units_of(every.ids, every.groups)
    guessed = np.concatenate([_constant(recipe, parts, place) for place in range(len(parts))])
    constant = target_metrics(kind, guessed, every.truth, outputs, ids=every.ids)
    title = "largest class" if kind == "class" else "mean of the other folds"
    sizes = [len(part.ids) for part in parts]
    spans = intervals(score, units.numbers)
    whole = score(np.arange(len(every.ids)))
    return Folds(path, recipe, names, trials, sizes, whole, {title: constant}, spans, units)


def _constant(recipe: Recipe, parts: Sequence[RecordedPredictions], place: int) -> Array:
    """Constant predictions for one fold, from the truths of the others."""
    others = np.concatenate([part.truth for number, part in enumerate(parts) if number != place])
    size, outputs = len(parts[place].ids), len(recipe.target.outputs)
    if recipe.target.kind == "class":
        largest = np.bincount(others.ravel().astype(np.int64), minlength=outputs).argmax()
        return one_hot(np.full(size, largest), outputs)
    constant: Array = np.broadcast_to(others.mean(axis=0), (size, outputs))
    return constant


def _write(found: Folds, runs: Sequence[RunFolder]) -> None:
    """Write the common results; the metrics come last."""
    path, target = found.path, found.recipe.target
    write(path / FOLDS, _csv(found.table))
    write(path / PREDICTIONS, _predictions(runs))
    if target.kind == "class":
        every = joined([run.predictions("test") for run in runs])
        matrix = {"test of all folds": Classified.of(every.pred, every.truth, target.classes)}
        write(path / "confusion.csv", matrices_csv(matrix))
        write(path / "confusion.png", matrices_picture(matrix))
    write(path / "README.md", _card(found, runs))
    summary = {"splits": {"test": {"head": found.metrics, **found.constant}}, "units": str(found.units)}
    write_json(path / METRICS, summary | {"intervals": found.intervals, "folds": dict(enumerate(found.names, 1))})


def _predictions(runs: Sequence[RunFolder]) -> str:
    """The rows of the test splits, each with the number of its fold."""
    rows = []
    for place, run in enumerate(runs, start=1):
        with (run.path / PREDICTIONS).open(encoding="utf-8", newline="") as file:
            rows += [{"fold": str(place), **row} for row in csv.DictReader(file) if row["split"] == "test"]
    return _csv([list(rows[0]), *(list(row.values()) for row in rows)])


def _csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _card(found: Folds, runs: Sequence[RunFolder]) -> str:
    rule = found.recipe.split
    audit = dict.fromkeys(line for run in runs for line in run.environment.get("audit", ()))
    few = "" if found.units.enough else ", which are too few for an interval to be trusted"
    parts = [
        f"# {found.path.name}",
        f"{found.recipe.description or found.recipe.head}. {len(found.names)} folds by {rule.by}"
        f"{f', drawn with seed {rule.seed}' if rule.shuffle else ''}. Each clip is predicted by the training that has "
        "it in its test split, which took no part in any choice.",
        *(["![Confusion matrix](confusion.png)"] if found.recipe.target.kind == "class" else []),
        f"All predictions together, intervals over {found.units}{few}:",
        f"```\n{format_metrics(found.metrics, found.constant, found.intervals)}\n```",
        f"```\n{text_table(found.table)}\n```",
        "## Audit",
        "\n".join(f"- {line}" for line in audit),
    ]
    return "\n\n".join(parts) + "\n"

"""Finished runs, ranked among those that predict the same labels of the same clips."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featzoo.errors import FeatzooError, InvalidOption, suggestion
from featzoo.zoo.metrics.targets import HIGHER_IS_BETTER
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.settings import differing_settings, settings

# Settings that are named when entries would have the same name.
MOST_SETTINGS = 3


@dataclass(frozen=True)
class Entry:
    """The runs of one recipe that differ only in their seed or their fold.

    Attributes:
        name: The recipe's name, with the settings that tell it from other entries of that name.
        runs: Their folders.
        mean: Metric to its mean over the runs.
        std: Metric to its standard deviation over the runs; NaN of a single run.
    """

    name: str
    runs: tuple[Path, ...]
    mean: Mapping[str, float]
    std: Mapping[str, float]


@dataclass(frozen=True)
class Leaderboard:
    """Entries that can be compared, the best first.

    Attributes:
        data: Names of the stores that the runs were trained on.
        split: The split that is scored.
        columns: The labels.
        clips: Number of clips.
        kind: The recipes' `target.metrics`.
        entries: Ranked by the metric.
    """

    data: str
    split: str
    columns: tuple[str, ...]
    clips: int
    kind: str
    entries: Sequence[Entry]


def leaderboards(
    runs: Sequence[Path], split: str, metric: str, columns: Mapping[str, Sequence[str]]
) -> list[Leaderboard]:
    """One board for each set of clips and labels; all folds of one division are one.

    Args:
        runs: Folders of finished runs; those without predictions of the split are left out.
        split: train, valid or test.
        metric: That ranks; empty for the first of `columns`.
        columns: Kind of target to the metrics that a board shows.

    Raises:
        FeatzooError: If no run has predictions of the split.
        InvalidOption: If no run has the metric.
    """
    folders = [RunFolder.open_finished(path) for path in runs]
    groups: dict[str, list[RunFolder]] = defaultdict(list)
    for folder in folders:
        if split in folder.metrics:
            groups[_task(folder, split)].append(folder)
    if not groups:
        raise FeatzooError(f"none of {len(folders)} finished runs has predictions of the split '{split}'")
    known = {name for group in groups.values() for folder in group for name in folder.metrics[split]}
    if metric and metric not in known:
        raise InvalidOption(f"no run has the metric '{metric}'{suggestion(metric, known)}")
    return [
        _board(group, split, metric, columns) for group in groups.values() if not metric or _has(group, split, metric)
    ]


def rows_of(board: Leaderboard, metrics: Sequence[str]) -> tuple[list[list[str]], list[int | None]]:
    """A board's table, its titles first, and for each metric the row of the best entry.

    Args:
        board: The board.
        metrics: Its columns.
    """
    rows = [["recipe", "runs", *(f"{name} {'↑' if higher(name) else '↓'}" for name in metrics)]]
    for entry in board.entries:
        cells = [_figure(entry.mean.get(name, np.nan), entry.std.get(name, np.nan)) for name in metrics]
        rows.append([entry.name, str(len(entry.runs)), *cells])
    best: list[int | None] = []
    for name in metrics:
        values = np.array([entry.mean.get(name, np.nan) for entry in board.entries]) * (1 if higher(name) else -1)
        best.append(None if np.isnan(values).all() else int(np.nanargmax(values)) + 1)
    return rows, best


def higher(metric: str) -> bool:
    """Whether a higher value of a metric is better; `joy.mae` is as `mae`."""
    return HIGHER_IS_BETTER.get(metric.rpartition(".")[2], True)


def _task(folder: RunFolder, split: str) -> str:
    """The same for runs that predict the same labels of the same clips, and for all folds of one division."""
    found, target, rule = folder.predictions(split), folder.recipe.target, folder.recipe.split
    if rule.folds:
        division = dataclasses.asdict(dataclasses.replace(rule, fold=0, dev=0.0))
        return json.dumps([str(folder.store), target.columns, target.outputs, target.metrics, division], default=str)
    order = np.argsort(np.array(found.ids))
    digest = hashlib.sha256(
        json.dumps([target.columns, target.outputs, target.metrics, [found.ids[k] for k in order]]).encode()
    )
    digest.update(np.ascontiguousarray(found.truth[order]).tobytes())
    return digest.hexdigest()


def _has(group: Sequence[RunFolder], split: str, metric: str) -> bool:
    return any(metric in folder.metrics[split] for folder in group)


def _board(group: Sequence[RunFolder], split: str, metric: str, columns: Mapping[str, Sequence[str]]) -> Leaderboard:
    same: dict[str, list[RunFolder]] = defaultdict(list)
    for folder in group:
        same[_method(folder)].append(folder)
    names = _names([folders[0].recipe for folders in same.values()])
    entries = [_entry(name, folders, split) for name, folders in zip(names, same.values(), strict=True)]
    first = group[0]
    key = metric or columns[first.recipe.target.metrics][0]
    sign = -1 if higher(key) else 1
    ranked = sorted(entries, key=lambda entry: (np.isnan(entry.mean.get(key, np.nan)), sign * entry.mean.get(key, 0.0)))
    data = ", ".join(dict.fromkeys(folder.store.name for folder in group))
    clips = len({name for folder in group for name in folder.predictions(split).ids})
    return Leaderboard(data, split, first.recipe.target.columns, clips, first.recipe.target.metrics, ranked)


def _method(folder: RunFolder) -> str:
    """The same for runs that differ only in their seed or their fold."""
    plain = {k: v for k, v in settings(folder.recipe).items() if k not in ("training.seed", "split.fold")}
    keys = {role: one["key"] for role, one in folder.recorded_sets.items()}
    return json.dumps([folder.recipe.name, plain, keys], sort_keys=True, default=str)


def _names(recipes: Sequence[Recipe]) -> list[str]:
    """Names that differ: of recipes with one name, the settings in which they differ are added."""
    names = [recipe.name for recipe in recipes]
    for name in {name for name in names if names.count(name) > 1}:
        rows = [row for row, recipe in enumerate(recipes) if recipe.name == name]
        alike = [dataclasses.replace(recipes[row].training, seed=0) for row in rows]
        different = differing_settings(
            [dataclasses.replace(recipes[row], training=training) for row, training in zip(rows, alike, strict=True)]
        )
        for at, row in enumerate(rows):
            said = [f"{key.rpartition('.')[2]}={values[at]}" for key, values in list(different.items())[:MOST_SETTINGS]]
            names[row] = f"{name} ({', '.join(said)})" if said else name
    return names


def _entry(name: str, folders: Sequence[RunFolder], split: str) -> Entry:
    metrics = [folder.metrics[split] for folder in folders]
    values = {key: np.array([one.get(key, np.nan) for one in metrics]) for key in metrics[0]}
    spread = {key: float(of.std(ddof=1)) if len(of) > 1 else float("nan") for key, of in values.items()}
    return Entry(
        name, tuple(folder.path for folder in folders), {k: float(v.mean()) for k, v in values.items()}, spread
    )


def _figure(mean: float, std: float) -> str:
    if np.isnan(mean):
        return "-"
    return f"{mean:.4f}" if np.isnan(std) else f"{mean:.4f} ± {std:.4f}"

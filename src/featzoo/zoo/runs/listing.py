"""The runs in a folder, finished or not, and their removal."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featzoo.durable import move
from featzoo.errors import FeatzooError
from featzoo.zoo.runs.fold_folder import FOLDS
from featzoo.zoo.runs.folder import LOG, METRICS, RECIPE, STATE, RunFolder
from featzoo.zoo.runs.pretrained import find_run

# A run that has written an epoch within this time may still be training.
RECENT_SECONDS = 900


@dataclass(frozen=True)
class ListedRun:
    """A run and what is known of it without torch.

    Attributes:
        path: Its folder.
        recipe: Name of its recipe; empty if it cannot be read.
        data: Name of the store that it was trained on; empty if it is unknown.
        kind: The recipe's `target.metrics`.
        metrics: Split to metrics; empty for a run that has not finished.
        state: `finished`, `training` (an epoch was written in the last 15 minutes), `stopped` or `damaged`.
        detail: The last epoch of a run that has not finished, or what is wrong with it.
    """

    path: Path
    recipe: str
    data: str
    kind: str
    metrics: Mapping[str, Mapping[str, float]]
    state: str
    detail: str


def find_runs(folder: Path) -> list[Path]:
    """The folders of all runs below a folder, itself included, by path.

    Raises:
        FeatzooError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FeatzooError(f"there is no folder {folder}: `zoo train` makes runs in ./runs")
    found = []
    for place, inner, names in os.walk(folder):
        inner.sort()
        if RECIPE in names:
            found.append(Path(place))
            inner.clear()  # a run's own folders hold no runs
        inner[:] = [name for name in inner if not name.startswith(".")]
    return sorted(found)


def finished_in(run: str | Path) -> list[Path]:
    """The folder of a run, also by the name of a pretrained head; of a folder that holds runs, the finished ones.

    Raises:
        FeatzooError: If there is neither.
    """
    path = find_run(run)
    if (path / RECIPE).is_file() or not path.is_dir():
        return [path]
    return [each for each in find_runs(path) if RunFolder(each).finished] or [path]


def seeds_in(paths: Iterable[Path]) -> list[Path]:
    """Runs, and of each folder of runs that differ in their seed, the finished ones. The folds of a recipe stay one.

    Raises:
        FeatzooError: If there is no such run.
    """
    found = [[path] if (path / FOLDS).is_file() else finished_in(path) for path in paths]
    return list(dict.fromkeys(path for each in found for path in each))


def list_run(path: Path) -> ListedRun:
    """What is known of a run. A damaged run is listed with the reason, not refused."""
    folder = RunFolder(path)
    facts: dict[str, Any] = {"recipe": "", "data": "", "kind": "", "metrics": {}}
    try:
        facts |= {"recipe": folder.recipe.name, "kind": folder.recipe.target.metrics}
        facts["data"] = folder.store.name
        if folder.finished:
            facts["metrics"] = folder.metrics
            return ListedRun(path, **facts, state="finished", detail="")
        epochs = len(folder.epochs)
    except (FeatzooError, KeyError, TypeError, AttributeError) as error:
        said = f"{METRICS} or another file lacks {error}" if isinstance(error, KeyError) else str(error)
        return ListedRun(path, **facts, state="damaged", detail=said)
    seconds = _seconds_since(path / LOG)
    state = "training" if seconds is not None and seconds < RECENT_SECONDS else "stopped"
    resumable = "; it can be resumed" if state == "stopped" and (path / STATE).is_file() else ""
    return ListedRun(path, **facts, state=state, detail=f"{epochs} epochs{resumable}")


def check_removable(path: Path) -> ListedRun:
    """The run in a folder that `remove_run` may delete.

    Raises:
        FeatzooError: If it is not a run folder, is a link, or holds other runs.
    """
    RunFolder.open(path)
    if path.is_symlink():
        raise FeatzooError(f"{path} is a link to {path.resolve()}: name the folder itself")
    inside = [place for place, _, names in os.walk(path) if RECIPE in names and Path(place) != path]
    if inside:
        raise FeatzooError(f"{path} holds other runs, such as {inside[0]}: remove these first")
    return list_run(path)


def remove_run(path: Path) -> None:
    """Delete a run. It is first renamed, so that no part of it is ever taken for a run.

    Raises:
        FeatzooError: If it cannot be deleted.
    """
    check_removable(path)
    doomed = path.with_name(f".deleted-{uuid.uuid4().hex[:12]}")
    move(path, doomed)
    try:
        shutil.rmtree(doomed)
    except OSError as error:
        raise FeatzooError(f"{path} was renamed to {doomed}, which cannot be deleted: {error}") from error


def size_of(path: Path) -> int:
    """Bytes of all files in a folder."""
    return sum((Path(place) / name).lstat().st_size for place, _, names in os.walk(path) for name in names)


def _seconds_since(place: Path) -> float | None:
    try:
        return time.time() - place.stat().st_mtime
    except OSError:
        return None

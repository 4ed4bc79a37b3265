"""Code that a run's folder may import: a recipe names classes as `module:Class`, and importing one runs its module.

The classes that this user has trained with are remembered in a file of the user's, outside all runs. A run that names
another one may come from anybody, so it needs the user's word.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from featzoo import plugins
from featzoo.errors import UntrustedRun


def classes_named(head: str, sets: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The `module:Class` paths that a run's head and feature sets are imported from, sorted.

    Args:
        head: The recipe's head.
        sets: Role to the set, as `feature_choice.describe` recorded it.
    """
    return sorted({*_of_head(head), *(name for one in sets.values() for name in _of_set(one))})


def check_trust(run: Path, names: Collection[str], trust: bool) -> None:
    """Check that this user trusts what a run imports.

    Args:
        run: The run's folder, for the message.
        names: From `classes_named`.
        trust: The user's word for all of them; they are remembered.

    Raises:
        UntrustedRun: If a name is not known and `trust` is not given.
    """
    unknown = sorted({*names} - _remembered())
    if unknown and trust:
        remember(unknown)
    elif unknown:
        raise UntrustedRun(
            f"run {run} imports {', '.join(unknown)}, which you have not trained with on this machine. Importing a "
            "class runs its module's code: if you trust the run, pass trust=True"
        )


def remember(names: Collection[str]) -> None:
    """Remember classes as the user's own. Where no file can be written, runs that name them are refused."""
    new = sorted({*names} - _remembered())
    if not new:
        return
    with suppress(OSError):
        _place().parent.mkdir(parents=True, exist_ok=True)
        with _place().open("a", encoding="utf-8") as file:
            file.write("".join(f"{name}\n" for name in new))


def _remembered() -> set[str]:
    try:
        return set(_place().read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return set()


def _place() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "featzoo" / "trusted-classes.txt"


def _of_head(head: str) -> Iterator[str]:
    name = plugins.parse(head).name
    if ":" in name:
        yield name


def _of_set(recorded: Mapping[str, Any]) -> Iterator[str]:
    """The path that `recorded_extractors` would import a set's class from; none where its name is registered."""
    if not recorded["key"] or not recorded["spec"].get("reads"):
        return
    name, path = plugins.parse(recorded["request"]).name, recorded.get("class", "")
    if ":" in name:
        yield path or name
    elif path and not {recorded["name"], recorded["name"].partition(".")[0]} & {
        *plugins.registered(plugins.EXTRACTORS)
    }:
        yield path

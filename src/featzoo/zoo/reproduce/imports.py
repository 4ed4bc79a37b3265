"""The imports that a paper's description may name, and the files that they read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from featzoo.errors import FeatzooError
from featzoo.exchange.corpora.first_impressions import import_first_impressions
from featzoo.exchange.corpora.first_impressions_archives import import_first_impressions_archives
from featzoo.exchange.corpora.mosei import import_mosei
from featzoo.exchange.corpora.mosi import import_mosi
from featzoo.exchange.formats.csd import import_csd
from featzoo.exchange.importing import Account
from featzoo.exchange.pickles.mmsa import import_mmsa
from featzoo.exchange.texts.parallel import import_parallel
from featzoo.zoo.reproduce.paper import Step

IMPORTERS: Mapping[str, Callable[..., Account]] = {
    "csd": import_csd,
    "first-impressions": import_first_impressions,
    "first-impressions-archives": import_first_impressions_archives,
    "mmsa": import_mmsa,
    "mosei": import_mosei,
    "mosi": import_mosi,
    "parallel": import_parallel,
}


class Files:
    """The files below a user's folder.

    Args:
        folder: The folder.

    Raises:
        FeatzooError: If it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FeatzooError(f"no folder {folder}: give the folder with your copies of the published files")
        self.folder = folder
        found = [Path(top) / name for top, _, names in os.walk(folder, followlinks=True) for name in names]
        self._paths = {path.relative_to(folder).as_posix().lower(): path for path in sorted(found)}

    def find(self, step: Step) -> Path | None:
        """The first file of a step; None if there is none."""
        return next((path for name, path in self._paths.items() if fnmatchcase(name, step.file)), None)

    def missing(self, step: Step) -> list[str]:
        """The names of the files that a step lacks."""
        found = self.find(step)
        if found is None:
            return [step.published, *step.also]
        return [name for name in step.also if not any(found.parent.glob(name))]


def run_import(step: Step, file: Path, store: Path, unpacked: Path) -> Account:
    """Import the file of a step into a store.

    Args:
        step: The step.
        file: Its file.
        store: The store; created if missing.
        unpacked: Where archives are unpacked.

    Raises:
        FeatzooError: If the file cannot be read.
    """
    options = dict(step.options)
    if step.importer == "first-impressions-archives":
        options["unpacked"] = unpacked
    return IMPORTERS[step.importer](file.parent if step.folder else file, store, **options)

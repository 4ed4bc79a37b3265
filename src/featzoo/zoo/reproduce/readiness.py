"""What a reproduction lacks: files, weights, packages; and what is finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from featzoo.errors import FeatzooError, MissingWeights
from featzoo.extractors.contract import make_extractor
from featzoo.weights.locate import locate
from featzoo.zoo.reproduce.imports import Files
from featzoo.zoo.reproduce.paper import Row, Source
from featzoo.zoo.runs.folder import METRICS


@dataclass(frozen=True)
class Readiness:
    """Whether a row can be run.

    Attributes:
        source: The form of the data whose files are all there; None if there is none.
        files: The file of each of its steps.
        lacking: What is missing, and how to get it; a line each.
        models: Names of missing models that can be downloaded.
        finished: Number of finished trainings.
    """

    source: Source | None
    files: tuple[Path, ...]
    lacking: tuple[str, ...]
    models: tuple[str, ...]
    finished: int

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.lacking

    @property
    def archives(self) -> float:
        """Bytes of archives that will be unpacked; compressed media are about as large unpacked."""
        return float(sum(path.stat().st_size for file in self.files for path in _archives(file)))


def _archives(file: Path) -> list[Path]:
    return sorted(file.parent.glob("*.zip")) if file.suffix.lower() == ".zip" else []


def readiness(row: Row, files: Files, place: Path) -> Readiness:
    """Look for a row's files, weights and packages.

    Args:
        row: The row.
        files: The user's files.
        place: The row's folder of results.
    """
    source, found, lacking = _source(row, files)
    models: dict[str, None] = {}
    for line, names in _weights(row).items():
        lacking.append(line)
        models |= dict.fromkeys(names)
    finished = len(list((place / "runs").glob(f"*/{METRICS}")))
    return Readiness(source, found, tuple(lacking), tuple(models), finished)


def _source(row: Row, files: Files) -> tuple[Source | None, tuple[Path, ...], list[str]]:
    """The first complete form of the data with its files; or what each form lacks."""
    told = []
    for source in row.sources:
        missing = [name for step in source.steps for name in files.missing(step)]
        if not missing:
            found = [files.find(step) for step in source.steps]
            return source, tuple(path for path in found if path is not None), []
        told.append(f"\n    - {source.name}: {', '.join(missing)}\n      {source.get}")
    return None, (), ["files, in one of these forms:" + "".join(told)]


def _weights(row: Row) -> Mapping[str, tuple[str, ...]]:
    """Each thing that the row's extractors lack, and the models to download for it."""
    found: dict[str, tuple[str, ...]] = {}
    for wanted in row.extract:
        try:
            extractor = make_extractor(wanted.features)
            extractor.prepare()
            if getattr(extractor, "output", "") == "ids":  # the head trains the encoder
                locate(str(getattr(extractor, "model", "")))
        except MissingWeights as error:
            found[f"{wanted.features}: {str(error).partition(chr(10))[0]}"] = error.models
        except FeatzooError as error:
            found[f"{wanted.features}: {error}"] = ()
    return found

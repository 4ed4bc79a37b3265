"""Notes of merged shards: one small file for each packing, so that two packings do not overwrite each other."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from featzoo import documents
from featzoo.cache.featureset import FeatureSet
from featzoo.durable import refused
from featzoo.errors import DamagedFile


def note_merged(found: FeatureSet, names: list[str]) -> None:
    """Note that other shards now hold the clips of these.

    Raises:
        StoreError: If the note cannot be written.
    """
    place = found.folder / "merged" / f"{uuid.uuid4().hex}.json"
    try:
        place.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise refused(found.folder, error) from error
    documents.save(place, {"at": time.time(), "shards": names})


def read_note(place: Path) -> tuple[list[str], float]:
    """One note: the merged shards, and the time in seconds since 1970.

    Raises:
        FileNotFoundError: If it was deleted.
        DamagedFile: If it is damaged.
    """
    note = documents.read(place, unchecked=("at", "shards"))
    try:
        return list(map(str, note["shards"])), float(note["at"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{place} is damaged: {error}") from error


def notes(found: FeatureSet) -> Iterator[tuple[Path, list[str], float]]:
    """Each note that can be read: its file, the merged shards, and the time."""
    for place in (found.folder / "merged").glob("*.json"):
        with suppress(FileNotFoundError, DamagedFile):  # a damaged note deletes nothing
            yield place, *read_note(place)


def merged_shards(found: FeatureSet) -> dict[str, float]:
    """The replaced shards, with the time of replacement in seconds since 1970."""
    return {name: at for _, shards, at in notes(found) for name in shards}

"""STORE.json, which makes a folder a store and declares its format."""

from __future__ import annotations

from pathlib import Path

from featzoo import documents
from featzoo.cache.shard import FORMAT, READABLE, newer
from featzoo.errors import DamagedFile, StoreError

NAME = "STORE.json"
MARKER = {"format": FORMAT, "digests": "sha256", "checks": "xxh3-64", "made_by": "featzoo"}


def write_marker(folder: Path) -> None:
    """Declare that a folder is a store of the current format.

    Raises:
        StoreError: If it cannot be written.
    """
    documents.save(folder / NAME, MARKER)


def read_marker(folder: Path) -> int:
    """The format of a store.

    Raises:
        NewerFormat: If a later featzoo wrote it.
        StoreError: If the folder is not a store, or its `STORE.json` is damaged.
    """
    place = folder / NAME
    try:
        version = documents.read(place, unchecked=("format", "digests", "made_by")).get("format")
    except FileNotFoundError as error:
        raise StoreError(
            f"{folder} is not a feature store (no STORE.json): `feat extract FOLDER -o {folder}` makes one"
        ) from error
    if version in READABLE:
        return int(version)
    if isinstance(version, int) and version > FORMAT:
        raise newer(place, version)
    raise DamagedFile(f"{place} is damaged: its format is {version!r}")

"""Damaged files of a store, and the folder to which a repair moves them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from featzoo.durable import move

# `repair` moves damaged files to this folder, beside them or in the set's folder, instead of deleting them.
ASIDE = "damaged"


class Damage(NamedTuple):
    """A file that cannot be read.

    Attributes:
        key: The feature set; empty for files of the whole store.
        place: The file.
        problem: A sentence that says what is wrong with it.
        newer: Whether it is intact, and of a format that a later featzoo writes.
    """

    key: str
    place: Path
    problem: str
    newer: bool = False


def set_aside(damage: Damage, folder: Path) -> None:
    """Move a damaged file to the folder `damaged` of a set or store; a file of a newer format stays.

    Raises:
        StoreError: If it cannot be moved.
    """
    if not damage.newer:
        move(damage.place, folder / ASIDE / damage.place.name)

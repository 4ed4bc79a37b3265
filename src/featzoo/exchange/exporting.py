"""Export from a store, the same for every format: files are written whole or not at all, and never overwritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from featzoo.durable import replacing
from featzoo.errors import StoreError


class Outgoing(NamedTuple):
    """A file (or folder) for another program.

    Attributes:
        path: Its path; an existing file is not overwritten.
        holds: A description of its contents, as lines.
        write: Writes it to the given path.
    """

    path: Path
    holds: Sequence[str]
    write: Callable[[Path], None]


def deliver(outgoing: Outgoing, dry_run: bool = False) -> list[str]:
    """Write a file under a temporary name, then rename it. Returns lines that describe the file.

    Raises:
        StoreError: If the file exists or cannot be written.
    """
    path = outgoing.path
    if path.exists():
        raise StoreError(f"{path} exists: give another name")
    if not path.parent.is_dir():
        raise StoreError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    if dry_run:
        return [f"dry run: nothing is written. {path} would hold:", *outgoing.holds]
    with replacing(path) as temporary:
        outgoing.write(temporary)
    return [f"wrote {path}:", *outgoing.holds]

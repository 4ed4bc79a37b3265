"""How a file comes into the store: written beside its place, synced, renamed. It is there whole, or not at all."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featzoo.errors import StoreError

HINTS = {
    errno.ENOSPC: "the disk is full: free space, or give another store with -o; what is stored stays",
    errno.EDQUOT: "your quota is used up: free space, or give another store with -o; what is stored stays",
    errno.EROFS: "the file system is read-only: the store can be read; to extract, give another with -o",
    errno.EACCES: "you may not write there: the store can be read; to extract, give another with -o",
}


@contextmanager
def replacing(place: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary file that takes the name `place` when the block ends without an error.

    Args:
        place: The file to write; nobody ever sees half of it.
        durable: Whether it must survive a power cut when this returns.

    Raises:
        StoreError: If the disk refuses; nothing is left then.
    """
    temporary = place.with_name(f".{place.name}-{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        if durable:
            _sync(temporary)
        temporary.replace(place)
        if durable:
            _sync(place.parent)
    except (OSError, RuntimeError) as error:  # HDF5 closes a file on a full disk with a RuntimeError
        raise refused(place.parent, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(place: Path, text: str, durable: bool = True) -> None:
    """Write a small UTF-8 file whole, or not at all.

    Raises:
        StoreError: If the disk refuses.
    """
    with replacing(place, durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def refused(folder: Path, error: Exception) -> StoreError:
    """What to tell a user whose folder cannot be written."""
    number, text = getattr(error, "errno", None), getattr(error, "strerror", None) or str(error)
    said = re.search(r"errno = (\d+), error message = '(.*?)'", str(error))
    if said:  # by HDF5, after two lines of other things
        number, text = int(said[1]), said[2]
    hint = HINTS.get(number or 0)
    return StoreError(f"cannot write to {folder}: {text}" + (f" ({hint})" if hint else ""))


def probe(folder: Path) -> None:
    """Make sure that a file can take the place of another in one step, as all of the store relies on.

    Raises:
        StoreError: If the file system cannot do that, or the folder cannot be written.
    """
    place, other = (folder / f".probe-{uuid.uuid4().hex}.tmp" for _ in range(2))
    try:
        place.write_text("old", encoding="utf-8")
        other.write_text("new", encoding="utf-8")
        try:
            other.replace(place)
            done = place.read_text(encoding="utf-8") == "new" and not other.exists()
        except OSError:
            done = False
    except OSError as error:
        raise refused(folder, error) from error
    finally:
        for each in (place, other):
            with suppress(OSError):
                each.unlink()
    if not done:
        raise StoreError(
            f"{folder} is on a file system that cannot replace a file in one step (no atomic rename; some network "
            "and FUSE mounts). A store there could be damaged: make it on a local disk or NFS, and copy it afterwards"
        )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot sync a folder; their rename is then all there is.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(handle)

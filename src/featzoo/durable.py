"""Write a file so that it is complete or absent: under a temporary name, synced, then renamed.

featzoo writes all its files with this module: stores, runs, checkpoints, exports, transcripts and converted weights.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featzoo.errors import StoreError
from featzoo.unfinished import sweep
from featzoo.unfinished import temporary as new_name

# Number of bytes that are written or compared at a time.
CHUNK = 8 << 20

HINTS = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder; stored features are kept",
    errno.EDQUOT: "your quota is used up: free some space or choose another folder; stored features are kept",
    errno.EROFS: "the file system is read-only: choose another folder; stored features can still be read",
    errno.EACCES: "permission denied: choose another folder; stored features can still be read",
}


@contextmanager
def replacing(place: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary path that is renamed to `place` when the block ends without an error.

    The block writes a file or a folder there. An existing file is replaced, but a folder only if it is empty.
    Temporary files that dead processes left beside it are deleted.

    Args:
        place: The file or folder to write. Readers see the old content or the new, never a part of it.
        durable: Sync to disk before and after the rename, so that the file survives a power failure.

    Raises:
        StoreError: If it cannot be written. The old file is then unchanged and no temporary file is left.
    """
    temporary = new_name(place)
    sweep(place.parent)
    try:
        yield temporary
        if durable:
            _sync_all(temporary)
        temporary.replace(place)
        if durable:
            _sync(place.parent)
    except (OSError, RuntimeError) as error:  # HDF5 closes a file on a full disk with a RuntimeError
        raise refused(place.parent, error) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink()


def write(place: Path, content: str | bytes, durable: bool = True) -> None:
    """Write a file whose content is in memory; text is written as UTF-8. See `replacing`.

    Raises:
        StoreError: If it cannot be written, or reads back differently.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(place, durable) as temporary:
        write_new(temporary, data)


def write_new(place: Path, content: bytes | memoryview) -> None:
    """Write a new file, read it back and compare.

    Raises:
        OSError: If it exists, cannot be written, or reads back differently.
    """
    handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        # Views are given up before an error goes on: a BytesIO cannot be closed while there are any.
        with memoryview(content) as whole, whole.cast("B") as data:
            _write_and_compare(handle, data, place)
    finally:
        os.close(handle)


def _write_and_compare(handle: int, data: memoryview, place: Path) -> None:
    done = 0
    while done < len(data):
        count = os.write(handle, data[done : done + CHUNK])  # may write less than it is given
        if count == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(place))
        done += count
    same = os.fstat(handle).st_size == len(data) and all(
        os.pread(handle, CHUNK, start) == data[start : start + CHUNK] for start in range(0, len(data), CHUNK)
    )
    if not same:
        raise OSError(errno.EIO, "the file reads back differently from what was written", str(place))


def remove(place: Path) -> None:
    """Delete a file, if it is there.

    Raises:
        StoreError: If it cannot be deleted.
    """
    try:
        place.unlink(missing_ok=True)
    except OSError as error:
        raise refused(place.parent, error) from error


def refused(folder: Path, error: Exception) -> StoreError:
    """The error for a folder that cannot be written: the system's reason, and what to do."""
    number, text = getattr(error, "errno", None), getattr(error, "strerror", None) or str(error)
    said = re.search(r"errno = (\d+), error message = '(.*?)'", str(error))
    if said:  # HDF5 reports the system's error inside a longer text
        number, text = int(said[1]), said[2]
    hint = HINTS.get(number or 0)
    return StoreError(f"cannot write to {folder}: {text}" + (f" ({hint})" if hint else ""))


def probe(folder: Path) -> None:
    """Check that the file system can replace a file by another in one step, which the store relies on.

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


def move(place: Path, target: Path) -> None:
    """Move a file or folder within a file system; when this returns, the move survives a power cut.

    The folder of `target` is made if it is missing.

    Raises:
        StoreError: If it cannot be moved. It is then still at `place`, unless only a sync failed.
    """
    try:
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
            _sync(target.parent.parent)
        place.replace(target)
        _sync(target.parent)
        _sync(place.parent)
    except OSError as error:
        raise refused(target.parent, error) from error


def _sync_all(path: Path) -> None:
    if path.is_dir():
        for inner in path.rglob("*"):
            _sync(inner)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot sync a folder: the rename must suffice there.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(handle)

"""A file for HDF5 to write whose errors are not lost.

HDF5 passes over errors of a disk when it closes a file, or crashes afterwards. So it never sees one: the first is kept,
the rest of the writes are dropped, and the error is raised when HDF5 is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any


class WatchedFile(FileIO):
    """A file that remembers the first error of a write.

    Attributes:
        error: That error.
    """

    error: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of `content` at the present position, or nothing after an error."""
        data = memoryview(content).cast("B")
        start = 0
        try:
            while start < len(data) and self.error is None:
                start += super().write(data[start:]) or 0
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file."""
        try:
            return super().truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0


@contextmanager
def watched(path: Path) -> Iterator[WatchedFile]:
    """A new file for `h5py.File(..., "w")`.

    Raises:
        OSError: If one of the writes failed.
    """
    with WatchedFile(path, "x+") as file:
        yield file
        if file.error is not None:
            raise file.error

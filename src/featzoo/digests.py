"""SHA-256 of files' contents, cached so that an unchanged file is not read again."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from featzoo import documents
from featzoo.errors import DamagedFile, StoreError

# A file changed this recently may change again with the same times (clock ticks are coarse),
# so its digest is not cached.
SETTLED_SECONDS = 0.1


class ContentDigests:
    """SHA-256 of files, cached by size, times and inode, so that a second run reads no media and no weights.

    A restored modification time does not hide a change, because the change time and the inode count too. The cache is
    one file for each host, replaced as a whole; if it is lost, the media are read once more.
    """

    def __init__(self, folder: Path) -> None:
        self._place = folder / f"digests-{socket.gethostname()}.json"
        self._known: dict[str, list[int | str]] = self._load()
        self._changed = False

    def _load(self) -> dict[str, list[int | str]]:
        try:
            return dict(documents.read(self._place)["files"])
        except (OSError, DamagedFile, KeyError, TypeError, ValueError):
            return {}

    def of(self, paths: Iterable[Path]) -> dict[Path, str]:
        """The digest of each file that can be read; files are read in parallel."""
        found, unknown = {}, []
        for path in dict.fromkeys(paths):
            stamp = _stamp(path)
            known = self._known.get(os.path.abspath(path))  # noqa: PTH100  (links are kept, unlike resolve)
            if stamp is not None and isinstance(known, list) and known[:-1] == stamp:
                found[path] = str(known[-1])
            elif stamp is not None:
                unknown.append(path)
        with ThreadPoolExecutor(max_workers=4) as pool:
            for path, digest in zip(unknown, pool.map(self._read, unknown), strict=True):
                if digest:
                    found[path] = digest
        return found

    def _read(self, path: Path) -> str:
        stamp = _stamp(path)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""
        settled = time.time() - max(path.stat().st_mtime, path.stat().st_ctime) > SETTLED_SECONDS
        if stamp is not None and stamp == _stamp(path) and settled:
            self._known[os.path.abspath(path)] = [*stamp, digest]  # noqa: PTH100
            self._changed = True
        return digest

    def save(self) -> None:
        """Save the new digests, if the folder is writable."""
        if not self._changed:
            return
        merged = {**self._load(), **self._known}
        with suppress(OSError, StoreError):  # a cache only: a read-only store works without it
            self._place.parent.mkdir(parents=True, exist_ok=True)
            documents.save(self._place, {"files": merged}, durable=False)


def _stamp(path: Path) -> list[int | str] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]

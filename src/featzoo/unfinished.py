"""Temporary files carry their writer's process in their name, so that those of dead writers can be deleted."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

NAME = re.compile(r"\..*-(?P<space>[0-9a-f]{12})-(?P<process>\d+)-[0-9a-f]{32}\.tmp")
_swept: set[Path] = set()


def temporary(place: Path) -> Path:
    """A new name beside `place` for a file or folder that this process writes."""
    # Part of the name shows the user which file this is; the whole name might exceed the length limit.
    return place.with_name(f".{place.name[:40]}-{_space()}-{os.getpid()}-{uuid.uuid4().hex}.tmp")


def sweep(folder: Path) -> None:
    """Delete what dead processes of this machine left unfinished in a folder, once for each process and folder.

    Files of live processes, of other machines and containers, and those that cannot be deleted stay.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError):
        for entry in os.scandir(folder):
            named = NAME.fullmatch(entry.name) if entry.name.endswith(".tmp") else None
            if named and named["space"] == _space() and not lives(int(named["process"])):
                with suppress(OSError):
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else Path(entry.path).unlink()


def lives(process: int) -> bool:
    """Whether a process of this machine and container is running."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


@cache
def _space() -> str:
    """Where process numbers mean the same processes: this machine since it was started, and this container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

"""Marks for a worker's clips in progress, and watchdogs that end it if one takes too long or too much memory."""

from __future__ import annotations

import faulthandler
import math
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from featzoo.errors import FeatzooError

# Seconds between measurements of memory: each takes 20 microseconds, and little memory can be allocated in between.
MEMORY_SECONDS = 0.1

Death = Literal["timeout", "out-of-memory", "worker-died"]


class Watch:
    """Marks clips as in progress, on disk, and ends this process if one of them takes too much time or memory.

    Args:
        scratch: A folder of this run, which the driver reads too.
        timeout: Seconds without progress after which this process is ended.
        memory: Bytes that this process may use, see `memory_taken`; None is unlimited.
    """

    def __init__(self, scratch: Path, timeout: float, memory: int | None) -> None:
        self._scratch, self._timeout, self._memory = scratch, timeout, memory
        self._wound = -math.inf
        self._over = threading.Event()

    @contextmanager
    def on(self) -> Iterator[Watch]:
        """Watch this process during a task.

        Raises:
            FeatzooError: If this process is over its memory limit before its first clip.
        """
        if self._memory is not None:
            _check_room(self._memory)
            threading.Thread(target=self._mind_memory, args=(self._memory,), daemon=True).start()
        try:
            yield self
        finally:
            self._over.set()
            faulthandler.cancel_dump_traceback_later()

    @contextmanager
    def in_hand(self, clip_ids: Sequence[str]) -> Iterator[None]:
        """Mark clips as in progress, and let the C-level watchdog end this process if it makes no progress.

        The watchdog works even while a decoder holds the interpreter's lock.
        """
        marks = [_mark(self._scratch, clip_id) for clip_id in clip_ids]
        self._wind()
        try:
            yield
        finally:
            for mark in marks:
                mark.unlink(missing_ok=True)

    def _wind(self) -> None:
        """Restart the watchdog. Each restart creates a thread, so it happens at most once per second."""
        now = time.monotonic()
        if now - self._wound > min(1.0, self._timeout / 10):
            faulthandler.dump_traceback_later(self._timeout, exit=True, file=_timeout_log(self._scratch))
            self._wound = now

    def _mind_memory(self, limit: int) -> None:
        while not self._over.wait(MEMORY_SECONDS):
            taken = memory_taken()
            if taken > limit:
                (self._scratch / f"{_process()}.memory").write_text(str(taken))
                os._exit(1)


class Unwatched(Watch):
    """In place of a `Watch` in a process that must not be ended: no marks, no limits."""

    def __init__(self) -> None:
        super().__init__(Path(), math.inf, None)

    @contextmanager
    def on(self) -> Iterator[Watch]:
        """Watch nothing."""
        yield self

    @contextmanager
    def in_hand(self, clip_ids: Sequence[str]) -> Iterator[None]:
        """Mark nothing."""
        yield


def memory_taken() -> int:
    """Bytes that only this process uses: the memory that it has written to, including swapped-out pages.

    Mapped files, such as weights, and address space that is only reserved, for example by CUDA, are
    not counted. `setrlimit` cannot make this distinction.

    Raises:
        FeatzooError: If this system does not provide the number.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise FeatzooError(
            f"a memory limit needs Linux, where /proc/self/status gives the memory of a process: {error}"
        ) from error
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "VmSwap:")))


@cache
def _check_room(limit: int) -> None:
    """Check once per process that the limit exceeds the memory of Python and its packages, or every clip would fail."""
    taken = memory_taken()
    if taken > limit:
        raise FeatzooError(
            f"the memory limit of {limit / 1e9:.2f} GB is too low: a worker uses {taken / 1e9:.2f} GB before its first "
            "clip"
        )


def suspects(scratch: Path) -> dict[str, Death]:
    """The clips that workers were processing when they died, with the reason; the marks are cleared."""
    found: dict[str, Death] = {}
    for mark in scratch.glob("*.clip"):
        process = mark.name.split(".")[0]
        timed_out = scratch / f"{process}.timeout"
        if timed_out.is_file() and timed_out.stat().st_size > 0:
            death: Death = "timeout"
        elif (scratch / f"{process}.memory").is_file():
            death = "out-of-memory"
        else:
            death = "worker-died"
        found[mark.read_text(encoding="utf-8")] = death
        mark.unlink(missing_ok=True)
    return found


def begin(scratch: Path, task: str) -> bool:
    """Whether this task starts for the first time: some engines send a dead worker's tasks to another one."""
    try:
        (scratch / f"{task}.begun").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _process() -> str:
    """A name for this process that is unique among all hosts of a run."""
    return f"{platform.node().replace('.', '-')}-{os.getpid()}"


def _mark(scratch: Path, clip_id: str) -> Path:
    place = scratch / f"{_process()}.{uuid.uuid4().hex}.clip"
    place.write_text(clip_id, encoding="utf-8")
    return place


@cache
def _timeout_log(scratch: Path) -> Any:
    """The file for the watchdog's traceback, which stays open because faulthandler needs it."""
    return (scratch / f"{_process()}.timeout").open("w")

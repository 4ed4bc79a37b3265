"""How commands end early: signals, closed pipes and errors of the operating system."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from featzoo.durable import HINTS
from featzoo.errors import FeatzooError, InvalidOption, UnknownName

# The exit status of a command whose work has parts, such as clips, if not one of them is done.
NOTHING_DONE = 3
USAGE = 2


class Terminated(KeyboardInterrupt):
    """SIGTERM, which schedulers send before they kill: it ends a command in the same way as Ctrl+C."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Raise `Terminated` in the block on SIGTERM, once: a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated


def status_of(interrupt: KeyboardInterrupt) -> int:
    """The exit status of a command that was interrupted: 128 and the number of the signal."""
    terminated = isinstance(interrupt, Terminated) or isinstance(interrupt.__cause__, Terminated)
    return 128 + (signal.SIGTERM if terminated else signal.SIGINT)


def status_of_parts(done: int, failed: int) -> int:
    """The exit status of a command whose work has parts: 0, 1 if some of them failed, or 3 if all did."""
    if not failed:
        return 0
    return 1 if done else NOTHING_DONE


@contextmanager
def nothing_done_yet() -> Iterator[None]:
    """Give an error in the block the exit status of a wrong request, or of a command that has done nothing."""
    try:
        yield
    except FeatzooError as error:
        error.exit_status = USAGE if isinstance(error, UnknownName | InvalidOption) else NOTHING_DONE
        raise


def silence_output() -> None:
    """Send standard output nowhere, so that Python's last flush at exit does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def flush_output() -> None:
    """Print what is left; where that fails, give it up, or Python would fail once more at exit, with status 120."""
    try:
        sys.stdout.flush()
    except OSError:
        silence_output()


def of_system(error: OSError | MemoryError) -> str:
    """A sentence on an error of the operating system: what happened, where, and what to do."""
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    place = f"{error.filename}: " if error.filename is not None else ""
    hint = HINTS.get(error.errno or 0)
    return f"{place}{error.strerror or error}" + (f" ({hint})" if hint else "")

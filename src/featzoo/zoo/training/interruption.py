"""Ctrl+C and SIGTERM during a training: the state is saved before the training stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from featzoo.zoo.training.checkpoint import Checkpoint

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WAITS = b"\nstopping after this epoch, to save its state; press Ctrl+C again to stop at once\n"


@contextmanager
def saves_before_stopping(checkpoint: Checkpoint, shown: bool = True) -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the end of the epoch, if epochs are not saved yet.

    A second signal is not held back. Only the main thread can handle signals; in others, this does nothing.

    Args:
        checkpoint: Of the training; it saves the state and then raises the signal again.
        shown: Say so on standard error.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A signal that is ignored, as under nohup, stays ignored; None is a handler that Python cannot restore.
    before = {number: now for number in SIGNALS if (now := signal.getsignal(number)) not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hold(number: int, _frame: FrameType | None) -> None:
        restore()
        if not checkpoint.behind:
            signal.raise_signal(number)
            return
        checkpoint.stop = number
        if shown:  # not through Python's streams, in the midst of whose writes a signal may arrive
            os.write(2, WAITS)

    for number in before:
        signal.signal(number, hold)
    try:
        yield
    finally:
        restore()

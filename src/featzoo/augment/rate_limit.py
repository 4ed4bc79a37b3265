"""When the next request may go out: limits by the minute, and pauses that the server asks for."""

from __future__ import annotations

import threading
import time


class Stopped(Exception):
    """The run has ended while a request was waiting for its turn."""


class Pace:
    """Requests spread evenly over the minute, so that no window of a minute holds more than the limit.

    Args:
        requests: At most so many a minute; None is no limit.
        tokens: At most so many a minute, by estimate when a request leaves and by the server's count afterwards.
    """

    def __init__(self, requests: float | None = None, tokens: float | None = None) -> None:
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._between = 60 / requests if requests else 0.0
        self._each = 60 / tokens if tokens else 0.0
        self._next = 0.0
        self._held = 0.0

    def wait(self, tokens: float) -> None:
        """Wait for a turn.

        Args:
            tokens: What the request and its answer are thought to cost.

        Raises:
            Stopped: If the run ends meanwhile.
        """
        while True:
            with self._lock:
                turn = max(time.monotonic(), self._next, self._held)
                self._next = turn + max(self._between, tokens * self._each)
            self.rest(turn - time.monotonic())
            with self._lock:
                if self._held <= turn:
                    return
            # The server has asked for a pause meanwhile: all that waited take turns anew after it, not all at once.

    def spent(self, tokens: float, thought: float) -> None:
        """Say what a request has cost; what it cost more or less than thought moves the next turn."""
        with self._lock:
            self._next += (tokens - thought) * self._each

    def hold(self, seconds: float) -> None:
        """Let no request leave for some seconds: the server said so to one, and means all."""
        with self._lock:
            self._held = max(self._held, time.monotonic() + seconds)
            self._next = max(self._next, self._held)

    def rest(self, seconds: float) -> None:
        """Wait, whatever the limits.

        Raises:
            Stopped: If the run ends meanwhile.
        """
        if self.stop.wait(max(seconds, 0.0)):
            raise Stopped

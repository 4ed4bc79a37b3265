"""Rate limits of requests: limits per minute, and pauses that the server requests."""

from __future__ import annotations

import threading
import time


class Stopped(Exception):
    """The run has ended while a request was waiting for its turn."""


class Pace:
    """Spreads requests evenly over the minute, so that no window of a minute holds more than the limit.

    Args:
        requests: Maximum requests per minute; None is unlimited.
        tokens: Maximum tokens per minute, estimated when a request is sent and corrected by the server's count.
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
            tokens: Estimated tokens of the request and its answer.

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
            # The server has requested a pause meanwhile: all waiting requests queue again after it, instead of starting
            # at once.

    def spent(self, tokens: float, thought: float) -> None:
        """Record the tokens of a request; the difference from the estimate moves the next turn."""
        with self._lock:
            self._next += (tokens - thought) * self._each

    def hold(self, seconds: float) -> None:
        """Send no request for some seconds: a pause that the server requests from one applies to all."""
        with self._lock:
            self._held = max(self._held, time.monotonic() + seconds)
            self._next = max(self._next, self._held)

    def rest(self, seconds: float) -> None:
        """Wait, regardless of the limits.

        Raises:
            Stopped: If the run ends meanwhile.
        """
        if self.stop.wait(max(seconds, 0.0)):
            raise Stopped

"""joblib's Dask backend, extended to report tasks that Dask gives up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from joblib._dask import DaskDistributedBackend


class Backend(DaskDistributedBackend):  # type: ignore[misc]  # joblib has no types
    """A backend that also ends when a task is cancelled or its workers died too often; joblib's own waits forever.

    joblib 1.6 calls its callback only for tasks that returned, and counts the others as pending.
    """

    def submit(self, func: Any, callback: Callable[[Any], Any] | None = None) -> Future[Any]:
        """Send a task; an error also reaches the callback."""
        future: Future[Any] = super().submit(func, callback)

        def tell(done: Future[Any]) -> None:
            error = done.exception()
            if error is not None and callback is not None:
                callback(error)

        future.add_done_callback(tell)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        """The result of a task, or its error raised."""
        if isinstance(out, BaseException):
            raise out
        return super().retrieve_result_callback(out)

    def effective_n_jobs(self, n_jobs: int) -> int:
        """At least 2: with one worker, joblib would do the work in the driver."""
        return max(2, int(super().effective_n_jobs(n_jobs)))

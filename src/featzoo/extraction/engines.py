"""Engines that run tasks in worker processes: loky on one machine, Dask and Ray on many.

A task is some clips, and it returns receipts. An engine does not repeat the tasks of a lost worker: the driver looks
into the store for what is missing and sends that again.
"""

from __future__ import annotations

import math
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from featzoo.errors import FeatzooError, InvalidOption
from featzoo.extraction.worker import Job, Receipt, Setup, run_chunk
from featzoo.weights.imports import check
from featzoo.wording import count

BACKENDS = ("loky", "dask", "ray")
# The package that each backend needs.
PACKAGES = {"dask": "distributed", "ray": "ray"}
# The command that starts workers which featzoo can use.
DASK_WORKER = "dask worker {} --nworkers 8 --nthreads 1"

# Most clips in one task: enough to fill batches across clips, few enough to balance the workers.
LARGEST_CHUNK = 64
# The same if only words are read: a text takes milliseconds, and batches of similar length need many to choose from.
LARGEST_CHUNK_OF_TEXTS = 1024

# Settings of joblib.Parallel that return each result as soon as it is there.
EACH_AS_DONE: dict[str, Any] = {"return_as": "generator_unordered", "batch_size": 1}

# Longest wait for a Dask scheduler, and then for its first worker.
CONNECT_SECONDS = 10.0
WORKER_SECONDS = 60.0


class WorkersLost(Exception):
    """Worker processes died, or the engine lost contact with them: some tasks may have no receipts."""


class Engine(Protocol):
    """Runs tasks in worker processes, so that a crash does not end the driver.

    Attributes:
        spread: Whether workers may be on other machines, which share only the store.
    """

    spread: bool

    def run(self, setup: Setup, jobs: Sequence[Job], alone: bool) -> Iterator[list[Receipt]]:
        """The receipts of each task when it is done; a task whose worker died may give none.

        Args:
            setup: The run's setup.
            jobs: The clips to extract.
            alone: Whether each job is a task by itself, and no process has two jobs at a time.

        Raises:
            WorkersLost: If the engine broke; its unfinished tasks may be done or not.
            FeatzooError: If the engine cannot run here.
        """


def check_backend(backend: str, scheduler: str | None) -> None:
    """Check that a backend can be used with this scheduler address.

    Raises:
        InvalidOption: If the address is missing, or the backend has no use for one.
        FeatzooError: If the backend's packages are not installed.
    """
    if backend not in BACKENDS:
        raise InvalidOption(f"no backend '{backend}': expected one of {', '.join(BACKENDS)}")
    if backend == "loky":
        if scheduler is not None:
            raise InvalidOption("loky's workers run on this machine: a scheduler needs the backend dask or ray")
        return
    check(PACKAGES[backend], backend)
    if backend == "dask" and scheduler is None:
        raise InvalidOption(
            "the backend dask needs the address of its scheduler. Start one with `dask scheduler`, which prints its "
            f"address, and on each machine `{DASK_WORKER.format('ADDRESS')}`"
        )


def make_engine(backend: str, scheduler: str | None, workers: int) -> Engine:
    """The engine of that name.

    Args:
        backend: One of `BACKENDS`.
        scheduler: Address of a Dask scheduler, or of a Ray cluster (None starts Ray on this machine).
        workers: Processes on this machine, for loky, and for Ray if it is started here.

    Raises:
        FeatzooError: See `check_backend`.
    """
    check_backend(backend, scheduler)
    if backend == "dask" and scheduler is not None:
        return Dask(scheduler)
    return Ray(scheduler, workers) if backend == "ray" else Loky(workers)


@dataclass(frozen=True)
class Loky:
    """Processes on this machine, through joblib."""

    workers: int
    spread = False

    def run(self, setup: Setup, jobs: Sequence[Job], alone: bool) -> Iterator[list[Receipt]]:
        """See `Engine`."""
        from joblib import Parallel
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        tasks = _tasks(setup, jobs, self.workers, alone)
        workers = min(self.workers, len(tasks))
        try:
            if alone or workers == 1:
                yield from _apart(tasks)
            else:
                yield from Parallel(n_jobs=workers, pre_dispatch="2*n_jobs", **EACH_AS_DONE)(tasks)
        except TerminatedWorkerError as error:
            raise WorkersLost(str(error)) from error


def _apart(tasks: Sequence[Any]) -> Iterator[list[Receipt]]:
    """Run tasks in one separate process. joblib would run a single worker in the calling process; loky does not."""
    from joblib.externals.loky import ProcessPoolExecutor

    # Do not use loky's reusable executor: there is one for the whole process, and joblib uses it.
    executor = ProcessPoolExecutor(max_workers=1)
    try:
        for future in [executor.submit(function, *given) for function, given, _ in tasks]:
            yield future.result()
    finally:
        executor.shutdown(wait=True, kill_workers=True)


@dataclass(frozen=True)
class Dask:
    """The workers of a running Dask cluster, through joblib.

    Dask sends the tasks of a worker that died to another one, which ignores them (see `run_chunk`); a worker's
    nanny restarts it.
    """

    address: str
    spread = True

    def run(self, setup: Setup, jobs: Sequence[Job], alone: bool) -> Iterator[list[Receipt]]:
        """See `Engine`."""
        from concurrent.futures import CancelledError as Cancelled

        from distributed import CancelledError, KilledWorker
        from distributed.comm import CommClosedError
        from joblib import Parallel

        from featzoo.extraction.dask import Backend

        with self._client() as client:
            tasks = _tasks(setup, jobs, sum(client.ncores().values()), alone)
            try:
                # Send all at once: the round trip to the scheduler takes long, and workers may join later.
                yield from Parallel(backend=Backend(client=client), pre_dispatch="all", **EACH_AS_DONE)(tasks)
            except (KilledWorker, CommClosedError, CancelledError, Cancelled, TimeoutError) as error:
                raise WorkersLost(f"{type(error).__name__}: {error}") from error
            except ModuleNotFoundError as error:
                raise FeatzooError(_unlike(error)) from error

    def _client(self) -> Any:
        from distributed import Client

        try:
            client = Client(self.address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise FeatzooError(
                f"no Dask scheduler answers at {self.address}: `dask scheduler` starts one and prints its address. "
                "Finished work is kept; run the same command again to continue"
            ) from error
        try:
            # Submit a task, so that a cluster that grows with its work starts a worker for it.
            client.submit(os.getpid, pure=False).result(timeout=WORKER_SECONDS)
        except TimeoutError as error:
            client.close()
            raise FeatzooError(
                f"no worker has joined the Dask scheduler at {self.address} in {WORKER_SECONDS:.0f} s: start some with "
                f"`{DASK_WORKER.format(self.address)}`"
            ) from error
        threaded = [name for name, threads in client.ncores().items() if threads > 1]
        if threaded:
            client.close()
            raise FeatzooError(
                f"{count(len(threaded), 'Dask worker')} with several threads ({threaded[0]}), where a clip that "
                f"crashes ends others too: start workers with `{DASK_WORKER.format(self.address)}`"
            )
        return client


@dataclass(frozen=True)
class Ray:
    """Actors of a Ray cluster, through joblib: one call for a whole run, because each call starts new actors.

    The receipts come when everything is done: Ray's joblib backend returns no results before.
    """

    address: str | None
    workers: int
    spread = True

    def run(self, setup: Setup, jobs: Sequence[Job], alone: bool) -> Iterator[list[Receipt]]:
        """See `Engine`."""
        if self.address:
            _reach(self.address)
        import ray
        from joblib import Parallel, parallel_config
        from ray.util.joblib import register_ray

        if not ray.is_initialized():
            there: dict[str, Any] = {"address": self.address} if self.address else {"num_cpus": max(2, self.workers)}
            ray.init(**there, log_to_driver=False)
        register_ray()
        held = ray.cluster_resources()
        gpus = int(held.get("GPU", 0)) if setup.needs_device and setup.device not in ("cpu", "mps") else 0
        workers = gpus or int(held["CPU"])
        if workers < 2 and not gpus:
            raise FeatzooError("joblib cannot use a Ray cluster with only one CPU: use the backend loky")
        # Jobs that run alone get one call each: a dead actor breaks its whole call.
        tasks = _tasks(setup, jobs, workers, alone)
        with parallel_config(backend="ray", ray_remote_args={"num_gpus": 1} if gpus else None):
            calls = [Parallel(n_jobs=max(2, workers), batch_size=1) for _ in (tasks if alone else [0])]
        try:
            for parallel, part in zip(calls, [[task] for task in tasks] if alone else [tasks], strict=True):
                yield from parallel(part)
        except ray.exceptions.RayError as error:
            raise WorkersLost(f"{type(error).__name__}: {error}") from error
        except ModuleNotFoundError as error:
            raise FeatzooError(_unlike(error)) from error


def _reach(address: str) -> None:
    """Check that a cluster answers; Ray itself would wait for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise FeatzooError(
            f"no Ray cluster answers at {address} ({error}): `ray start --head` starts one and prints its HOST:PORT"
        ) from error


def _tasks(setup: Setup, jobs: Sequence[Job], workers: int, alone: bool) -> list[Any]:
    from joblib import delayed

    texts = all(tuple(extractor.reads) == ("words",) for extractor in setup.extractors)
    chunks = [[job] for job in jobs] if alone else _chunks(jobs, workers, texts)
    return [delayed(run_chunk)(setup, chunk, uuid.uuid4().hex) for chunk in chunks]


def _chunks(jobs: Sequence[Job], workers: int, texts: bool = False) -> list[Sequence[Job]]:
    """Large tasks first, for batches across clips, then ever smaller ones, so that all workers finish together."""
    chunks, start = [], 0
    largest, share = (LARGEST_CHUNK_OF_TEXTS, workers) if texts else (LARGEST_CHUNK, 4 * workers)
    while start < len(jobs):
        size = max(2, min(largest, math.ceil((len(jobs) - start) / share)))
        chunks.append(jobs[start : start + size])
        start += size
    return chunks


def _unlike(error: ModuleNotFoundError) -> str:
    return f"a worker cannot import {error.name}: install the same featzoo and extractors there as here"

"""How tasks reach worker processes: loky on one machine, Dask and Ray on many, or ranks without any engine.

A task is some clips; its answer is receipts. What a lost worker had to do is left open here: the driver
looks into the store for what is missing, and sends that again.
"""

from __future__ import annotations

import hashlib
import math
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from featzoo.errors import FeatzooError, InvalidOption
from featzoo.extraction.worker import Job, Receipt, Setup, run_chunk
from featzoo.media.clip import Clip
from featzoo.weights.imports import check

BACKENDS = ("loky", "dask", "ray")

# Clips in one task: enough to fill batches across clips, few enough to share the work out.
LARGEST_CHUNK = 64
# The same where only words are read: a text costs milliseconds, and batches of one length need many to choose from.
LARGEST_CHUNK_OF_TEXTS = 1024

# For joblib.
EACH_AS_DONE: dict[str, Any] = {"return_as": "generator_unordered", "batch_size": 1}

# How long a Dask scheduler, then a first worker, is waited for.
CONNECT_SECONDS = 10.0
WORKER_SECONDS = 60.0


class WorkersLost(Exception):
    """Worker processes died, or the engine lost sight of them: some tasks may have no receipts."""


class Engine(Protocol):
    """What runs tasks in worker processes: a crash must not take the driver.

    Attributes:
        spread: Whether workers may be on other machines, which share nothing but the store.
    """

    spread: bool

    def run(self, setup: Setup, jobs: Sequence[Job], alone: bool) -> Iterator[list[Receipt]]:
        """The receipts of each task as it is done; of a task whose worker died there may be none.

        Args:
            setup: Of the run.
            jobs: What to do.
            alone: Give each job a task of its own, and no process two jobs at a time.

        Raises:
            WorkersLost: If the engine broke; what it had in work may be done or not.
            FeatzooError: If it cannot run here.
        """


def make_engine(backend: str, scheduler: str | None, workers: int) -> Engine:
    """The engine of that name.

    Args:
        backend: One of `BACKENDS`.
        scheduler: Address of a Dask scheduler, or of a Ray cluster (None starts Ray on this machine).
        workers: Processes on this machine, for loky, and for Ray where it is started here.

    Raises:
        FeatzooError: If its packages are not installed, or an address is missing or pointless.
    """
    if backend == "loky":
        if scheduler is not None:
            raise InvalidOption("--scheduler is for --backend dask or ray: loky's workers run on this machine")
        return Loky(workers)
    if backend == "dask":
        check("distributed", "dask")
        if scheduler is None:
            raise InvalidOption(
                "--backend dask needs --scheduler ADDRESS. Start one with `dask scheduler`, which prints its address, "
                "and on each machine `dask worker ADDRESS --nworkers 8 --nthreads 1`"
            )
        return Dask(scheduler)
    if backend == "ray":
        check("ray", "ray")
        return Ray(scheduler, workers)
    raise InvalidOption(f"no backend '{backend}': expected one of {', '.join(BACKENDS)}")


def share(clips: Sequence[Clip], rank: int, world: int) -> list[Clip]:
    """The clips that one of `world` independent processes takes; each clip belongs to exactly one rank.

    A clip's rank is SHA-256 of its id, modulo `world`. It depends on nothing else: neither on the other clips nor
    on what is done already, so a rank that is started again goes on with its own.

    Raises:
        InvalidOption: If not 0 <= rank < world.
    """
    if not 0 <= rank < world:
        raise InvalidOption(f"--rank {rank} --world {world}: ranks count from 0 to world - 1")
    return [clip for clip in clips if _number(clip.id) % world == rank]


def _number(clip_id: str) -> int:
    return int.from_bytes(hashlib.sha256(clip_id.encode("utf-8", "surrogatepass")).digest()[:8], "big")


@dataclass(frozen=True)
class Loky:
    """Processes on this machine, through joblib."""

    workers: int
    spread = False

    def run(self, setup: Setup, jobs: Sequence[Job], alone: bool) -> Iterator[list[Receipt]]:
        """See `Engine`."""
        from joblib import Parallel
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        try:
            if alone or self.workers == 1:
                yield from _apart(_tasks(setup, jobs, 1, alone))
            else:
                parallel = Parallel(n_jobs=self.workers, pre_dispatch="2*n_jobs", **EACH_AS_DONE)
                yield from parallel(_tasks(setup, jobs, self.workers, alone))
        except TerminatedWorkerError as error:
            raise WorkersLost(str(error)) from error


def _apart(tasks: Sequence[Any]) -> Iterator[list[Receipt]]:
    """joblib runs a single worker in the calling process; loky itself keeps it apart."""
    from joblib.externals.loky import ProcessPoolExecutor

    # Not loky's reusable executor: that is one for the whole process, and joblib takes it for its own.
    executor = ProcessPoolExecutor(max_workers=1)
    try:
        for future in [executor.submit(function, *given) for function, given, _ in tasks]:
            yield future.result()
    finally:
        executor.shutdown(wait=True, kill_workers=True)


@dataclass(frozen=True)
class Dask:
    """The workers of a running Dask cluster, through joblib.

    Dask sends the tasks of a worker that died to another one, which leaves them alone (see `run_chunk`); a worker's
    nanny starts it again.
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
                # All at once: the way to the scheduler and back is long, and workers may join later.
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
                "What is stored stays; the same command goes on from there"
            ) from error
        try:
            # A task, so that a cluster that grows with its work starts a worker for it.
            client.submit(os.getpid, pure=False).result(timeout=WORKER_SECONDS)
        except TimeoutError as error:
            client.close()
            raise FeatzooError(
                f"no worker has joined the Dask scheduler at {self.address} in {WORKER_SECONDS:.0f} s: start some with "
                f"`dask worker {self.address} --nworkers 8 --nthreads 1`"
            ) from error
        threaded = [name for name, threads in client.ncores().items() if threads > 1]
        if threaded:
            client.close()
            raise FeatzooError(
                f"{len(threaded)} Dask workers have several threads ({threaded[0]}), where a clip that crashes takes "
                f"others with it: start them with `dask worker {self.address} --nworkers 8 --nthreads 1`"
            )
        return client


@dataclass(frozen=True)
class Ray:
    """Actors of a Ray cluster, through joblib: one call for a whole run, because each call starts its actors anew.

    Its receipts come when all is done: Ray's joblib backend gives no results before.
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
        gpus = int(held.get("GPU", 0)) if setup.device != "cpu" and setup.needs_device else 0
        workers = gpus or int(held["CPU"])
        if workers < 2 and not gpus:
            raise FeatzooError("this Ray cluster has one CPU, where joblib would use none of it: use --backend loky")
        # One call each for jobs that run alone: a dead actor breaks its whole call.
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
    """Ray itself would wait for minutes for a cluster that is not there."""
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
    """Large tasks first, for batches across clips, and ever smaller ones, so that no worker waits long for the last."""
    chunks, start = [], 0
    largest, share = (LARGEST_CHUNK_OF_TEXTS, workers) if texts else (LARGEST_CHUNK, 4 * workers)
    while start < len(jobs):
        size = max(2, min(largest, math.ceil((len(jobs) - start) / share)))
        chunks.append(jobs[start : start + size])
        start += size
    return chunks


def _unlike(error: ModuleNotFoundError) -> str:
    return f"a worker cannot import {error.name}: install the same featzoo and extractors there as here"

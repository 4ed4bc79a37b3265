"""What one worker process does: decode each clip once, run its extractors, commit shards, give receipts."""

from __future__ import annotations

import faulthandler
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.shard import Entry
from featzoo.cache.store import BUFFER_BYTES, FeatureStore
from featzoo.clips import Clip, Seat, Shared
from featzoo.errors import ClipError, FeatzooError
from featzoo.extractors.contract import Extractor, ModelExtractor
from featzoo.sequence import FeatureSequence
from featzoo.window import Window

# A shard is written at least so often, so that a crash costs little.
BUFFER_SECONDS = 5.0


@dataclass(frozen=True)
class Setup:
    """What all tasks of a run share. Arrays never pass through the engine."""

    store: Path
    extractors: list[Extractor]
    scratch: Path
    timeout: float


@dataclass(frozen=True)
class Job:
    """A clip, and the feature sets to compute with the digest of what each is made from."""

    clip: Clip
    sources: dict[str, str]


class Receipt(NamedTuple):
    """What became of one clip in one set: `stored` means that it survives a crash."""

    key: str
    clip: str
    state: Literal["stored", "failed"]
    detail: str


def run_chunk(setup: Setup, jobs: Sequence[Job], device: str, threads: int, torch_threads: int) -> list[Receipt]:
    """Extract and store the features of some clips.

    Args:
        setup: Of the run.
        jobs: What to compute.
        device: Where models run.
        threads: Clips to decode at the same time, while the device is at work.
        torch_threads: CPU threads for models, so that workers do not crowd each other out.

    Returns:
        A receipt for each clip and set, once it is on the disk.
    """
    extractors = {extractor.key: extractor for extractor in setup.extractors}
    if any(isinstance(extractor, ModelExtractor) for extractor in extractors.values()):
        import torch

        torch.set_num_threads(torch_threads)
    chunk = _Chunk(setup, extractors, device)
    try:
        if threads == 1:
            for job in jobs:
                chunk.process(job)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(chunk.process, jobs))
        return chunk.finish()
    finally:
        faulthandler.cancel_dump_traceback_later()


class _Chunk:
    """The clips of one task on their way to the store."""

    def __init__(self, setup: Setup, extractors: Mapping[str, Extractor], device: str) -> None:
        self._setup, self._extractors = setup, extractors
        store = _store(setup.store)
        self._writers = {key: _Writer(store.open_set(x.label, x.spec())) for key, x in extractors.items()}
        self._windows = {
            key: Window(extractor, device, self._guard, partial(self._keep, key), partial(self._fail, key))
            for key, extractor in extractors.items()
            if isinstance(extractor, ModelExtractor)
        }
        self._sources: dict[tuple[str, str], str] = {}
        self._wound = -math.inf

    def process(self, job: Job) -> None:
        """Run all extractors that a clip still needs."""
        for key, source in job.sources.items():
            self._sources[key, job.clip.id] = source
        with self._guard([job.clip.id]):
            viewers = [key for key in job.sources if "video" in self._extractors[key].reads]
            shared = Shared(len(viewers))
            for key in job.sources:
                if key not in viewers:
                    self._run(key, replace(job.clip, seat=Seat(shared, views=False)))
            if len(viewers) == 1:
                self._run(viewers[0], replace(job.clip, seat=Seat(shared)))
            elif viewers:
                # One thread each, all at once: they wait for each other's frames (see SharedFrames).
                seated = [replace(job.clip, seat=Seat(shared)) for _ in viewers]
                with ThreadPoolExecutor(len(viewers)) as pool:
                    list(pool.map(self._run, viewers, seated))

    def _run(self, key: str, clip: Clip) -> None:
        extractor = self._extractors[key]
        try:
            if clip.path is not None and not clip.path.exists() and "words" not in extractor.reads:
                raise ClipError("not-found", f"no file {clip.path}")
            if isinstance(extractor, ModelExtractor):
                window = self._windows[key]
                for sample in extractor.load(clip):
                    window.put(clip.id, sample)
                window.end(clip.id)
            else:
                self._keep(key, clip.id, extractor.extract(clip))
        except (Exception, SystemExit) as error:  # a plugin may raise anything: the others go on
            if isinstance(error, FeatzooError) and not isinstance(error, ClipError):
                raise
            if key in self._windows:
                self._windows[key].drop(clip.id)
            self._fail(key, clip.id, error)
        finally:
            if clip.seat is not None and "video" in extractor.reads:
                clip.seat.leave()

    def _keep(self, key: str, clip_id: str, sequence: FeatureSequence) -> None:
        self._writers[key].put(Entry(clip_id, self._sources[key, clip_id], sequence))

    def _fail(self, key: str, clip_id: str, error: BaseException) -> None:
        reason, message = _reason(error)
        self._writers[key].fail(clip_id, self._sources[key, clip_id], reason, message)

    def finish(self) -> list[Receipt]:
        """Encode and write what is left, and give all receipts."""
        for window in self._windows.values():
            window.flush()
        for writer in self._writers.values():
            writer.flush()
        return [receipt for writer in self._writers.values() for receipt in writer.receipts]

    @contextmanager
    def _guard(self, clip_ids: Sequence[str]) -> Iterator[None]:
        """Mark clips as in hand, and let the C-level watchdog end this process if nothing moves on.

        The watchdog works even while a decoder holds the interpreter's lock.
        """
        marks = [_mark(self._setup.scratch, clip_id) for clip_id in clip_ids]
        self._wind()
        try:
            yield
        finally:
            for mark in marks:
                mark.unlink(missing_ok=True)

    def _wind(self) -> None:
        """Wind the watchdog up again. Each time costs a thread, so not more often than every second."""
        now = time.monotonic()
        if now - self._wound > min(1.0, self._setup.timeout / 10):
            log = _watchdog_log(self._setup.scratch)
            faulthandler.dump_traceback_later(self._setup.timeout, exit=True, file=log)
            self._wound = now


class _Writer:
    """Sequences of one set, gathered until a shard is worth writing."""

    def __init__(self, feature_set: FeatureSet) -> None:
        self._set = feature_set
        self._lock = threading.Lock()
        self._waiting: list[Entry] = []
        self._bytes, self._since = 0, time.monotonic()
        self._kind: tuple[Any, ...] | None = feature_set.kind
        self.receipts: list[Receipt] = []

    def put(self, entry: Entry) -> None:
        """Take one clip; writes a shard when enough is waiting or has waited long enough.

        Raises:
            ClipError: If its rows are of another kind than the set's.
        """
        found = entry.sequence
        if not isinstance(found, FeatureSequence):
            raise ClipError("error", f"the extractor gave {type(found).__name__}, not a FeatureSequence")
        kind = (found.names, found.features.dtype, found.features.shape[1:])
        with self._lock:
            self._kind = self._kind or kind
            if kind != self._kind:
                raise ClipError(
                    "other-rows",
                    f"rows {kind[2]} {kind[1]} in a set of {self._kind[2]} "
                    f"{self._kind[1]}, or other column names: an extractor gives one kind of row",
                )
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append(entry)
            self._bytes += found.features.nbytes
            if self._bytes >= BUFFER_BYTES or time.monotonic() - self._since >= BUFFER_SECONDS:
                self._write()

    def fail(self, clip_id: str, source: str, reason: str, message: str) -> None:
        """Record a clip's failure."""
        self._set.fail(clip_id, source, reason, message)
        with self._lock:
            self.receipts.append(Receipt(self._set.key, clip_id, "failed", f"{reason}: {message}"))

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            if self._waiting:
                self._write()

    def _write(self) -> None:
        self._set.write(self._waiting)
        for entry in self._waiting:
            detail = f"{entry.sequence.features.shape}"
            self.receipts.append(Receipt(self._set.key, entry.clip_id, "stored", detail))
        self._waiting, self._bytes = [], 0


def _reason(error: BaseException) -> tuple[str, str]:
    """Code and text for the failures ledger."""
    if isinstance(error, ClipError):
        return error.reason, str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch has its own
        return "out-of-memory", "not enough memory for this clip"
    return "error", f"{type(error).__name__}: {error}"


@cache
def _store(path: Path) -> FeatureStore:
    """One per process: its index is read once."""
    return FeatureStore(path)


def _mark(scratch: Path, clip_id: str) -> Path:
    place = scratch / f"{os.getpid()}.{uuid.uuid4().hex}.clip"
    place.write_text(clip_id, encoding="utf-8")
    return place


@cache
def _watchdog_log(scratch: Path) -> Any:
    """Where the watchdog leaves its traceback; open for the life of the process, as faulthandler needs it."""
    return (scratch / f"{os.getpid()}.timeout").open("w")


def suspects(scratch: Path) -> dict[str, Literal["timeout", "worker-died"]]:
    """The clips that workers had in hand when they died, and why; the marks are cleared."""
    found: dict[str, Literal["timeout", "worker-died"]] = {}
    for mark in scratch.glob("*.clip"):
        log = scratch / f"{mark.name.split('.')[0]}.timeout"
        timed_out = log.is_file() and log.stat().st_size > 0
        found[mark.read_text(encoding="utf-8")] = "timeout" if timed_out else "worker-died"
        mark.unlink(missing_ok=True)
    return found

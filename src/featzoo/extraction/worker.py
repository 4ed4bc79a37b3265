"""The work of one worker process: decode each clip once, run its extractors, write shards, return receipts."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, NamedTuple

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.shard import Entry
from featzoo.cache.store import BUFFER_BYTES, FeatureStore
from featzoo.devices import choose_devices
from featzoo.errors import ClipError, FeatzooError
from featzoo.extraction.batching import Window
from featzoo.extraction.device_claims import claim_device
from featzoo.extraction.watchdog import Unwatched, Watch, begin
from featzoo.extractors.contract import Extractor, ModelExtractor
from featzoo.media.clip import Clip, Decoder
from featzoo.media.sharing import Seat, SharedClip
from featzoo.sequence import FeatureSequence

# A shard is written at least this often, so that a crash costs little.
BUFFER_SECONDS = 5.0


@dataclass(frozen=True)
class Setup:
    """The setup shared by all tasks of a run. Arrays never pass through the engine.

    Attributes:
        store: The store, an absolute path that is valid on all workers.
        extractors: The extractors to run.
        scratch: A folder of this run, visible to all workers and the driver.
        timeout: Seconds that a clip may take.
        memory: Bytes that a worker process may take; None is no limit.
        device: Where models run: auto, cpu, cuda, cuda:N or mps, on the worker's machine.
        max_damage: Largest share of damaged frames that a clip may have; one with more fails.
        jobs: Clips processed at the same time on one machine; None if each core has a separate worker.
        own_process: Whether tasks run in a process of their own, which they may end, and whose threads they set.
    """

    store: Path
    extractors: list[Extractor]
    scratch: Path
    timeout: float
    memory: int | None = None
    device: str = "auto"
    jobs: int | None = None
    max_damage: float = 0.1
    own_process: bool = True

    @property
    def needs_device(self) -> bool:
        """Whether any extractor is a model."""
        return any(isinstance(extractor, ModelExtractor) for extractor in self.extractors)


@dataclass(frozen=True)
class Job:
    """A clip, and the feature sets to compute with the digest of what each is made from."""

    clip: Clip
    sources: dict[str, str]


class Receipt(NamedTuple):
    """The outcome of one clip in one set: `stored` means that it survives a crash; `notes` are kinds of notes."""

    key: str
    clip: str
    state: Literal["stored", "failed"]
    detail: str
    notes: tuple[str, ...] = ()


def run_chunk(setup: Setup, jobs: Sequence[Job], task: str) -> list[Receipt]:
    """Extract and store the features of some clips.

    Args:
        setup: The run's setup.
        jobs: The clips and sets to compute.
        task: A unique name. A task that was started before is not repeated: the worker that started it has
            died, and the driver finds out what is missing.

    Returns:
        A receipt for each clip and set, once it is on the disk.

    Raises:
        FeatzooError: If nothing can run here: weights, packages, memory, or a store that cannot be written.
    """
    if not begin(setup.scratch, task):
        return []
    setup = _kept(setup)
    extractors = {extractor.key: extractor for extractor in setup.extractors}
    strange = {key for job in jobs for key in job.sources} - extractors.keys()
    if strange:
        raise FeatzooError(
            f"{platform.node()} would compute {', '.join(extractors)} instead of {', '.join(sorted(strange))}: "
            "it has another version of featzoo or other weights than the machine that started the run"
        )
    device, threads = _place(setup)
    watch = Watch(setup.scratch, setup.timeout, setup.memory) if setup.own_process else Unwatched()
    with _ONE_TASK, watch.on():
        chunk = _Chunk(setup, extractors, device, watch)
        if threads == 1:
            for job in jobs:
                chunk.process(job)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(chunk.process, jobs))
        return chunk.finish()


# The watchdogs end the process, so two tasks in threads of one process would end each other.
_ONE_TASK = threading.Lock()

_setups: dict[Path, Setup] = {}
forget_setups = _setups.clear


def _kept(setup: Setup) -> Setup:
    """The setup from this process's first task, so that models kept by extractors outlive a task."""
    if setup.scratch not in _setups:
        _setups.clear()
        _setups[setup.scratch] = setup
    return _setups[setup.scratch]


def _place(setup: Setup) -> tuple[str, int]:
    """The device of this process, and the number of clips to decode while the device computes."""
    if not setup.needs_device:
        return "cpu", 1
    import torch
    from joblib import cpu_count

    devices = choose_devices(setup.device)
    cores = cpu_count()
    jobs = setup.jobs or cores
    on_cpu = devices == ["cpu"]
    if setup.own_process:  # keeps workers from competing for cores
        torch.set_num_threads(max(1, cores // (jobs if on_cpu else len(devices))))
    return claim_device(setup.scratch.name, devices), 1 if on_cpu else max(1, jobs // len(devices))


class _Chunk:
    """The clips of one task until they are stored."""

    def __init__(self, setup: Setup, extractors: Mapping[str, Extractor], device: str, watch: Watch) -> None:
        self._extractors, self._watch = extractors, watch
        self._decoder = Decoder(setup.max_damage)
        store = _store(setup.store)
        self._writers = {key: _Writer(store.open_set(x.label, x.spec())) for key, x in extractors.items()}
        self._windows = {
            key: Window(extractor, device, watch.in_hand, partial(self._keep, key), partial(self._fail, key))
            for key, extractor in extractors.items()
            if isinstance(extractor, ModelExtractor)
        }
        self._sources: dict[tuple[str, str], str] = {}
        self._notes: dict[tuple[str, str], dict[str, str]] = {}

    def process(self, job: Job) -> None:
        """Run all extractors that a clip still needs."""
        for key, source in job.sources.items():
            self._sources[key, job.clip.id] = source
        with self._watch.in_hand([job.clip.id]):
            viewers = [key for key in job.sources if "video" in self._extractors[key].reads]
            shared = SharedClip(len(viewers), self._decoder)
            for key in job.sources:
                if key not in viewers:
                    self._run(key, job.clip, Seat(shared, reader=False))
            if len(viewers) == 1:
                self._run(viewers[0], job.clip, Seat(shared))
            elif viewers:
                # One thread each, all at the same time: they wait for each other's frames (see SharedFrames).
                seats = [Seat(shared) for _ in viewers]
                with ThreadPoolExecutor(len(viewers)) as pool:
                    list(pool.map(self._run, viewers, repeat(job.clip), seats))

    def _run(self, key: str, clip: Clip, seat: Seat) -> None:
        extractor, clip = self._extractors[key], replace(clip, source=seat, notes={})
        self._notes[key, clip.id] = clip.notes
        try:
            needed = bool({"audio", "video"} & {*extractor.reads}) and "words" not in extractor.reads
            if needed and clip.path is not None and not clip.path.exists():
                raise ClipError("not-found", f"no file {clip.path}")
            if isinstance(extractor, ModelExtractor):
                window = self._windows[key]
                for sample in extractor.load(clip):
                    window.put(clip.id, sample)
                window.end(clip.id)
            else:
                self._keep(key, clip.id, extractor.extract(clip))
        except (Exception, SystemExit) as error:  # a plugin may raise anything, and the other extractors continue
            if isinstance(error, FeatzooError) and not isinstance(error, ClipError):
                raise
            if key in self._windows:
                self._windows[key].drop(clip.id)
            self._fail(key, clip.id, error)
        finally:
            if "video" in extractor.reads:
                seat.leave()

    def _keep(self, key: str, clip_id: str, sequence: FeatureSequence) -> None:
        finished = self._extractors[key].finished(sequence)
        notes = dict(self._notes.pop((key, clip_id), {}))
        self._writers[key].put(Entry(clip_id, self._sources[key, clip_id], finished, notes))

    def _fail(self, key: str, clip_id: str, error: BaseException) -> None:
        reason, message = _reason(error)
        retry = isinstance(error, ClipError) and error.retry
        self._writers[key].fail(clip_id, self._sources[key, clip_id], reason, message, retry)

    def finish(self) -> list[Receipt]:
        """Encode and write the rest, and return all receipts."""
        for window in self._windows.values():
            window.flush()
        for writer in self._writers.values():
            writer.flush()
        return [receipt for writer in self._writers.values() for receipt in writer.receipts]


class _Writer:
    """Sequences of one set, gathered until they fill a shard."""

    def __init__(self, feature_set: FeatureSet) -> None:
        self._set = feature_set
        self._lock = threading.Lock()
        self._waiting: list[Entry] = []
        self._bytes, self._since = 0, time.monotonic()
        self._kind: tuple[Any, ...] | None = feature_set.kind
        self.receipts: list[Receipt] = []

    def put(self, entry: Entry) -> None:
        """Add one clip, and write a shard if enough clips are waiting or have waited long enough.

        Raises:
            ClipError: If its rows have another shape or type than the set's.
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
                    f"{self._kind[1]}, or other column names: all rows of an extractor must be of one kind",
                )
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append(entry)
            self._bytes += found.features.nbytes
            if self._bytes >= BUFFER_BYTES or time.monotonic() - self._since >= BUFFER_SECONDS:
                self._write()

    def fail(self, clip_id: str, source: str, reason: str, message: str, retry: bool) -> None:
        """Record a clip's failure."""
        self._set.fail(clip_id, source, reason, message, retry)
        with self._lock:
            self.receipts.append(Receipt(self._set.key, clip_id, "failed", f"{reason}: {message}"))

    def flush(self) -> None:
        """Write the waiting clips."""
        with self._lock:
            if self._waiting:
                self._write()

    def _write(self) -> None:
        self._set.write(self._waiting)
        for entry in self._waiting:
            detail = f"{entry.sequence.features.shape}"
            self.receipts.append(Receipt(self._set.key, entry.clip_id, "stored", detail, tuple(entry.notes)))
        self._waiting, self._bytes = [], 0


def _reason(error: BaseException) -> tuple[str, str]:
    """Code and text of a failure."""
    if isinstance(error, ClipError):
        return error.reason, str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch has its own
        return "out-of-memory", "not enough memory for this clip"
    return "error", f"{type(error).__name__}: {error}"


@cache
def _store(path: Path) -> FeatureStore:
    """The store, opened once per process so that its index is read once."""
    return FeatureStore(path)

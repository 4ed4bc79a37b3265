"""Clips x extractors -> store: in parallel, resumable, every clip accounted for.

The driver finds what is missing and hands out tasks (extractors, clips); workers decode each medium
once for all extractors that want it, commit shards to the store themselves and answer with receipts.
A worker that dies costs what it had in hand: its clips run again alone, and one that kills its worker
then too is recorded as failed.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

from featzoo.cache.featureset import Failure, FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.clips import Clip
from featzoo.errors import FeatzooError
from featzoo.extractors.contract import Extractor, ModelExtractor
from featzoo.plan import Plan, make_plan
from featzoo.worker import Job, Receipt, Setup, run_chunk, suspects

# Clips in one task: enough to fill batches across clips, few enough to share the work out.
LARGEST_CHUNK = 64

# Workers that die with no clip in hand, before the run is given up.
MOST_DEATHS = 4


class Outcome(NamedTuple):
    """What became of one clip in one feature set: `stored`, `cached` or `failed`, and why."""

    key: str
    clip: str
    state: Literal["stored", "cached", "failed"]
    detail: str


@dataclass
class Report:
    """The account of a run: every clip of every feature set is in `outcomes` once."""

    outcomes: list[Outcome] = field(default_factory=list)

    def counts(self, key: str) -> Counter[str]:
        """How many clips of a set were stored, cached, failed."""
        return Counter(outcome.state for outcome in self.outcomes if outcome.key == key)

    @property
    def failed(self) -> list[Outcome]:
        """The clips that gave no features, with their reasons."""
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]


def extract_all(
    store: FeatureStore,
    extractors: Sequence[Extractor],
    clips: Sequence[Clip],
    *,
    jobs: int = -1,
    device: str = "auto",
    retry: bool = False,
    timeout: float = 600.0,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    plan: Plan | None = None,
) -> Report:
    """Compute and store what is missing.

    Args:
        store: Where to; safe to share with other runs.
        extractors: What to compute.
        clips: Of what.
        jobs: Worker processes; -1 is one for each core.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; for model extractors.
        retry: Try clips again that are known to fail.
        timeout: Seconds that one clip may take before its worker is killed.
        on_outcome: Called for each clip of each set as soon as its fate is known; `stored` means that
            it survives a crash.
        plan: From `make_plan`, if there already is one.

    Returns:
        An account of every clip of every set.

    Raises:
        FeatzooError: If nothing can run: weights, packages, or a store that cannot be written.
    """
    plan = plan or make_plan(store, extractors, clips)
    keys = {extractor.key: extractor for extractor in extractors}
    sets = {key: store.open_set(x.label, x.spec(), _provenance(x)) for key, x in keys.items()}
    store.record(clips, plan.media)
    report = Report()

    def tell(outcome: Outcome) -> None:
        report.outcomes.append(outcome)
        on_outcome(outcome)

    wanted: list[Job] = []
    for clip in clips:
        todo = {}
        for key in keys:
            state, why = plan.states[key][clip.id]
            if state == "cached":
                tell(Outcome(key, clip.id, "cached", ""))
            elif state == "failed" and not retry:
                tell(Outcome(key, clip.id, "failed", why))
            else:
                todo[key] = plan.sources[key][clip.id]
        if todo:
            wanted.append(Job(clip, todo))
    if wanted:
        devices = choose_devices(device) if any(isinstance(x, ModelExtractor) for x in extractors) else ["cpu"]
        scratch = Path(tempfile.mkdtemp(prefix="featzoo-"))
        try:
            setup = Setup(store.path, list(extractors), scratch, timeout)
            for receipt in _run(setup, wanted, sets, jobs, devices):
                tell(Outcome(*receipt))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            for feature_set in sets.values():
                feature_set.index.refresh()
    return report


def choose_devices(device: str) -> list[str]:
    """The devices to run models on: all GPUs for `auto`, else the one named.

    Raises:
        FeatzooError: If it is not there.
    """
    if device == "cpu":
        return ["cpu"]
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return [f"cuda:{i}" for i in range(count)] or ["cpu"]
    name, _, number = device.partition(":")
    if name != "cuda" or not (number or "0").isdigit():
        raise FeatzooError(f"device '{device}' is none of auto, cpu, cuda, cuda:N")
    if int(number or 0) >= count:
        raise FeatzooError(f"no device '{device}': this machine has {count} CUDA devices; use --device cpu")
    return [f"cuda:{number or 0}"]


def _run(
    setup: Setup, wanted: Sequence[Job], sets: Mapping[str, FeatureSet], jobs: int, devices: Sequence[str]
) -> Iterator[Receipt]:
    """Receipts of all jobs, whatever becomes of the workers."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    cores = os.cpu_count() or 1
    workers = cores if jobs < 0 else max(1, jobs)
    threads = 1
    if devices != ["cpu"]:
        workers, threads = len(devices), max(1, workers // len(devices))
    open_jobs = {job.clip.id: job for job in wanted}
    before = {(key, job.clip.id): sets[key].failure(job.clip.id) for job in wanted for key in job.sources}
    alone: list[Job] = []
    deaths = 0
    while open_jobs:
        batch = alone or list(open_jobs.values())
        chunks = [[job] for job in batch] if alone else _chunks(batch, workers)
        single = bool(alone)
        alone = []
        try:
            for receipts in _parallel(setup, chunks, 1 if single else workers, threads, devices, cores):
                for receipt in receipts:
                    yield from _settle(receipt, open_jobs)
        except TerminatedWorkerError:
            # Shards that dead workers had committed count; what they had in hand runs again alone.
            for receipt in _settled_meanwhile(open_jobs, sets, before):
                yield from _settle(receipt, open_jobs)
            guilty = suspects(setup.scratch)
            deaths += not guilty
            if deaths > MOST_DEATHS:
                raise FeatzooError(
                    "worker processes keep dying before they take up a clip: too little memory, or a package "
                    "that crashes when imported; try -j 1, or `feat doctor`"
                ) from None
            if single:
                for clip_id, reason in guilty.items():
                    if clip_id in open_jobs:
                        yield from _give_up(open_jobs[clip_id], reason, sets, open_jobs)
            alone = [open_jobs[clip_id] for clip_id in guilty if clip_id in open_jobs]


def _chunks(jobs: Sequence[Job], workers: int) -> list[Sequence[Job]]:
    """Large tasks first, for batches across clips, and ever smaller ones, so that no worker waits long for the last."""
    chunks, start = [], 0
    while start < len(jobs):
        size = max(2, min(LARGEST_CHUNK, math.ceil((len(jobs) - start) / (4 * workers))))
        chunks.append(jobs[start : start + size])
        start += size
    return chunks


def _parallel(
    setup: Setup,
    chunks: Sequence[Sequence[Job]],
    workers: int,
    threads: int,
    devices: Sequence[str],
    cores: int,
) -> Iterator[list[Receipt]]:
    """The receipts of each chunk as it is done. Always in worker processes: a crash must not take the driver."""
    from joblib import Parallel, delayed

    tasks = (
        delayed(run_chunk)(setup, chunk, devices[number % len(devices)], threads, max(1, cores // workers))
        for number, chunk in enumerate(chunks)
    )
    if workers == 1:
        yield from _one_process(setup, chunks, devices[0], threads, cores)
    else:
        parallel = Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch="2*n_jobs", batch_size=1)
        yield from parallel(tasks)


def _one_process(
    setup: Setup, chunks: Sequence[Sequence[Job]], device: str, threads: int, cores: int
) -> Iterator[list[Receipt]]:
    """joblib runs a single worker in the calling process; loky itself keeps it apart."""
    from joblib.externals.loky import ProcessPoolExecutor

    # Not loky's reusable executor: that is one for the whole process, and joblib takes it for its own.
    executor = ProcessPoolExecutor(max_workers=1)
    try:
        for future in [executor.submit(run_chunk, setup, chunk, device, threads, cores) for chunk in chunks]:
            yield future.result()
    finally:
        executor.shutdown(wait=True, kill_workers=True)


def _settle(receipt: Receipt, open_jobs: dict[str, Job]) -> Iterator[Receipt]:
    """Pass a receipt on once, and close the job when all its sets are settled."""
    job = open_jobs.get(receipt.clip)
    if job is not None and receipt.key in job.sources:
        del job.sources[receipt.key]
        if not job.sources:
            del open_jobs[receipt.clip]
        yield receipt


def _settled_meanwhile(
    open_jobs: Mapping[str, Job],
    sets: Mapping[str, FeatureSet],
    before: Mapping[tuple[str, str], Failure | None],
) -> list[Receipt]:
    """What dead workers had stored or given up before they died; failures of earlier runs do not count."""
    found = []
    for feature_set in sets.values():
        feature_set.index.refresh()
    for clip_id, job in open_jobs.items():
        for key, source in job.sources.items():
            failure = sets[key].failure(clip_id)
            if sets[key].holds(clip_id, source):
                found.append(Receipt(key, clip_id, "stored", ""))
            elif failure is not None and failure != before[key, clip_id]:
                found.append(Receipt(key, clip_id, "failed", f"{failure.reason}: {failure.message}"))
    return found


def _give_up(job: Job, reason: str, sets: Mapping[str, FeatureSet], open_jobs: dict[str, Job]) -> Iterator[Receipt]:
    texts = {
        "timeout": "it took longer than the time limit (--timeout)",
        "worker-died": "it killed its worker twice, the second time alone (a crash in a decoder, or memory)",
    }
    for key, source in list(job.sources.items()):
        sets[key].fail(job.clip.id, source, reason, texts[reason])
        yield from _settle(Receipt(key, job.clip.id, "failed", f"{reason}: {texts[reason]}"), open_jobs)


def _provenance(extractor: Extractor) -> dict[str, Any]:
    """What is worth knowing of how a set was made; none of it enters the key."""
    packages = ("featzoo", "av", "numpy", "opensmile", "torch", "torchvision", "transformers")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        **extractor.provenance(),
        "modality": extractor.modality,
        "licence": extractor.licence,
        "versions": versions,
        "python": platform.python_version(),
        "host": platform.node(),
        "platform": platform.platform(),
    }

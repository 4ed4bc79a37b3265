"""Clips x extractors -> store: in parallel, resumable, every clip accounted for.

The driver finds what is missing and hands out tasks (extractors, clips); workers decode each medium
once for all extractors that want it, commit shards to the store themselves and answer with receipts.
A worker that dies costs what it had in hand: its clips run again alone, and one that kills its worker
then too is recorded as failed.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

from featzoo.cache.featureset import Failure, FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError
from featzoo.extraction.devices import choose_devices
from featzoo.extraction.engines import Engine, WorkersLost, make_engine
from featzoo.extraction.plan import Plan, make_plan
from featzoo.extraction.watchdog import Death, memory_taken, suspects
from featzoo.extraction.worker import Job, Receipt, Setup
from featzoo.extractors.contract import Extractor, class_path
from featzoo.media.clip import Clip
from featzoo.weights.catalogue import licence

# Rounds in a row that settle no clip and blame none, before the run is given up.
MOST_DEATHS = 4


class Outcome(NamedTuple):
    """What became of one clip in one feature set: `stored`, `cached` or `failed`, why, and kinds of notes."""

    key: str
    clip: str
    state: Literal["stored", "cached", "failed"]
    detail: str
    notes: tuple[str, ...] = ()


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
    memory: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    plan: Plan | None = None,
) -> Report:
    """Compute and store what is missing.

    Args:
        store: Where to; safe to share with other runs.
        extractors: What to compute.
        clips: Of what.
        jobs: Worker processes; -1 is one for each core. A Dask cluster uses all its workers.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; for model extractors.
        retry: Try clips again that are known to fail.
        timeout: Seconds that one clip may take before its worker is killed.
        memory: Bytes that a worker may take before it is killed, model included; see `watch.memory_taken`.
        backend: Where workers run: `loky` (this machine), `dask` or `ray`.
        scheduler: Address of the Dask scheduler or the Ray cluster.
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
            wanted.append(Job(replace(clip, path=_absolute(clip.path) if clip.path else None), todo))
    if wanted:
        if memory is not None:
            memory_taken()  # says so where it cannot be measured
        setup = Setup(_absolute(store.path), list(extractors), Path(), timeout, memory, device)
        engine, setup = _engine(setup, backend, scheduler, jobs)
        try:
            for receipt in _run(engine, setup, wanted, sets):
                tell(Outcome(*receipt))
        finally:
            shutil.rmtree(setup.scratch, ignore_errors=True)
            for feature_set in sets.values():
                feature_set.index.refresh()
    return report


def _engine(setup: Setup, backend: str, scheduler: str | None, jobs: int) -> tuple[Engine, Setup]:
    """The engine, and the setup with what depends on where its workers are: their share of a machine, the scratch."""
    from joblib import cpu_count

    jobs = cpu_count() if jobs < 0 else max(1, jobs)
    # One process for each GPU, with the jobs as decoding threads among them; on the CPU, one for each job.
    devices = choose_devices(setup.device) if setup.needs_device and backend == "loky" else ["cpu"]
    engine = make_engine(backend, scheduler, jobs if devices == ["cpu"] else len(devices))
    if engine.spread:
        scratch = setup.store / "index" / "runs" / uuid.uuid4().hex
        scratch.mkdir(parents=True)
        return engine, replace(setup, scratch=scratch)
    return engine, replace(setup, scratch=Path(tempfile.mkdtemp(prefix="featzoo-")), jobs=jobs)


def _absolute(path: Path) -> Path:
    """As workers see it that run in another folder; links are kept, unlike with `resolve`."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _run(engine: Engine, setup: Setup, wanted: Sequence[Job], sets: Mapping[str, FeatureSet]) -> Iterator[Receipt]:
    """Receipts of all jobs, whatever becomes of the workers."""
    open_jobs = {job.clip.id: job for job in wanted}
    before = {(key, job.clip.id): sets[key].failure(job.clip.id) for job in wanted for key in job.sources}
    alone: list[Job] = []
    barren = 0
    while open_jobs:
        batch, single, left = alone or list(open_jobs.values()), bool(alone), _left(open_jobs)
        alone, lost = [], "tasks came back undone"
        try:
            for receipts in engine.run(setup, batch, single):
                for receipt in receipts:
                    yield from _settle(receipt, open_jobs)
        except WorkersLost as error:
            lost = str(error)
        if not any(job.clip.id in open_jobs for job in batch):
            continue
        # Shards that dead workers had committed count; what they had in hand runs again alone, the rest as before.
        for receipt in _settled_meanwhile(open_jobs, sets, before):
            yield from _settle(receipt, open_jobs)
        guilty = suspects(setup.scratch)
        if single:
            for job in batch:
                if job.clip.id in guilty and job.clip.id in open_jobs:
                    yield from _give_up(job, _death(guilty[job.clip.id], setup), sets, open_jobs)
        alone = [open_jobs[clip_id] for clip_id in guilty if clip_id in open_jobs]
        barren = 0 if alone or _left(open_jobs) < left else barren + 1
        if barren > MOST_DEATHS:
            raise FeatzooError(
                "worker processes keep dying before they take up a clip: too little memory, or a package that crashes "
                f"when imported; try -j 1, or `feat doctor`. The engine says: {lost}"
            )


def _left(open_jobs: Mapping[str, Job]) -> int:
    return sum(len(job.sources) for job in open_jobs.values())


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


def _death(reason: Death, setup: Setup) -> tuple[Death, str]:
    """What to tell of a clip that killed its worker twice."""
    texts = {
        "timeout": f"it took longer than the time limit of {setup.timeout:g} s (--timeout)",
        "out-of-memory": f"its worker took more than the limit of {(setup.memory or 0) / 1e9:g} GB (--memory)",
        "worker-died": "it killed its worker twice, the second time alone (a crash in a decoder, or memory)",
    }
    return reason, texts[reason]


def _give_up(
    job: Job, death: tuple[Death, str], sets: Mapping[str, FeatureSet], open_jobs: dict[str, Job]
) -> Iterator[Receipt]:
    reason, text = death
    for key, source in list(job.sources.items()):
        sets[key].fail(job.clip.id, source, reason, text)
        yield from _settle(Receipt(key, job.clip.id, "failed", f"{reason}: {text}"), open_jobs)


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
        "class": class_path(type(extractor)),
        "modality": extractor.modality,
        "licence": licence(str(extractor.provenance().get("model", "")), extractor.licence),
        "versions": versions,
        "python": platform.python_version(),
        "host": platform.node(),
        "platform": platform.platform(),
    }

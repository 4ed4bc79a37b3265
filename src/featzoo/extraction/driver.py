"""Extraction of clips into a store, with a report of every clip.

A plan lists the missing features. The driver gives tasks (extractors, some clips) to worker processes, which decode
each file once for all extractors, write shards into the store themselves and return receipts. A few short files are
extracted in the calling process.
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
from pathlib import Path
from typing import Any, Literal, NamedTuple

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.devices import choose_devices
from featzoo.extraction.engines import Engine, make_engine
from featzoo.extraction.here import Here, fits_here
from featzoo.extraction.options import ExtractOptions
from featzoo.extraction.packing import packing
from featzoo.extraction.plan import Plan, make_plan
from featzoo.extraction.rounds import run_rounds
from featzoo.extraction.watchdog import memory_taken
from featzoo.extraction.worker import Job, Receipt, Setup
from featzoo.extractors.contract import Extractor, class_path
from featzoo.media.clip import Clip
from featzoo.versions import package_versions
from featzoo.weights.catalogue import licence


class Outcome(NamedTuple):
    """The result of one clip in one feature set: `stored`, `cached` or `failed`, the detail, and kinds of notes."""

    key: str
    clip: str
    state: Literal["stored", "cached", "failed"]
    detail: str
    notes: tuple[str, ...] = ()


@dataclass
class Report:
    """The outcomes of a run: one for every clip of every feature set."""

    outcomes: list[Outcome] = field(default_factory=list)

    def counts(self, key: str) -> Counter[str]:
        """Number of clips of a set by state: stored, cached, failed."""
        return Counter(outcome.state for outcome in self.outcomes if outcome.key == key)

    @property
    def failed(self) -> list[Outcome]:
        """The clips without features, with the reasons."""
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]


def extract_all(
    store: FeatureStore,
    extractors: Sequence[Extractor],
    clips: Sequence[Clip],
    *,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    **options: Any,
) -> Report:
    """Compute and store the features that are missing.

    Args:
        store: Where to store them; it may be shared with other runs.
        extractors: The extractors to run.
        clips: The clips to extract.
        on_outcome: Called for each clip of each set as soon as its outcome is known.
        options: The fields of `ExtractOptions`: jobs, device, retry, timeout, memory, backend, scheduler, pack.

    Returns:
        A report of every clip of every set.

    Raises:
        FeatzooError: If nothing can run because of weights, packages, or a store that cannot be written.
    """
    return run_plan(make_plan(store, extractors, clips), store, ExtractOptions(**options), on_outcome)


def run_plan(
    plan: Plan,
    store: FeatureStore,
    options: ExtractOptions = ExtractOptions(),  # noqa: B008  (it is frozen)
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Compute and store what a plan of this store lacks.

    Args:
        plan: From `make_plan`.
        store: Where to store the features; it may be shared with other runs.
        options: How to run.
        on_outcome: Called for each clip of each set as soon as its outcome is known; `stored` means that the
            features would survive a crash.

    Returns:
        A report of every clip of every set.

    Raises:
        FeatzooError: If nothing can run because of weights, packages, or a store that cannot be written.
    """
    sets = {x.key: store.open_set(x.label, x.spec(), _provenance(x)) for x in plan.extractors}
    store.record(plan.clips, plan.media)
    report = Report()

    def tell(outcome: Outcome) -> None:
        report.outcomes.append(outcome)
        on_outcome(outcome)

    known, jobs = _sort(plan, options.retry)
    for outcome in known:
        tell(outcome)
    for receipt in _compute(plan, store, options, jobs, sets) if jobs else ():
        tell(Outcome(*receipt))
    return report


def _sort(plan: Plan, retry: bool) -> tuple[list[Outcome], list[Job]]:
    """The outcomes that are known without computing, and the clips to compute."""
    known: list[Outcome] = []
    jobs: list[Job] = []
    for clip in plan.clips:
        sources = {}
        for key, states in plan.states.items():
            state, reason = states[clip.id]
            if state == "cached":
                known.append(Outcome(key, clip.id, "cached", ""))
            elif state == "failed" and not retry:
                known.append(Outcome(key, clip.id, "failed", reason))
            else:
                sources[key] = plan.sources[key][clip.id]
        if sources:
            jobs.append(Job(replace(clip, path=_absolute(clip.path) if clip.path else None), sources))
    return known, jobs


def _compute(
    plan: Plan, store: FeatureStore, options: ExtractOptions, jobs: Sequence[Job], sets: Mapping[str, FeatureSet]
) -> Iterator[Receipt]:
    if options.memory is not None:
        memory_taken()  # raises an error where it cannot be measured
    setup = Setup(
        _absolute(store.path), plan.extractors, Path(), options.timeout, options.memory, options.device,
        max_damage=options.max_damage,
    )  # fmt: skip
    engine, setup = _engine(setup, options, jobs)
    try:
        receipts = run_rounds(engine, setup, jobs, sets)
        yield from packing(receipts, sets) if options.pack else receipts
    finally:
        shutil.rmtree(setup.scratch, ignore_errors=True)
        for feature_set in sets.values():
            feature_set.index.refresh()


def _engine(setup: Setup, options: ExtractOptions, work: Sequence[Job]) -> tuple[Engine, Setup]:
    """The engine, and the setup with the jobs of one machine and a scratch folder that all its workers see."""
    if fits_here(setup, options, work):
        return Here(), replace(setup, scratch=Path(tempfile.mkdtemp(prefix="featzoo-")), jobs=1)
    from joblib import cpu_count

    # More processes than clips would have nothing to do, and leave cores to the others.
    jobs = min(cpu_count() if options.jobs < 0 else max(1, options.jobs), len(work))
    # On GPUs, one process for each, which share the jobs as decoding threads; on the CPU, one process for each job.
    devices = choose_devices(setup.device) if setup.needs_device and options.backend == "loky" else ["cpu"]
    engine = make_engine(options.backend, options.scheduler, jobs if devices == ["cpu"] else len(devices))
    if engine.spread:
        scratch = setup.store / "index" / "runs" / uuid.uuid4().hex
        scratch.mkdir(parents=True)
        return engine, replace(setup, scratch=scratch)
    return engine, replace(setup, scratch=Path(tempfile.mkdtemp(prefix="featzoo-")), jobs=jobs)


def _absolute(path: Path) -> Path:
    """The path for workers that run in another folder; unlike `resolve`, it keeps links."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _provenance(extractor: Extractor) -> dict[str, Any]:
    """How a set was made, for people; none of it enters the key."""
    return {
        **extractor.provenance(),
        "class": class_path(type(extractor)),
        "modality": extractor.modality,
        "licence": licence(str(extractor.provenance().get("model", "")), extractor.licence),
        "versions": package_versions(),
        "python": platform.python_version(),
        "host": platform.node(),
        "platform": platform.platform(),
    }

"""Rounds of tasks until every clip is stored or failed, whatever happens to the workers.

A worker that dies loses the clips it was working on: they run again alone, and a clip whose worker then dies too is
recorded as failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from featzoo.cache.failures import Failure
from featzoo.cache.featureset import FeatureSet
from featzoo.errors import FeatzooError
from featzoo.extraction.engines import Engine, WorkersLost
from featzoo.extraction.watchdog import Death, suspects
from featzoo.extraction.worker import Job, Receipt, Setup

# Give up after this many consecutive rounds without progress.
MOST_DEATHS = 4


def run_rounds(engine: Engine, setup: Setup, jobs: Sequence[Job], sets: Mapping[str, FeatureSet]) -> Iterator[Receipt]:
    """One receipt for each clip and set, as soon as it is stored or failed.

    Args:
        engine: Where tasks run.
        setup: The run's setup.
        jobs: The clips to extract.
        sets: The feature sets by key, to find what lost workers had stored.

    Raises:
        FeatzooError: If workers keep dying before they start on a clip, or nothing can run.
    """
    open_jobs = {job.clip.id: job for job in jobs}
    before = {(key, job.clip.id): sets[key].failure(job.clip.id) for job in jobs for key in job.sources}
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
        # Shards that dead workers had written count. The clips they were working on run again alone, the others as
        # before.
        for receipt in _settled_meanwhile(open_jobs, sets, before):
            yield from _settle(receipt, open_jobs)
        guilty = suspects(setup.scratch)
        if single:
            for job in batch:
                if job.clip.id in guilty and job.clip.id in open_jobs:
                    yield from _give_up(job, guilty[job.clip.id], setup, sets, open_jobs)
        alone = [open_jobs[clip_id] for clip_id in guilty if clip_id in open_jobs]
        barren = 0 if alone or _left(open_jobs) < left else barren + 1
        if barren > MOST_DEATHS:
            raise FeatzooError(
                "worker processes keep dying before they start on a clip: too little memory, or a package that crashes "
                f"when imported. Try a single worker, or `feat doctor`. The engine reports: {lost}"
            )


def _left(open_jobs: Mapping[str, Job]) -> int:
    return sum(len(job.sources) for job in open_jobs.values())


def _settle(receipt: Receipt, open_jobs: dict[str, Job]) -> Iterator[Receipt]:
    """Pass a receipt on once, and close the job when it has receipts for all its sets."""
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
    """Receipts for what dead workers had stored or failed before they died; failures of earlier runs do not count."""
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


def _give_up(
    job: Job, reason: Death, setup: Setup, sets: Mapping[str, FeatureSet], open_jobs: dict[str, Job]
) -> Iterator[Receipt]:
    """Record the failure of a clip that ended its worker twice."""
    text = {
        "timeout": f"it took longer than the time limit of {setup.timeout:g} s",
        "out-of-memory": f"its worker used more than the memory limit of {(setup.memory or 0) / 1e9:g} GB",
        "worker-died": "its worker died twice, the second time with no other clip (a crash in a decoder, or memory)",
    }[reason]
    for key, source in list(job.sources.items()):
        sets[key].fail(job.clip.id, source, reason, text)
        yield from _settle(Receipt(key, job.clip.id, "failed", f"{reason}: {text}"), open_jobs)

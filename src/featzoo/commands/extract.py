"""`feat extract`: what to run, progress, and the account at the end."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import click

from featzoo import plugins
from featzoo.cache.pack import MANY, pack_store
from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError, InvalidClips, StoreError
from featzoo.extraction.driver import Outcome, Report, extract_all
from featzoo.extraction.engines import make_engine, share
from featzoo.extraction.plan import Plan, make_plan, runnable
from featzoo.extractors.contract import Extractor, make_extractor, usual_extractors
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips
from featzoo.weights.catalogue import licence, research_only

# Failed clips that are named for each reason; `feat ls SET --failed` names all.
EXAMPLES = 3

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def run(
    sources: Sequence[Path],
    requests: str | None,
    recipe: str | None,
    path: Path,
    *,
    jobs: int,
    device: str,
    dry_run: bool,
    retry: bool,
    timeout: float,
    verbose: bool,
    memory: str | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
    rank: int | None = None,
    world: int | None = None,
    changes: Mapping[str, Any] | None = None,
    pattern: str | None = None,
) -> bool:
    """Extract, and print the account. Returns whether any clip failed.

    `changes` are those of the recipe, as `zoo train --set` and `--without` make them.

    Raises:
        FeatzooError: If there is nothing to run, or on nothing.
        click.UsageError: If options do not fit together.
    """
    limit = memory_bytes(memory) if memory else None
    make_engine(backend, scheduler, 1)  # refuses before any medium is read
    clips = _share(_fitting(_clips(sources, path), pattern), rank, world)
    extractors = _extractors(requests, recipe, clips, path, changes)
    if not extractors:
        click.echo("nothing to extract")
        return False
    exists = (path / "STORE.json").is_file()
    store = FeatureStore.create(path) if exists or not dry_run else None
    plan = make_plan(store, extractors, clips)
    if dry_run or store is None:
        _print_plan(plan)
        return False
    go = partial(
        extract_all, store, plan.extractors, plan.clips, jobs=jobs, device=device, retry=retry, timeout=timeout,
        memory=limit, backend=backend, scheduler=scheduler, plan=plan,
    )  # fmt: skip
    report = _with_progress(go, len(plan.clips) * len(plan.extractors), verbose)
    _print_report(report, extractors, path)
    if world is None:
        _pack_many(store)
    else:
        click.echo(f"when all {world} ranks are done: feat pack -o {path}")
    return bool(report.failed)


def run_for(recipe: str, sources: Sequence[Path], path: Path, changes: Mapping[str, Any], device: str) -> None:
    """Extract what a recipe needs and the store lacks, and print the account; training masks clips that failed.

    Raises:
        FeatzooError: If there is no clip, or nothing that the recipe takes as an input can run here.
    """
    run(
        sources, None, recipe, path, jobs=-1, device=device, dry_run=False, retry=False, timeout=600.0, verbose=False,
        changes=changes,
    )  # fmt: skip


def memory_bytes(text: str) -> int:
    """`4GB`, `1.5GB` or `500MiB` in bytes.

    Raises:
        click.BadParameter: If it is not a positive number with a unit.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B)", text.strip())
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(f"'{text}' is not a size such as 4GB or 500MB", param_hint="--memory")
    return round(float(found[1]) * UNITS[found[2]])


def _share(clips: list[Clip], rank: int | None, world: int | None) -> list[Clip]:
    if rank is None and world is None:
        return clips
    if rank is None or world is None:
        raise click.UsageError("--rank and --world go together: --rank 0 --world 8 takes the first of 8 shares")
    mine = share(clips, rank, world)
    click.echo(f"rank {rank} of {world} takes {len(mine)} of {len(clips)} clips; the account below is of these alone")
    return mine


def _clips(sources: Sequence[Path], path: Path) -> list[Clip]:
    if not sources:
        clips = list(FeatureStore(path).clips().values())
        if not clips:
            raise InvalidClips(f"{path} knows no clip yet: feat extract FOLDER -o {path}")
        return clips
    found = find_clips(*sources)
    click.echo(f"{len(found.clips)} clips in {', '.join(map(str, sources))}")
    if found.left_aside:
        names = ", ".join(found.left_aside[:5]) + (" ..." if len(found.left_aside) > 5 else "")
        click.echo(f"left aside: {len(found.left_aside)} ({names})")
    _print_remarks(found.clips)
    return found.clips


def _print_remarks(clips: Sequence[Clip]) -> None:
    """What was left out or put right in transcripts and labels, by kind."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        for kind in dict.fromkeys(remark.partition(":")[0] for remark in clip.remarks):
            kinds[kind].append(clip.id)
    for kind, ids in kinds.items():
        click.secho(f"{kind}: {_some(ids)}", fg="yellow")


def _fitting(clips: list[Clip], pattern: str | None) -> list[Clip]:
    if pattern is None:
        return clips
    fitting = [clip for clip in clips if fnmatchcase(clip.id, pattern)]
    if not fitting:
        raise InvalidClips(f"none of {len(clips)} clips has an id like '{pattern}'; there is '{clips[0].id}'")
    click.echo(f"{len(fitting)} of {len(clips)} clips fit {pattern}")
    return fitting


def _extractors(
    requests: str | None, recipe: str | None, clips: Sequence[Clip], path: Path, changes: Mapping[str, Any] | None
) -> list[Extractor]:
    if requests and recipe:
        raise FeatzooError("give -x or --for, not both")
    if requests:
        chosen = {}
        for request in plugins.split(requests):
            extractor = make_extractor(request)
            extractor.prepare()
            chosen[extractor.key] = extractor
        return list(chosen.values())
    if recipe:
        return _for_recipe(recipe, path, clips, changes)
    extractors, left_out = runnable(usual_extractors(), clips)
    for reason, names in left_out.items():
        short = reason.partition("\n")[0]
        click.echo(f"left out: {', '.join(names)}: {short}")
    if not extractors:
        raise FeatzooError("no extractor can run here: `feat doctor` says what to type")
    return extractors


def _for_recipe(name: str, path: Path, clips: Sequence[Clip], changes: Mapping[str, Any] | None) -> list[Extractor]:
    """For each role, nothing if the store holds an alternative for every clip, else the first that can run here."""
    from featzoo.zoo.recipe import find_recipe
    from featzoo.zoo.runs.predict import FEATURES, extractors_of

    if (Path(name) / FEATURES).is_file():
        return list({x.key: x for x in extractors_of(Path(name)).values() if x}.values())
    store = FeatureStore(path) if (path / "STORE.json").is_file() else None
    chosen: dict[str, Extractor] = {}
    for role, wanted in find_recipe(name, changes).inputs.items():
        if not wanted.features:
            continue
        held = _held(store, wanted.features, clips)
        if held:
            click.echo(f"{role}: {held} is in the store")
            continue
        reasons = []
        for request in wanted.features:
            try:
                extractor = make_extractor(request)
                extractor.prepare()
            except FeatzooError as error:
                reasons.append(f"  {request}: {error}")
                continue
            chosen[extractor.key] = extractor
            click.echo(f"{role}: {extractor.label}")
            break
        else:
            stored = _stored(store, wanted.features)
            if stored:  # what made it is not here, or has to be named: a trained run
                click.echo(f"{role}: {stored} is in the store; what it lacks is not made")
                continue
            raise FeatzooError(f"none of what {name} takes as '{role}' can run here:\n" + "\n".join(reasons))
    return list(chosen.values())


def _held(store: FeatureStore | None, requests: Sequence[str], clips: Sequence[Clip]) -> str:
    """The imported set that already has every clip; what an extractor makes is checked for staleness instead."""
    for request in requests if store else ():
        found = store.find(request) if store else None
        if found is not None and not found.reads and all(clip.id in found for clip in clips):
            return found.key
    return ""


def _stored(store: FeatureStore | None, requests: Sequence[str]) -> str:
    found = (store.find(request) for request in requests) if store else ()
    return next((one.key for one in found if one is not None), "")


def _with_progress(go: Callable[..., Report], total: int, verbose: bool) -> Report:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("extracting"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total, rate="")

        def tell(outcome: Outcome) -> None:
            if verbose:
                click.echo(f"{outcome.state} {outcome.key} {outcome.clip} {outcome.detail}".rstrip())
            speed = progress.tasks[0].speed
            progress.update(task, advance=1, rate=f"{speed:.1f}/s" if speed else "")

        return go(on_outcome=tell)


def _pack_many(store: FeatureStore) -> None:
    """After a large run: merge its shards, so that the store opens fast."""
    if all(len(found.index.headers()) < MANY for found in store.sets()):
        return
    try:
        for done in pack_store(store, fewest=MANY):
            click.echo(f"packed {done.key}: {done.merged} shards into {done.into}")
    except StoreError as error:
        # The features are stored all the same.
        click.secho(f"not packed: {error}", err=True, fg="yellow")


def _print_plan(plan: Plan) -> None:
    for extractor in plan.extractors:
        states = plan.states[extractor.key]
        counts = Counter(state for state, _ in states.values())
        account = ", ".join(f"{counts[name]} {name}" for name in ("missing", "stale", "cached", "failed"))
        click.echo(f"{extractor.key}: {account}")
        why: dict[str, list[str]] = defaultdict(list)
        for clip, (state, reason) in states.items():
            if reason:
                why[f"{state}: {reason}" if state != "failed" else reason.split(":")[0]].append(clip)
        for reason, clips in why.items():
            click.echo(f"  {reason}: {_some(clips)}")


def _print_report(report: Report, extractors: Sequence[Extractor], path: Path) -> None:
    width = max(len(extractor.key) for extractor in extractors)
    for extractor in extractors:
        counts = report.counts(extractor.key)
        account = "   ".join(f"{counts[state]:>5} {state}" for state in ("stored", "cached", "failed"))
        click.echo(f"{extractor.key:<{width}} {account}")
        why: dict[str, list[str]] = defaultdict(list)
        for outcome in report.failed:
            if outcome.key == extractor.key:
                why[outcome.detail.split(":")[0]].append(outcome.clip)
        for reason, clips in sorted(why.items()):
            click.secho(f"    {reason}: {_some(clips)}", fg="yellow")
        noted: dict[str, list[str]] = defaultdict(list)
        for outcome in report.outcomes:
            for kind in outcome.notes if outcome.key == extractor.key else ():
                noted[kind].append(outcome.clip)
        for kind, clips in sorted(noted.items()):
            click.echo(f"    note {kind}: {_some(clips)}")
        model = str(extractor.provenance().get("model", ""))
        if counts["stored"] and (extractor.licence or research_only(model)):
            click.echo(f"    licence: {licence(model, extractor.licence)}")
        if counts["stored"] and "note" in extractor.provenance():
            click.echo(f"    note: {extractor.provenance()['note']}")
    if report.failed:
        click.echo(f"{len(report.failed)} failed; all reasons: feat ls SET --failed -o {path}")


def _some(clips: Sequence[str]) -> str:
    more = f" and {len(clips) - EXAMPLES} more" if len(clips) > EXAMPLES else ""
    return f"{len(clips)} ({', '.join(clips[:EXAMPLES])}{more})"

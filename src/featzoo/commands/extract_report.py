"""What `feat extract` prints: the plan, the progress and the report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from featzoo.cache.duplicates import across_splits
from featzoo.cache.store import FeatureStore
from featzoo.commands.printing import echo
from featzoo.extraction.driver import Outcome, Report
from featzoo.extraction.plan import Plan
from featzoo.extractors.contract import Extractor
from featzoo.weights.catalogue import licence, research_only
from featzoo.wording import count, some


@contextmanager
def progress(total: int, verbose: bool) -> Iterator[Callable[[Outcome], None]]:
    """A progress bar on the terminal, and the function that advances it by one outcome."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("extracting"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, rate="")

        def tell(outcome: Outcome) -> None:
            if verbose:
                echo(f"{outcome.state} {outcome.key} {outcome.clip} {outcome.detail}".rstrip())
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, rate=f"{speed:.1f}/s" if speed else "")

        yield tell


def print_plan(plan: Plan) -> None:
    """Print how many clips of each set are missing, stale, cached or failed, and why."""
    for extractor in plan.extractors:
        states = plan.states[extractor.key]
        counts = Counter(state for state, _ in states.values())
        account = ", ".join(f"{counts[name]} {name}" for name in ("missing", "stale", "cached", "failed"))
        echo(f"{extractor.key}: {account}")
        why: dict[str, list[str]] = defaultdict(list)
        for clip, (state, reason) in states.items():
            if reason:
                why[f"{state}: {reason}" if state != "failed" else reason.split(":")[0]].append(clip)
        for reason, clips in why.items():
            echo(f"  {reason}: {_examples(clips)}")


def print_report(report: Report, extractors: Sequence[Extractor], path: Path) -> None:
    """Print how many clips of each set were stored, cached or failed, and why."""
    width = max(len(extractor.key) for extractor in extractors)
    for extractor in extractors:
        counts = report.counts(extractor.key)
        account = "   ".join(f"{counts[state]:>5} {state}" for state in ("stored", "cached", "failed"))
        echo(f"{extractor.key:<{width}} {account}")
        why: dict[str, list[str]] = defaultdict(list)
        for outcome in report.failed:
            if outcome.key == extractor.key:
                why[outcome.detail.split(":")[0]].append(outcome.clip)
        for reason, clips in sorted(why.items()):
            echo(f"    {reason}: {_examples(clips)}", fg="yellow")
        _print_notes(report, extractor.key)
        if counts["stored"]:
            _print_terms(extractor)
    if report.failed:
        echo(f"{len(report.failed)} failed; all reasons: feat ls SET --failed -o {path}")


def _print_notes(report: Report, key: str) -> None:
    noted: dict[str, list[str]] = defaultdict(list)
    for outcome in report.outcomes:
        for kind in outcome.notes if outcome.key == key else ():
            noted[kind].append(outcome.clip)
    for kind, clips in sorted(noted.items()):
        echo(f"    note {kind}: {_examples(clips)}")


def _print_terms(extractor: Extractor) -> None:
    provenance = extractor.provenance()
    model = str(provenance.get("model", ""))
    if extractor.licence or research_only(model):
        echo(f"    licence: {licence(model, extractor.licence)}")
    if "note" in provenance:
        echo(f"    note: {provenance['note']}")


def _examples(clips: Sequence[str]) -> str:
    return f"{len(clips)} ({some(clips)})"


def print_duplicates(store: FeatureStore) -> None:
    """Warn of clips of different splits with the same content."""
    found = across_splits(store.records())
    if found:
        said = f"warning: {count(len(found), 'pair')} of clips in different splits have the same content: {some(found)}"
        echo(said, err=True, fg="yellow")

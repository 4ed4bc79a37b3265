"""`feat report`: an HTML page on a store."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER, RUN, Option
from featzoo.commands.printing import echo
from featzoo.wording import count

TO = click.option("--to", "place", type=FOLDER, default=Path("report.html"), show_default=True, help="File to write.")
MEDIA = click.option("--media/--no-media", default=True, help="Put frames and sound of the shown clips into the page.")


@click.command(name="report")
@click.argument("store", required=False, type=FOLDER)
@click.option("-o", "--store", "named", cls=Option, older=("--output", "--features"), type=FOLDER,
              help="Feature store to use, as STORE; default: features.")  # fmt: skip
@TO
@MEDIA
def report(store: Path | None, named: Path | None, place: Path, media: bool) -> None:
    """Write an HTML page on what a store holds.

    It shows the coverage of each feature set, failures, labels and splits, durations, clips to check and outliers. The
    page is a single file that needs no network; by default it holds frames and sound of up to 12 outliers.

    \b
    feat report
    feat report mosi --to mosi.html --no-media
    """
    from featzoo.reports.store_report import store_report

    if store is not None and named is not None:
        raise click.UsageError("give STORE or --store, not both")
    facts = store_report(store or named or Path("features"), place, media)
    echo(f"{place}: {count(len(facts.clips), 'clip')}, {count(len(facts.sets), 'feature set')}")


@click.command(name="report")
@click.argument("runs", nargs=-1, required=True, type=RUN)
@click.option("--split", default="", help="train, valid (dev) or test; default: test, or valid without a test split.")
@TO
@MEDIA
def report_runs(runs: tuple[Path, ...], split: str, place: Path, media: bool) -> None:
    """Write an HTML page on one or more runs.

    It shows metrics with intervals, curves, predictions, errors by true value and group, and the worst clips. Several
    runs that predict the same labels are shown side by side; a folder of runs that differ in their seed stands for
    these. The page is a single file that needs no network; by default it holds frames and sound of 12 clips.

    \b
    zoo report runs/psa-mf-2026-11-20-1a2b3c
    zoo report runs/psa-mf-... runs/mult-... --to both.html
    """
    from featzoo.reports.run_report import run_report
    from featzoo.zoo.runs.listing import seeds_in

    found = run_report(seeds_in(runs), place, split, media)
    echo(f"{place}: {count(len(found.runs), 'run')}, {count(len(found.runs[0].ids), 'clip')} of {found.split}")

"""`zoo runs`, `zoo leaderboard` and `zoo rm`: the runs that are here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.options import FOLDER
from featzoo.commands.printing import echo, echo_lines
from featzoo.commands.trials import SHOWN
from featzoo.wording import count

if TYPE_CHECKING:
    from featzoo.zoo.runs.listing import ListedRun

IN = click.argument("folder", default="runs", type=FOLDER)


@click.command(name="runs")
@IN
def list_runs(folder: Path) -> None:
    """List the runs in a folder, by default ./runs.

    Each is shown with its recipe, data, first metric on dev and test, and state.

    \b
    zoo runs
    zoo runs runs/psa-mf-ablation
    """
    from featzoo.zoo.metrics.tables import text_table
    from featzoo.zoo.runs.listing import find_runs, list_run

    found = [list_run(path) for path in find_runs(folder)]
    if not found:
        echo(f"no runs in {folder}: zoo train RECIPE makes one")
        return
    rows = [["run", "recipe", "data", "metric", "dev", "test", "state"]]
    rows += [
        [
            str(run.path.relative_to(folder)), run.recipe or "-", run.data or "-", _metric(run),
            _value(run, "valid"), _value(run, "test"), run.state,
        ]
        for run in found
    ]  # fmt: skip
    echo_lines(text_table(rows))
    for run in found:
        if run.detail:
            echo(f"{run.path}: {run.detail}", fg="red" if run.state == "damaged" else None)


@click.command()
@IN
@click.option("--split", default="test", show_default=True, help="train, valid (dev) or test.")
@click.option("--metric", default="", help="Metric that ranks; default: the first column.")
@click.option("--format", "style", type=click.Choice(["text", "markdown", "latex"]), default="text", show_default=True,
              help="LaTeX needs the package booktabs.")  # fmt: skip
def leaderboard(folder: Path, split: str, metric: str, style: str) -> None:
    """Rank the finished runs in a folder, by default ./runs.

    Runs that differ only in their seed are one row, with mean and standard deviation. Runs are ranked among those that
    predict the same labels of the same clips.

    \b
    zoo leaderboard
    zoo leaderboard --metric corr --format latex
    """
    from featzoo.vocabulary import split_name
    from featzoo.zoo.runs.leaderboard import leaderboards, rows_of
    from featzoo.zoo.runs.listing import find_runs, list_run
    from featzoo.zoo.runs.table_formats import format_table

    listed = [list_run(path) for path in find_runs(folder)]
    finished = [run.path for run in listed if run.state == "finished"]
    boards = leaderboards(finished, split_name(split) or split, metric, SHOWN)
    for number, board in enumerate(boards):
        shown = list(dict.fromkeys([*([metric] if metric else []), *SHOWN[board.kind]]))
        rows, best = rows_of(board, shown)
        title = f"{board.data}, {board.split}, {count(board.clips, 'clip')}: {', '.join(board.columns)}"
        echo_lines(("\n" if number else "") + ("% " if style == "latex" else "") + title + "\n")
        echo_lines(format_table(rows, best, style))
    left_out = [run for run in listed if run.state != "finished"]
    if left_out:
        echo(f"{count(len(left_out), 'run')} not finished: zoo runs lists them", err=True)


@click.command(name="rm")
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("-y", "--yes", is_flag=True, help="Delete without asking.")
def remove(runs: tuple[Path, ...], yes: bool) -> None:
    """Delete runs, with their weights and predictions.

    \b
    zoo rm runs/psa-mf-2026-11-20-1a2b3c
    """
    from featzoo.zoo.runs.listing import check_removable, remove_run, size_of

    chosen = [check_removable(path) for path in dict.fromkeys(runs)]
    for run in chosen:
        value = f", {_metric(run)} {_value(run, 'test')} on test" if "test" in run.metrics else ""
        echo(f"{run.path}: {run.state}{value}, {size_of(run.path) / 1e6:.1f} MB")
    said = count(len(chosen), "run")
    if not yes and not (sys.stdin.isatty() and click.confirm(f"Delete {said}?")):
        echo("Nothing was deleted: add --yes")
        return
    for run in chosen:
        remove_run(run.path)
    echo(f"deleted {said}")


def _metric(run: ListedRun) -> str:
    """The first metric that tables of the run's kind of target show."""
    return SHOWN[run.kind][0] if run.kind in SHOWN else "-"


def _value(run: ListedRun, split: str) -> str:
    from featzoo.zoo.metrics.tables import number

    return number(run.metrics.get(split, {}).get(_metric(run), float("nan")))

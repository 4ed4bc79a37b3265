"""`zoo reproduce`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.ending import NOTHING_DONE
from featzoo.commands.options import DEVICE, FOLDER, without_network
from featzoo.commands.printing import echo, echo_lines
from featzoo.commands.recipe_options import parse_changes
from featzoo.commands.weights import takes_weights
from featzoo.errors import UnknownName, suggestion
from featzoo.wording import count

if TYPE_CHECKING:
    from featzoo.zoo.reproduce.paper import Paper
    from featzoo.zoo.reproduce.readiness import Readiness
    from featzoo.zoo.reproduce.run import Listener
    from featzoo.zoo.runs.trials import Trial


@click.command()
@click.argument("paper")
@click.option("--data", type=FOLDER, required=True, metavar="FOLDER", help="Your copies of the published files.")
@click.option("--out", type=FOLDER, metavar="FOLDER", help="Where results are kept; default: reproduce/PAPER.")
@click.option("--only", multiple=True, metavar="ROW", help="Reproduce only this row, such as mosi; repeatable.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Trainings per variant.")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a field of the recipe.")
@click.option("-j", "--jobs", default=-1, show_default=True, help="Worker processes that extract; -1 uses every core.")
@DEVICE
@takes_weights
@click.option("--dry-run", is_flag=True, help="Show what is missing, how to get it, and the cost; write nothing.")
def reproduce(
    paper: str, data: Path, out: Path | None, only: tuple[str, ...], seeds: int, changes: tuple[str, ...], jobs: int,
    device: str, dry_run: bool,
) -> None:  # fmt: skip
    """Reproduce a paper from your copies of its data.

    PAPER is psa-mf, siamese or adam. Files are found anywhere below --data by their published names, imported,
    extracted, and trained on with several seeds. The result is a table beside the paper's figures, with protocol,
    differences and verdict, as report.txt and report.json. Run a stopped command again to continue it. The exit status
    is 1 if a row cannot be run because something is missing, and 3 if none was run.

    \b
    zoo reproduce psa-mf --data ~/corpora --dry-run
    zoo reproduce psa-mf --data ~/corpora --only mosi
    zoo reproduce adam --data ~/corpora --device cuda
    """
    from featzoo.zoo.reproduce.imports import Files
    from featzoo.zoo.reproduce.paper import find_paper
    from featzoo.zoo.reproduce.readiness import readiness

    found, place = find_paper(paper), out or Path("reproduce") / paper
    for name in only:
        if name not in found.rows:
            raise UnknownName(f"{paper} has no row '{name}'{suggestion(name, found.rows)}")
    files = Files(data)
    states = {name: readiness(row, files, place / name) for name, row in found.rows.items() if not only or name in only}
    if dry_run:
        _print_states(found, states, seeds, device)
    else:
        echo_lines(_run(found, states, place, (seeds, device, jobs), changes))
    if not all(state.ready for state in states.values()):
        raise SystemExit(1)


def _print_states(paper: Paper, states: Mapping[str, Readiness], seeds: int, device: str) -> None:
    """Print for each row what is there, what is missing, and what it will cost."""
    from featzoo.zoo.reproduce.estimate import estimate, how, measured_speed

    name, speed = measured_speed(device)
    for key, state in states.items():
        row = paper.rows[key]
        echo(f"{key}: {row.data}, recipe {row.recipe}", bold=True)
        if state.source is not None:
            echo(f"  {state.source.name}: {', '.join(map(str, state.files))}")
        _print_lacking(state)
        if state.finished:
            echo(f"  finished: {count(state.finished, 'training')}")
        echo(f"  cost: {estimate(row, seeds, speed, 0.0 if state.finished else state.archives)}")
    echo(how(name, speed))


def _print_lacking(state: Readiness) -> None:
    for line in state.lacking:
        echo_lines(f"  missing: {line}", fg="yellow")
    for model in state.models:
        echo(f"  get it: feat weights get {model}")
    if state.models:
        echo(f"  {without_network(state.models)}")


def _run(
    paper: Paper, states: Mapping[str, Readiness], place: Path, how: tuple[int, str, int], changes: Sequence[str]
) -> str:
    """Run the rows that can be run; the text of the report.

    Raises:
        SystemExit: If none can be run.
    """
    from featzoo.durable import write
    from featzoo.zoo.reproduce.report import as_json, as_text, row_result
    from featzoo.zoo.reproduce.run import RowRun

    seeds, device, jobs = how
    for key, state in states.items():
        if not state.ready:
            echo(f"{key}: not run, because something is missing", err=True)
            _print_lacking(state)
    results = []
    for key, state in states.items():
        if state.ready and state.source is not None:
            echo(f"{key}: {paper.rows[key].data}", bold=True, err=True)
            one = RowRun(paper.rows[key], place / key, seeds, device, jobs, parse_changes(changes), _listener())
            trials = one.run(state)
            results.append(row_result(paper, one.row, state.source.name, trials, one.changes))
    if not results:
        raise SystemExit(NOTHING_DONE)
    text = as_text(paper, results)
    write(place / "report.txt", text)
    write(place / "report.json", as_json(paper, results))
    return f"{text}\nreport: {place / 'report.txt'}, {place / 'report.json'}"


def _listener() -> Listener:
    """Prints progress on standard error."""
    from featzoo.zoo.reproduce.run import Listener

    return Listener(line=lambda text: echo(text, err=True), trial=_print_trial)


def _print_trial(done: Trial) -> None:
    scores = "  ".join(f"{key} {value:.4f}" for key, value in list(done.metrics.get("test", {}).items())[:4])
    took = "kept" if done.kept else f"{done.seconds:.0f} s"
    echo(f"{done.variant}, seed {done.seed}: {scores}  ({took})", err=True)

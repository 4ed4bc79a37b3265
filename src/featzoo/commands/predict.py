"""`zoo predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featzoo.commands.ending import nothing_done_yet, status_of_parts
from featzoo.commands.options import DEVICE, ENCODING, FOLDER, RUN, TRUST, Option
from featzoo.commands.printing import echo, echo_lines
from featzoo.wording import count

if TYPE_CHECKING:
    from featzoo.zoo.runs.predicted import Predicted, Prediction


@click.command()
@click.argument("run", type=RUN, metavar="RUN...")
@click.argument("sources", nargs=-1, required=True, type=FOLDER)
@click.option("--window", type=float, metavar="SECONDS", help="Also predict windows of this length along time.")
@click.option("--hop", type=float, metavar="SECONDS", help="Distance between windows; default: --window.")
@click.option("--without", multiple=True, metavar="ROLE", help="Mask this input; repeatable.")
@click.option("-o", "--store", cls=Option, older=("--features",), type=FOLDER, help="Keep the features in this store.")
@click.option("--json", "style", flag_value="json", help="Print JSON.")
@click.option("--csv", "style", flag_value="csv", help="Print a table as CSV.")
@click.option("--html", type=FOLDER, metavar="FILE", help="Write an HTML page with curves, sound and frames.")
@click.option("--elan", type=FOLDER, metavar="FOLDER", help="Write an annotation file of ELAN for each recording.")
@click.option("-j", "--jobs", default=-1, show_default=True, help="Worker processes; -1 uses every core.")
@ENCODING
@TRUST
@DEVICE
def predict(
    run: Path,
    sources: tuple[Path, ...],
    style: str | None,
    html: Path | None,
    elan: Path | None,
    **options: Any,
) -> None:
    """Apply a head to new clips.

    RUN is a run's folder, a folder of runs that differ in their seed, or a pretrained head (`zoo list --pretrained`).
    The mean of several is predicted, and their standard deviation is shown; they must predict the same labels. SOURCES
    are media files, folders or manifests, with transcripts beside the media. Only the features that the head was
    trained on are extracted. The exit status is 1 if some clips have no prediction, and 3 if none has one.

    \b
    zoo predict emotion clip.wav
    zoo predict emotion clip.wav --window 3 --hop 1 --html emotion.html
    zoo predict runs/psa-mf-2026-11-20-1a2b3c videos/ --csv > predicted.csv
    zoo predict runs/psa-mf-s1111 runs/strong-s1111 videos/
    """
    from featzoo.zoo.runs.predict import predict as apply

    with nothing_done_yet():
        others, media = _runs_first(sources)
        found = apply([run, *others], media, **options)
    if style is not None:
        from featzoo.zoo.runs.predicted import as_csv, as_json

        echo_lines((as_json if style == "json" else as_csv)(found).rstrip("\n"))
    else:
        _print(found)
    if html is not None:
        from featzoo.reports.prediction_report import prediction_report

        prediction_report(found, html)
        echo(f"{html}: {count(len(found.predictions), 'clip')}", err=style is not None)
    if elan is not None:
        from featzoo.zoo.runs.predicted_elan import export_predictions

        for line in export_predictions(found, elan):
            echo(line, err=style is not None)
    failed = len(found.failed)
    raise SystemExit(status_of_parts(len(found.predictions) - failed, failed))


def _runs_first(places: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The leading ones that are runs, and the rest, at least one."""
    from featzoo.zoo.runs.folder import RECIPE
    from featzoo.zoo.runs.pretrained import find_run, pretrained

    heads = pretrained()
    number = 0
    for place in places[:-1]:
        if not (place / RECIPE).is_file() and (place.exists() or str(place) not in heads):
            break
        number += 1
    return [find_run(place) for place in places[:number]], list(places[number:])


def _print(found: Predicted) -> None:
    for role, key in found.used.items():
        echo(f"{role}: {key or 'not used'}")
    for one in found.predictions:
        echo(f"{one.clip}  {_values(one) or 'no prediction'}")
        for role, reason in one.missing.items():
            echo(f"    without {role}: {reason}", fg="yellow")
        for window in one.windows:
            echo(f"    {window.start:7.2f} to {window.end or 0:.2f} s  {_values(window) or 'no prediction'}")


def _values(one: Prediction) -> str:
    """Numbers, or a class and its probability, each with its deviation over several runs."""
    shown = []
    for name, value in one.values.items():
        spread = one.spread.get(str(value) if isinstance(value, str) else name)
        more = f" ± {spread:.3f}" if spread is not None else ""
        number = f"{value} ({one.probabilities[value]:.3f}{more})" if isinstance(value, str) else f"{value:+.3f}{more}"
        shown.append(f"{name} {number}")
    return "  ".join(shown)

"""`zoo predict`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.options import DEVICE, ENCODING, FOLDER, TRUST, Option
from featzoo.commands.printing import echo, echo_lines

if TYPE_CHECKING:
    from featzoo.zoo.runs.predict import Predicted, Prediction


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("sources", nargs=-1, required=True, type=FOLDER)
@click.option("--without", multiple=True, metavar="ROLE", help="Mask this input; repeatable.")
@click.option("-o", "--store", cls=Option, older=("--features",), type=FOLDER, help="Keep the features in this store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-j", "--jobs", default=-1, show_default=True, help="Worker processes; -1 uses every core.")
@ENCODING
@TRUST
@DEVICE
def predict(
    run: Path,
    sources: tuple[Path, ...],
    without: tuple[str, ...],
    store: Path | None,
    as_json: bool,
    jobs: int,
    encoding: str | None,
    trust: bool,
    device: str,
) -> None:
    """Apply a run's head to new clips.

    SOURCES are media files, folders or manifests, with transcripts beside the media. Only the features that the head
    was trained on are extracted. The exit status is 1 if a clip has no prediction.

    \b
    zoo predict runs/psa-mf-2026-11-20-1a2b3c clip.mp4
    zoo predict runs/psa-mf-2026-11-20-1a2b3c videos/ --json
    """
    from featzoo.zoo.runs.folder import RunFolder

    RunFolder.open_finished(run)
    from featzoo.zoo.runs.predict import predict as apply

    found = apply(run, sources, store=store, without=without, jobs=jobs, device=device, encoding=encoding, trust=trust)
    if as_json:
        clips = [dataclasses.asdict(one) for one in found.predictions]
        plain = {"run": str(run), "used": dict(found.used), "clips": clips}
        echo_lines(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        _print(found)
    if found.failed:
        raise SystemExit(1)


def _print(found: Predicted) -> None:
    for role, key in found.used.items():
        echo(f"{role}: {key or 'not used'}")
    for one in found.predictions:
        values = "  ".join(f"{name} {_shown(one, value)}" for name, value in one.values.items())
        echo(f"{one.clip}  {values or 'no prediction'}")
        for role, reason in one.missing.items():
            echo(f"    without {role}: {reason}", fg="yellow")


def _shown(one: Prediction, value: float | str) -> str:
    """A number, or a class and its probability."""
    return f"{value} ({one.probabilities[value]:.3f})" if isinstance(value, str) else f"{value:+.3f}"

"""`feat import` and `feat export`: features and labels from and for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.cli_options import FOLDER, STORE, Commands

if TYPE_CHECKING:
    from featzoo.cache.exchange.csd import Imported


@click.group(name="import", cls=Commands)
def import_() -> None:
    """Take in published features and labels from local files."""


@import_.command()
@click.argument("folder", type=FOLDER)
@STORE
def mosi(folder: Path, store: Path) -> None:
    """CMU-MOSI from FOLDER: labels .csd, official folds, transcripts, utterance-level audio and video.

    \b
    feat import mosi ../shared/data/mosi -o mosi
    feat extract -o mosi -x bert.minilm,bert.minilm-ids
    zoo train psa-mf --features mosi --without vision
    """
    from featzoo.cache.exchange.mosi import import_mosi

    for line in import_mosi(folder, store):
        click.echo(line)


@import_.command(name="csd")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--name", help="Of the feature set; default: the sequence's own.")
def import_csd(file: Path, store: Path, name: str | None) -> None:
    """CMU-MultimodalSDK's .csd FILE as a feature set. Exit status 1 if an entry cannot be read.

    \b
    feat import csd CMU_MOSEI_COVAREP.csd -o mosei
    """
    from featzoo.cache.exchange.csd import import_csd as read

    _account(read(file, store, name))


@click.group(name="export", cls=Commands)
def export_() -> None:
    """Write features for other programs."""


@export_.command(name="csd")
@click.argument("feature_set")
@click.argument("file", type=FOLDER)
@STORE
def export_csd(feature_set: str, file: Path, store: Path) -> None:
    """A FEATURE_SET as CMU-MultimodalSDK's .csd FILE.

    \b
    feat export csd egemaps egemaps.csd
    """
    from featzoo.cache.exchange.csd import export_csd as write

    click.echo(f"wrote {write(store, feature_set, file)} entries to {file}")


def _account(came: Imported) -> None:
    """Print what came in; exit 1 if an entry was refused."""
    click.echo(f"{came.key}: {came.clips} stored, {len(came.refused)} failed")
    for entry, reason in came.refused.items():
        click.secho(f"    {entry}: {reason}", fg="yellow")
    if came.infinite:
        click.echo(f"    {came.infinite} infinite values became NaN (not observed)")
    if came.refused:
        raise SystemExit(1)

"""`feat import` and `feat export` of the pickle files that MMSA and MulT train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from featzoo.commands.options import DRY_RUN, FOLDER, STORE, ListOption, comma_list, print_account
from featzoo.commands.printing import echo_lines


@click.command(name="mmsa")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--name", default="mmsa", show_default=True, help="First part of the feature sets' names.")
@click.option("--label", default="sentiment", show_default=True, help="Name to give regression_labels.")
@click.option("--model", help="The model whose token ids text_bert holds; default: see above.")
@DRY_RUN
def import_mmsa(file: Path, store: Path, **options: Any) -> None:
    """Import an MMSA or MMSA-FET feature file (.pkl).

    FILE gives clips, words, splits, labels, feature sets and token ids. It is read without running any code in it.
    The exit status is 1 if a clip cannot be read; the others are imported. The model is the one named in the file's
    config, otherwise bert-base-chinese or bert-base-uncased, depending on the transcripts.

    \b
    feat import mmsa unaligned_50.pkl -o mosi --dry-run
    feat import mmsa unaligned_39.pkl -o sims --name sims
    """
    from featzoo.exchange.pickles.mmsa import import_mmsa

    print_account(import_mmsa(file, store, **options))


@click.command(name="mult")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--name", default="mult", show_default=True, help="First part of the feature sets' names.")
@click.option("--labels", cls=ListOption, help="Comma-separated names; default: those of MOSI, MOSEI or IEMOCAP.")
@DRY_RUN
def import_mult(file: Path, store: Path, labels: str, **options: Any) -> None:
    """Import a MulT feature file (.pkl).

    FILE gives clips, splits, labels and three feature sets. It is read without running any code in it. The exit
    status is 1 if a clip cannot be read; the others are imported.

    \b
    feat import mult mosi_data_noalign.pkl -o mosi
    """
    from featzoo.exchange.pickles.mult import import_mult

    print_account(import_mult(file, store, labels=comma_list(labels), **options))


@click.command(name="mmsa")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--text", metavar="SET", help="Text features; give this, --ids or both.")
@click.option("--ids", metavar="SET", help="Token ids for text_bert, such as bert.ids.")
@click.option("--audio", metavar="SET", required=True, help="Audio features.")
@click.option("--vision", metavar="SET", required=True, help="Vision features.")
@click.option("--label", default="sentiment", show_default=True, help="Label to write as regression_labels.")
@click.option("--aligned", is_flag=True, help="Write no lengths: the sets have the same rows in every clip.")
@DRY_RUN
def export_mmsa(file: Path, store: Path, label: str, aligned: bool, dry_run: bool, **sets: str | None) -> None:
    """Export a feature file (.pkl) for MMSA.

    The feature sets are written to FILE, with 0 for NaN.

    \b
    feat export mmsa mine.pkl --ids bert.ids --audio egemaps --vision resnet50
    feat export mmsa mine.pkl --ids bert.ids --audio egemaps --vision resnet50 --dry-run
    """
    from featzoo.exchange.pickles.mmsa import export_mmsa

    requests = {key: name for key, name in sets.items() if name}
    echo_lines("\n".join(export_mmsa(store, file, requests, label=label, aligned=aligned, dry_run=dry_run)))


@click.command(name="mult")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--text", metavar="SET", required=True, help="Text features.")
@click.option("--audio", metavar="SET", required=True, help="Audio features.")
@click.option("--vision", metavar="SET", required=True, help="Vision features.")
@click.option("--labels", cls=ListOption, default=["sentiment"], show_default=True, help="Comma-separated names.")
@DRY_RUN
def export_mult(file: Path, store: Path, labels: str, dry_run: bool, **sets: str) -> None:
    """Export a feature file (.pkl) for MulT.

    The feature sets are written to FILE, with 0 for NaN.

    \b
    feat export mult mine_data_noalign.pkl --text glove --audio covarep --vision resnet50
    """
    from featzoo.exchange.pickles.mult import export_mult

    echo_lines("\n".join(export_mult(store, file, sets, labels=comma_list(labels), dry_run=dry_run)))


IMPORT_PICKLES = (import_mmsa, import_mult)
EXPORT_PICKLES = (export_mmsa, export_mult)

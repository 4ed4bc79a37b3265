"""`feat import` and `feat export`: features and labels from and for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.options import FOLDER, STORE, Commands

if TYPE_CHECKING:
    from featzoo.exchange.importing import Account

MEDIA = click.option("--media", type=FOLDER, metavar="DIR", help="Link the clips to the media files below DIR.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Read and check everything, say what would be written, stop.")


@click.group(name="import", cls=Commands)
def import_() -> None:
    """Take in published features and labels from local files."""


@import_.command()
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@DRY_RUN
def mosi(folder: Path, store: Path, media: Path | None, dry_run: bool) -> None:
    """CMU-MOSI from FOLDER: labels .csd, official folds, transcripts, utterance-level audio and video.

    \b
    feat import mosi ../shared/data/mosi -o mosi
    feat extract -o mosi -x bert.minilm,bert.minilm-ids
    zoo train psa-mf --features mosi --without vision
    """
    from featzoo.exchange.corpora.mosi import import_mosi

    _account(import_mosi(folder, store, dry_run, media))


@import_.command(name="first-impressions")
@click.argument("folder", type=FOLDER)
@STORE
@click.option("--dev-share", type=float, default=0.0, metavar="SHARE", help="Where test annotations are lacking: make "
              "dev of so many of train's videos, and validation the test split.")  # fmt: skip
@DRY_RUN
def first_impressions(folder: Path, store: Path, dev_share: float, dry_run: bool) -> None:
    """ChaLearn First Impressions V2 from FOLDER: annotation and transcription pickles, clips.

    \b
    feat import first-impressions FOLDER -o fi
    feat import first-impressions FOLDER -o fi --dev-share 0.1
    feat extract -o fi -x bert.minilm-ids
    zoo train personality-bert --features fi
    """
    from featzoo.exchange.corpora.first_impressions import import_first_impressions

    _account(import_first_impressions(folder, store, dry_run, dev_share))


@import_.command(name="csd")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--name", help="Of the feature set; default: the sequence's own.")
@click.option("--cut", is_flag=True, help="Entries are recordings: cut them into the parts that the store knows.")
@DRY_RUN
def import_csd(file: Path, store: Path, name: str | None, cut: bool, dry_run: bool) -> None:
    """CMU-MultimodalSDK's .csd FILE as a feature set. Exit status 1 if an entry cannot be read.

    \b
    feat import csd words.csd
    feat import csd CMU_MOSEI_COVAREP.csd -o mosei --cut      after feat import mosei
    """
    from featzoo.exchange.formats.csd import import_csd as read

    _account(read(file, store, name, dry_run, cut))


@import_.command(name="mmsa")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--name", default="mmsa", show_default=True, help="First part of the sets' names.")
@click.option("--label", default="sentiment", show_default=True, help="What regression_labels are called.")
@click.option("--model", help="Whose token ids text_bert holds; default: see below.")
@DRY_RUN
def import_mmsa(file: Path, store: Path, name: str, label: str, model: str | None, dry_run: bool) -> None:
    """MMSA's or MMSA-FET's feature FILE (.pkl): clips, words, splits, labels, feature sets and token ids.

    The file is read without running what it asks for. Exit status 1 if a clip cannot be read; the others go in.
    The model is what the file's config names, else bert-base-chinese or bert-base-uncased, by the transcripts.

    \b
    feat import mmsa unaligned_50.pkl -o mosi --dry-run
    feat import mmsa unaligned_39.pkl -o sims --name sims
    """
    from featzoo.exchange.pickles.mmsa import import_mmsa as read

    _account(read(file, store, name, label=label, model=model, dry_run=dry_run))


@import_.command(name="mult")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--name", default="mult", show_default=True, help="First part of the sets' names.")
@click.option("--labels", default="", help="Their names, with commas; default: MOSI's, MOSEI's or IEMOCAP's.")
@DRY_RUN
def import_mult(file: Path, store: Path, name: str, labels: str, dry_run: bool) -> None:
    """MulT's FILE (.pkl): clips, splits, labels and three feature sets.

    The file is read without running what it asks for. Exit status 1 if a clip cannot be read; the others go in.

    \b
    feat import mult mosi_data_noalign.pkl -o mosi
    """
    from featzoo.exchange.pickles.mult import import_mult as read

    _account(read(file, store, name, labels=_several(labels), dry_run=dry_run))


@click.group(name="export", cls=Commands)
def export_() -> None:
    """Write features for other programs."""


@export_.command(name="csd")
@click.argument("feature_set")
@click.argument("file", type=FOLDER)
@STORE
@DRY_RUN
def export_csd(feature_set: str, file: Path, store: Path, dry_run: bool) -> None:
    """A FEATURE_SET as CMU-MultimodalSDK's .csd FILE.

    \b
    feat export csd egemaps egemaps.csd
    """
    from featzoo.exchange.formats.csd import export_csd as write

    click.echo("\n".join(write(store, feature_set, file, dry_run=dry_run)))


@export_.command(name="mmsa")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--text", metavar="SET", help="Text features; or --ids, or both.")
@click.option("--ids", metavar="SET", help="Token ids for text_bert, such as bert.ids.")
@click.option("--audio", metavar="SET", required=True)
@click.option("--vision", metavar="SET", required=True)
@click.option("--label", default="sentiment", show_default=True, help="For regression_labels.")
@click.option("--aligned", is_flag=True, help="No lengths: the sets have the same rows, clip by clip.")
@DRY_RUN
def export_mmsa(file: Path, store: Path, label: str, aligned: bool, dry_run: bool, **sets: str | None) -> None:
    """Feature sets as one FILE (.pkl) that MMSA trains on. NaN is written as 0.

    \b
    feat export mmsa mine.pkl --ids bert.ids --audio egemaps --vision resnet50
    feat export mmsa mine.pkl --ids bert.ids --audio egemaps --vision resnet50 --dry-run
    """
    from featzoo.exchange.pickles.mmsa_export import export_mmsa as write

    requests = {key: name for key, name in sets.items() if name}
    click.echo("\n".join(write(store, file, requests, label=label, aligned=aligned, dry_run=dry_run)))


@export_.command(name="mult")
@click.argument("file", type=FOLDER)
@STORE
@click.option("--text", metavar="SET", required=True)
@click.option("--audio", metavar="SET", required=True)
@click.option("--vision", metavar="SET", required=True)
@click.option("--labels", default="sentiment", show_default=True, help="Their names, with commas.")
@DRY_RUN
def export_mult(file: Path, store: Path, labels: str, dry_run: bool, **sets: str) -> None:
    """Feature sets as one FILE (.pkl) that MulT trains on. NaN is written as 0.

    \b
    feat export mult mine_data_noalign.pkl --text glove --audio covarep --vision resnet50
    """
    from featzoo.exchange.pickles.mult_export import export_mult as write

    click.echo("\n".join(write(store, file, sets, labels=_several(labels), dry_run=dry_run)))


def _several(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _account(account: Account) -> None:
    """Print what came in; exit 1 if an entry was refused."""
    for line in account.lines():
        click.secho(line, fg="yellow" if line.lstrip().startswith(("refused", "warning")) else None)
    if not account.complete:
        raise SystemExit(1)

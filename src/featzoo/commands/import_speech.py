"""`feat import` of corpora of emotional speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from featzoo.commands.options import DRY_RUN, FOLDER, MEDIA, STORE, print_account


def _by_names(name: str, title: str, example: str) -> click.Command:
    """The command of a corpus whose labels are in its files' names."""

    def run(folder: Path, store: Path, dry_run: bool) -> None:
        from featzoo.exchange.corpora.acted_speech import CORPORA
        from featzoo.exchange.corpora.file_names import import_named

        print_account(import_named(CORPORA[name], folder, store, dry_run))

    text = (
        f"Import {title}.\n\nFOLDER holds its files at any depth, such as {example}; the labels are read from their "
        f"names.\n\n\b\nfeat import {name} FOLDER -o {name}\nfeat extract -o {name} -x egemaps.functionals"
    )
    command = click.command(name=name, help=text)(run)
    for decorate in (DRY_RUN, STORE, click.argument("folder", type=FOLDER)):
        command = decorate(command)
    return command


@click.command(name="crema-d")
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@DRY_RUN
def crema_d(folder: Path, store: Path, **options: Any) -> None:
    """Import CREMA-D.

    FOLDER holds the files, such as AudioWAV/1001_DFA_ANG_XX.wav, and the votes: summaryTable.csv or
    finishedResponses.csv. Videos are preferred to sound; --media chooses.

    \b
    feat import crema-d CREMA-D -o crema-d --media CREMA-D/AudioWAV
    feat extract -o crema-d -x egemaps.functionals
    """
    from featzoo.exchange.corpora.crema_d import import_crema_d

    print_account(import_crema_d(folder, store, **options))


@click.command()
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@click.option("--language", type=click.Choice(["english", "chinese"]), default="english", show_default=True,
              help="Language of MERTools' transcripts.")  # fmt: skip
@DRY_RUN
def iemocap(folder: Path, store: Path, **options: Any) -> None:
    """Import IEMOCAP.

    FOLDER holds Session1 to Session5, or MERTools' label_4way.npz, label_6way.npz and transcripts.

    \b
    feat import iemocap IEMOCAP_full_release -o iemocap
    feat import iemocap corpora/iemocap_text -o iemocap
    """
    from featzoo.exchange.corpora.iemocap import import_iemocap

    print_account(import_iemocap(folder, store, **options))


@click.command(name="msp-podcast")
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@DRY_RUN
def msp_podcast(folder: Path, store: Path, **options: Any) -> None:
    """Import MSP-Podcast.

    FOLDER holds Labels/labels_consensus.csv, Audios and Transcripts.

    \b
    feat import msp-podcast MSP-PODCAST-Publish-1.12 -o msp
    """
    from featzoo.exchange.corpora.msp_podcast import import_msp_podcast

    print_account(import_msp_podcast(folder, store, **options))


SPEECH = (
    _by_names("emodb", "EMO-DB", "wav/03a01Fa.wav"),
    _by_names("ravdess", "RAVDESS (speech)", "Actor_01/03-01-01-01-01-01-01.wav"),
    crema_d,
    iemocap,
    _by_names("savee", "SAVEE", "AudioData/DC/a01.wav or DC_a01.wav"),
    _by_names("tess", "TESS", "OAF_angry/OAF_back_angry.wav"),
    _by_names("esd", "ESD", "0001/Angry/train/0001_000351.wav"),
    msp_podcast,
)

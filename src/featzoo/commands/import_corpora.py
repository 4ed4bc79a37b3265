"""`feat import` of corpora as they are distributed, added to the group of `cli_exchange`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from featzoo.commands.exchange import DRY_RUN, MEDIA, _account, import_
from featzoo.commands.options import FOLDER, STORE

__all__ = ["import_"]


def _corpus(command: Callable[..., Any]) -> click.Command:
    """A command of `feat import` that takes FOLDER, a store, --media and --dry-run, in this order."""
    for option in (DRY_RUN, MEDIA, STORE, click.argument("folder", type=FOLDER)):
        command = option(command)
    return import_.command(name=command.__name__)(command)


@_corpus
def mosei(folder: Path, store: Path, **options: Any) -> None:
    """CMU-MOSEI from FOLDER: label.npz (MERTools) or CMU_MOSEI_Labels.csd with standard_folds.json, transcripts.

    \b
    feat import mosei ../shared/data/mosei -o mosei --dry-run
    feat import mosei FOLDER -o mosei --media CMU_MOSEI/Raw
    """
    from featzoo.exchange.corpora.mosei import import_mosei

    _account(import_mosei(folder, store, **options))


@_corpus
@click.option(
    "--language", type=click.Choice(["chinese", "english"]), default="chinese", show_default=True, help="Of the words."
)
def sims(folder: Path, store: Path, **options: Any) -> None:
    """CH-SIMS or CH-SIMS v2 from FOLDER: label.csv or meta.csv, or MERTools' label.npz and transcripts.

    \b
    feat import sims ../shared/data/sims -o sims
    feat import sims CH-SIMS -o sims --media CH-SIMS/Raw
    """
    from featzoo.exchange.corpora.sims import import_sims

    _account(import_sims(folder, store, **options))


@_corpus
def meld(folder: Path, store: Path, **options: Any) -> None:
    """MELD from FOLDER: train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv.

    \b
    feat import meld ../shared/data/meld -o meld
    feat import meld data/MELD -o meld --media MELD.Raw
    zoo train text-alone --features meld --set target.range=[-1,1]
    """
    from featzoo.exchange.corpora.meld import import_meld

    _account(import_meld(folder, store, **options))

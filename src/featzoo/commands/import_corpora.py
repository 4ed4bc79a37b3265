"""`feat import` of corpora as they are distributed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from featzoo.commands.options import DRY_RUN, FOLDER, MEDIA, STORE, comma_list, print_account


@click.command()
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@click.option("--languages", default="", metavar="en,zh", help="Import only texts, as clips ID/en and ID/zh.")
@click.option("--keep-case", is_flag=True, help="Leave transcripts in capitals; default: lower case.")
@DRY_RUN
def mosi(folder: Path, store: Path, languages: str, **options: Any) -> None:
    """Import CMU-MOSI.

    FOLDER holds the labels (.csd), official folds, transcripts, and utterance-level audio and video features.

    \b
    feat import mosi corpora/mosi -o mosi
    feat extract -o mosi -x bert.minilm,bert.minilm-ids
    zoo train psa-mf --store mosi --without vision

    \b
    feat import mosi corpora/mosi -o parallel --languages en,zh
    """
    from featzoo.exchange.corpora.mosi import import_mosi

    print_account(import_mosi(folder, store, languages=comma_list(languages), **options))


@click.command()
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@DRY_RUN
def mosei(folder: Path, store: Path, **options: Any) -> None:
    """Import CMU-MOSEI.

    FOLDER holds label.npz (MERTools), or CMU_MOSEI_Labels.csd with standard_folds.json, and transcripts.

    \b
    feat import mosei corpora/mosei -o mosei --dry-run
    feat import mosei FOLDER -o mosei --media CMU_MOSEI/Raw
    """
    from featzoo.exchange.corpora.mosei import import_mosei

    print_account(import_mosei(folder, store, **options))


@click.command()
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@DRY_RUN
@click.option(
    "--language",
    type=click.Choice(["chinese", "english"]),
    default="chinese",
    show_default=True,
    help="Language of the transcripts to import.",
)
def sims(folder: Path, store: Path, **options: Any) -> None:
    """Import CH-SIMS or CH-SIMS v2.

    FOLDER holds label.csv or meta.csv, or MERTools' label.npz and transcripts.

    \b
    feat import sims corpora/sims -o sims
    feat import sims CH-SIMS -o sims --media CH-SIMS/Raw
    """
    from featzoo.exchange.corpora.sims import import_sims

    print_account(import_sims(folder, store, **options))


@click.command()
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@DRY_RUN
def meld(folder: Path, store: Path, **options: Any) -> None:
    """Import MELD.

    FOLDER holds train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv.

    \b
    feat import meld corpora/meld -o meld
    feat import meld data/MELD -o meld --media MELD.Raw
    zoo train text-alone --store meld --set target.range=[-1,1]
    """
    from featzoo.exchange.corpora.meld import import_meld

    print_account(import_meld(folder, store, **options))


@click.command(name="first-impressions")
@click.argument("folder", type=FOLDER)
@STORE
@click.option(
    "--dev-share",
    type=float,
    default=0.0,
    metavar="SHARE",
    help="If the test annotations are missing: make this share of the train videos the dev split, and the "
    "validation split the test split.",
)
@DRY_RUN
def first_impressions(folder: Path, store: Path, **options: Any) -> None:
    """Import ChaLearn First Impressions V2.

    FOLDER holds the annotation and transcription pickles, and the clips.

    \b
    feat import first-impressions FOLDER -o fi
    feat import first-impressions FOLDER -o fi --dev-share 0.1
    feat extract -o fi -x bert.minilm-ids
    zoo train personality-bert --store fi
    """
    from featzoo.exchange.corpora.first_impressions import import_first_impressions

    print_account(import_first_impressions(folder, store, **options))


@click.command(name="youtube-personality")
@click.argument("folder", type=FOLDER)
@STORE
@DRY_RUN
def youtube_personality(folder: Path, store: Path, **options: Any) -> None:
    """Import the YouTube Personality data set.

    FOLDER holds 404 vlogs' words, audiovisual features and impressions of the Big Five.

    \b
    feat import youtube-personality FOLDER -o yt
    feat extract -o yt -x 'bert.minilm[output=words]'
    zoo evaluate runs/siamese-text-... --store yt
    """
    from featzoo.exchange.corpora.youtube_personality import import_youtube_personality

    print_account(import_youtube_personality(folder, store, **options))


@click.command()
@click.argument("folder", type=FOLDER)
@STORE
@DRY_RUN
def mfn(folder: Path, store: Path, **options: Any) -> None:
    """Import POM, YouTube or MMMO as MFN's arrays.

    FOLDER holds the arrays of the Memory Fusion Network: audio_train.h5, y_train.h5 and so on.

    \b
    feat import mfn new_data/pom -o pom
    """
    from featzoo.exchange.corpora.mfn import import_mfn

    print_account(import_mfn(folder, store, **options))


@click.command()
@click.argument("folder", type=FOLDER)
@STORE
@MEDIA
@DRY_RUN
def hazumi(folder: Path, store: Path, **options: Any) -> None:
    """Import Hazumi (Japanese dialogues with an agent).

    FOLDER is a release, such as Hazumi1911, with dumpfiles, elan and questionnaire.

    \b
    feat import hazumi Hazumi1911 -o hazumi
    feat extract -o hazumi -x 'bert.multilingual[model=multilingual-e5-small]'
    """
    from featzoo.exchange.corpora.hazumi import import_hazumi

    print_account(import_hazumi(folder, store, **options))


CORPORA = (mosi, mosei, sims, meld, first_impressions, youtube_personality, hazumi, mfn)

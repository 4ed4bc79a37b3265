"""`feat import` of texts with personality labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from featzoo.commands.options import DRY_RUN, FOLDER, STORE, comma_list, print_account

PARTS = click.Choice(["train", "valid", "test"])
SPLIT = click.option("--split", type=PARTS, help="Split of all texts; default: the file's, or the published ones.")


@click.command()
@click.argument("file", type=FOLDER)
@STORE
@SPLIT
@DRY_RUN
def essays(file: Path, store: Path, **options: Any) -> None:
    """Import Pennebaker and King's essays.

    FILE (.csv or .parquet) gives texts, Big Five labels and splits.

    \b
    feat import essays essays.csv -o essays
    feat extract -o essays -x 'bert.minilm-ids[windows=overlap]'
    zoo train adam-teacher --store essays
    """
    from featzoo.exchange.texts.essays import import_essays

    print_account(import_essays(file, store, **options))


@click.command()
@click.argument("file", type=FOLDER)
@STORE
@click.option("--mask-types", is_flag=True, help="Replace INFJ, entps and the other type names with the word 'type'.")
@SPLIT
@DRY_RUN
def mbti(file: Path, store: Path, **options: Any) -> None:
    """Import Kaggle's MBTI posts.

    FILE (.csv or .parquet) gives texts, four labels of the Big Five, and splits.

    \b
    feat import mbti mbti_1.csv -o mbti --mask-types
    """
    from featzoo.exchange.texts.mbti import import_mbti

    print_account(import_mbti(file, store, **options))


@click.command()
@click.argument("file", type=FOLDER)
@STORE
@click.option("--split", type=PARTS, help="Import only the texts of this split.")
@click.option("--languages", default="", metavar="fr,ja", help="Import only the texts in these languages.")
@click.option("--labels", default="", metavar="A,B", help="Columns with labels, besides those of the Big Five.")
@DRY_RUN
def parallel(file: Path, store: Path, languages: str, labels: str, **options: Any) -> None:
    """Import parallel texts, such as those of `zoo augment`.

    FILE (.jsonl or .parquet, or the folder of a Hugging Face data set) gives texts in several languages, as clips
    ROW/LANGUAGE. The exit status is 1 if a row is refused; the others are imported. Import the texts of the two methods
    into two stores.

    \b
    feat import parallel toga.jsonl -o toga
    feat import parallel essays-gpt4o-guided-en-fr-bm-jp-zh -o piga
    feat import parallel piga.jsonl -o piga --split test --languages fr,ja
    """
    from featzoo.exchange.texts.parallel import import_parallel

    print_account(import_parallel(file, store, languages=comma_list(languages), labels=comma_list(labels), **options))


@click.command()
@click.argument("folder", type=FOLDER)
@STORE
@DRY_RUN
def realpersonachat(folder: Path, store: Path, **options: Any) -> None:
    """Import RealPersonaChat (Japanese dialogues).

    FOLDER gives one text for each of 233 speakers, and their Big Five traits split at the median, all as test texts.

    \b
    feat import realpersonachat real-persona-chat -o natural
    """
    from featzoo.exchange.texts.realpersonachat import import_realpersonachat

    print_account(import_realpersonachat(folder, store, **options))


@click.command()
@click.argument("file", type=FOLDER)
@STORE
@click.option("--whole", is_flag=True, help="Make one clip for each character, not one for each dialogue.")
@DRY_RUN
def cped(file: Path, store: Path, **options: Any) -> None:
    """Import CPED (Chinese television dialogues).

    FILE (.csv) is one part of CPED. It gives the characters' lines and high or low Big Five traits, all as test texts.

    \b
    feat import cped test_split.csv -o natural
    """
    from featzoo.exchange.texts.cped import import_cped

    print_account(import_cped(file, store, **options))


TEXTS = (essays, mbti, parallel, realpersonachat, cped)

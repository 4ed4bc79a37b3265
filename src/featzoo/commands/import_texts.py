"""`feat import` of texts with personality labels, added to the group of `cli_exchange`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from featzoo.commands.exchange import DRY_RUN, _account, _several
from featzoo.commands.import_corpora import import_
from featzoo.commands.options import FOLDER, STORE

__all__ = ["import_"]

PARTS = click.Choice(["train", "valid", "test"])


def _texts(argument: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of `feat import` that takes a file or folder, a store and --dry-run, in this order."""

    def add(command: Callable[..., Any]) -> click.Command:
        for option in (DRY_RUN, STORE, click.argument("path", metavar=argument, type=FOLDER)):
            command = option(command)
        return import_.command(name=command.__name__)(command)

    return add


@_texts("FILE")
@click.option("--split", type=PARTS, help="Of all texts; default: the file's, or the published ones made anew.")
def essays(path: Path, store: Path, **options: Any) -> None:
    """Pennebaker and King's essays from FILE (.csv or .parquet): texts, Big Five labels, splits.

    \b
    feat import essays essays.csv -o essays
    feat extract -o essays -x 'bert.minilm-ids[windows=overlap]'
    zoo train adam-teacher --features essays
    """
    from featzoo.exchange.texts.essays import import_essays

    _account(import_essays(path, store, **options))


@_texts("FILE")
@click.option("--mask-types", is_flag=True, help="Put the word 'type' in the place of INFJ, entps and the other types.")
@click.option("--split", type=PARTS, help="Of all users; default: the file's, or the published ones made anew.")
def mbti(path: Path, store: Path, **options: Any) -> None:
    """Kaggle's MBTI posts from FILE (.csv or .parquet): texts, four labels of the Big Five, splits.

    \b
    feat import mbti mbti_1.csv -o mbti --mask-types
    """
    from featzoo.exchange.texts.mbti import import_mbti

    _account(import_mbti(path, store, **options))


@_texts("FILE")
@click.option("--split", type=PARTS, help="Take the texts of this split only.")
@click.option("--languages", default="", metavar="fr,ja", help="Take the texts in these languages only.")
def parallel(path: Path, store: Path, languages: str, **options: Any) -> None:
    """Texts in several languages from FILE (.jsonl or .parquet), as `zoo augment` writes it: clips ROW/LANGUAGE.

    Exit status 1 if a row is refused; the others go in. Texts of two methods go into two stores.

    \b
    feat import parallel toga.jsonl -o toga
    feat import parallel piga.jsonl -o piga --split test --languages fr,ja
    """
    from featzoo.exchange.texts.parallel import import_parallel

    _account(import_parallel(path, store, languages=_several(languages), **options))


@_texts("FOLDER")
def realpersonachat(path: Path, store: Path, **options: Any) -> None:
    """RealPersonaChat from FOLDER: all that each of 233 Japanese speakers says, Big Five at the median; split test.

    \b
    feat import realpersonachat real-persona-chat -o natural
    """
    from featzoo.exchange.texts.realpersonachat import import_realpersonachat

    _account(import_realpersonachat(path, store, **options))


@_texts("FILE")
@click.option("--whole", is_flag=True, help="A clip a character, not one for each of the character's dialogues.")
def cped(path: Path, store: Path, **options: Any) -> None:
    """A part of CPED (.csv): what Chinese television characters say, Big Five high or low; split test.

    \b
    feat import cped test_split.csv -o natural
    """
    from featzoo.exchange.texts.cped import import_cped

    _account(import_cped(path, store, **options))

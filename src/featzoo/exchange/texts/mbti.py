"""Kaggle's MBTI posts: forum users' posts and self-reported types, as four labels of the Big Five."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from featzoo.errors import InvalidClips
from featzoo.exchange.importing import Account
from featzoo.exchange.texts.tables import Text, arrive, bring_texts, find_columns, read_table, texts_of, yes_or_no
from featzoo.vocabulary import TRAIT_COLUMNS, TRAITS

FULL = 8675
COLUMNS = {
    "id": ("user", "__index_level_0__", "id"),
    "type": ("type",),
    "text": ("posts", "text"),
    "split": ("adam_split", "split"),
    **{trait: TRAIT_COLUMNS[trait] for trait in TRAITS if trait != "neuroticism"},  # which types do not contain
}  # fmt: skip
# Trait to a position in the type and the letter that means 1; a type says nothing about neuroticism.
LETTERS = {"openness": (1, "N"), "conscientiousness": (3, "J"), "extraversion": (0, "E"), "agreeableness": (2, "F")}
TYPE = re.compile("[IE][NS][FT][JP]")
# Digits and underscores may touch a type's name, letters may not: `infj_girl` and `INTP4w5` name a type too.
NAMED = re.compile(r"(?<![^\W\d_])[IE][NS][FT][JP](?:['\u2019]?s)?(?![^\W\d_])", re.IGNORECASE)
NEUTRAL = "type"
BARS = "|||"


def import_mbti(
    path: Path, store: Path, mask_types: bool = False, split: str | None = None, dry_run: bool = False
) -> Account:
    """Import the posts into a store: one clip per user, without media, with words, four labels (0 or 1) and a split.

    The columns are Kaggle's (type, posts) or those of ADAM's author's version (O, C, E, A, text); a .csv or .parquet.
    Posts are separated by three bars; a user without posts is refused. A type gives openness (N or S),
    conscientiousness (J or P), extraversion (E or I) and agreeableness (F or T). A column `split` gives the splits;
    without it they are made as by ADAM's author.

    Args:
        path: The file.
        store: The store; created if missing.
        mask_types: Replace the names of the 16 types, in any case and in the plural, by the word `type`: the posts
            mention their writers' types.
        split: train, valid or test, if all rows belong to that split.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has other columns.
        InvalidOption: If there are too few rows to split.
        MissingPackage: If splits must be made and scikit-learn is not installed.
        StoreError: If the store has other texts for the same clips.
    """
    columns, rows = read_table(path)
    found = find_columns(columns, COLUMNS)
    if "text" not in found or not ("type" in found or LETTERS.keys() <= found.keys()):
        raise InvalidClips(
            f"{path} is not the MBTI posts: it has the columns {', '.join(columns[:9])}, not type, posts (or O, C, E, "
            "A, text)"
        )

    def labels(row: Mapping[Any, Any]) -> Mapping[str, float]:
        if "type" in found:
            return type_labels(str(row[found["type"]]))
        return {trait: yes_or_no(row[found[trait]]) for trait in LETTERS}

    read, refused = texts_of(rows, found, labels)
    texts, notes = _joined(read, mask_types)
    return bring_texts(arrive(texts, refused, split, FULL, notes), store, dry_run)


def _joined(read: Iterable[Text], mask_types: bool) -> tuple[list[Text], list[str]]:
    """The posts of each user as one text, and notes about type names and empty posts."""
    texts, named, empty = [], 0, 0
    for one in read:
        each = posts(one.text)
        kept = [post for post in each if post]
        empty += len(each) - len(kept)
        text, times = NAMED.subn(NEUTRAL, "\n".join(kept))
        named += times
        texts.append(one._replace(text=text if mask_types else "\n".join(kept), empty="all its posts are empty"))
    if mask_types:
        notes = [f"{named} names of types became '{NEUTRAL}'"]
    else:
        notes = [f"warning: the posts name types {named} times; the option mask-types hides them"]
    if empty:
        notes.append(f"{empty} empty posts left out")
    return texts, notes


def type_labels(kind: str) -> dict[str, float]:
    """The four labels of a type such as INFJ.

    Raises:
        ValueError: If it is not one of the 16 types.
    """
    kind = kind.strip().upper()
    if not TYPE.fullmatch(kind):
        raise ValueError(f"{kind!r} is not one of the 16 types")
    return {trait: float(kind[place] == one) for trait, (place, one) in LETTERS.items()}


def posts(joined: str) -> list[str]:
    """The posts of one user, including empty ones, without the quotation marks that the file puts around them."""
    joined = joined.strip()
    if len(joined) > 1 and joined[0] == joined[-1] == "'":
        joined = joined[1:-1]
    return [post.strip() for post in joined.split(BARS)]

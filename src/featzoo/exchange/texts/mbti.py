"""Kaggle's MBTI posts: forum users' posts and self-reported types, as four labels of the Big Five."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featzoo.errors import InvalidClips
from featzoo.exchange.importing import Account
from featzoo.exchange.texts.tables import arrive, bring_texts, find_columns, read_table, texts_of, yes_or_no

FULL = 8675
COLUMNS = {
    "id": ("user", "__index_level_0__", "id"),
    "type": ("type",),
    "text": ("posts", "text"),
    "split": ("adam_split", "split"),
    "openness": ("o",), "conscientiousness": ("c",), "extraversion": ("e",), "agreeableness": ("a",),
}  # fmt: skip
# Which letter of a type, and what it is where the label is 1; a type says nothing of neuroticism.
LETTERS = {"openness": (1, "N"), "conscientiousness": (3, "J"), "extraversion": (0, "E"), "agreeableness": (2, "F")}
TYPE = re.compile("[IE][NS][FT][JP]")
# Letters may not touch it, but digits and underscores may: `infj_girl` and `INTP4w5` tell a type too.
NAMED = re.compile(r"(?<![^\W\d_])[IE][NS][FT][JP](?:['\u2019]?s)?(?![^\W\d_])", re.IGNORECASE)
NEUTRAL = "type"
BARS = "|||"


def import_mbti(
    path: Path, store: Path, mask_types: bool = False, split: str | None = None, dry_run: bool = False
) -> Account:
    """Put the posts into a store: a clip without media a user, with words, four labels 0 or 1 and a split.

    The columns are Kaggle's (type, posts) or those of ADAM's author's version (O, C, E, A, text); a .csv or .parquet.
    Posts are joined by three bars; a user without posts is refused. A type is read as openness (N against S),
    conscientiousness (J against P), extraversion (E against I) and agreeableness (F against T). A column `split`
    gives the splits; without one they are made as ADAM's author made them.

    Args:
        path: The file.
        store: Made if it is not there.
        mask_types: Whether to put the word `type` in the place of each of the 16 types' names, of whatever case,
            plurals as well: the posts speak of their writers' types.
        split: train, valid or test, if all rows are of that split.
        dry_run: Whether only to say what would come in.

    Raises:
        InvalidClips: If it is not such a file.
        InvalidOption: If it has too few rows to split.
        MissingPackage: If splits are to be made, and scikit-learn is not installed.
        StoreError: If the store holds other texts of the same clips.
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
        notes = [f"warning: the posts name types {named} times; --mask-types hides them"]
    if empty:
        notes.append(f"{empty} empty posts left out")
    return bring_texts(arrive(texts, refused, split, FULL, notes), store, dry_run)


def type_labels(kind: str) -> dict[str, float]:
    """Four labels of a type such as INFJ.

    Raises:
        ValueError: If it is none.
    """
    kind = kind.strip().upper()
    if not TYPE.fullmatch(kind):
        raise ValueError(f"{kind!r} is none of the 16 types")
    return {trait: float(kind[place] == one) for trait, (place, one) in LETTERS.items()}


def posts(joined: str) -> list[str]:
    """The posts of one user, empty ones too; the quotation marks around them all are the file's, not theirs."""
    joined = joined.strip()
    if len(joined) > 1 and joined[0] == joined[-1] == "'":
        joined = joined[1:-1]
    return [post.strip() for post in joined.split(BARS)]

"""Pennebaker and King's stream-of-consciousness essays: texts with Big Five labels, and their splits."""

from __future__ import annotations

from pathlib import Path

from featzoo.errors import InvalidClips
from featzoo.exchange.importing import Account
from featzoo.exchange.texts.tables import (
    arrive,
    bring_texts,
    find_columns,
    read_table,
    texts_of,
    yes_or_no,
)
from featzoo.vocabulary import TRAIT_COLUMNS, TRAITS

FULL = 2467
COLUMNS = {
    "id": ("#authid", "authid", "user", "__index_level_0__", "id"),
    "text": ("text",),
    "split": ("adam_split", "split"),
    **TRAIT_COLUMNS,
}


def import_essays(path: Path, store: Path, split: str | None = None, dry_run: bool = False) -> Account:
    """Import Essays: clips without media, with words, five labels (0 or 1) and a split.

    The columns are those of the distribution (#AUTHID, TEXT, cEXT, cNEU, cAGR, cCON, cOPN), of ADAM's author's
    version (text, O, C, E, A, N) or of the Kaggle one (user, text, E, N, A, C, O); a .csv or .parquet. A column
    `adam_split` or `split` gives the splits; without it they are made as by the author.

    Args:
        path: The file.
        store: The store; created if missing.
        split: train, valid or test, if all rows belong to that split.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has another format.
        InvalidOption: If there are too few rows to split.
        MissingPackage: If splits must be made and scikit-learn is not installed.
        StoreError: If the store has other texts for the same clips.
    """
    columns, rows = read_table(path)
    found = find_columns(columns, COLUMNS)
    if lacking := [key for key in ("text", *TRAITS) if key not in found]:
        raise InvalidClips(
            f"{path} is not Essays: it has no column for {', '.join(lacking)}, only {', '.join(columns[:9])}. The file "
            "has #AUTHID, TEXT, cEXT, cNEU, cAGR, cCON, cOPN, or text, O, C, E, A, N"
        )
    texts, refused = texts_of(rows, found, lambda row: {trait: yes_or_no(row[found[trait]]) for trait in TRAITS})
    return bring_texts(arrive(texts, refused, split, FULL), store, dry_run)

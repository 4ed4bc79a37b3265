"""Folders of Hugging Face's datasets library with parallel texts: `save_to_disk`, or Parquet files by split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from featzoo.errors import InvalidClips
from featzoo.exchange.texts.tables import author_splits, yes_or_no
from featzoo.untrusted import open_parquet
from featzoo.vocabulary import TRAIT_COLUMNS, split_name

# Names that a column with the text in a language may have, besides its code: `fr`, `text_fr`, `fr-text`, `French`.
NAMES = {
    "english": "en", "french": "fr", "malay": "ms", "bahasa melayu": "ms", "japanese": "ja", "chinese": "zh",
    "en": "en", "fr": "fr", "ms": "ms", "bm": "ms", "ja": "ja", "jp": "ja", "zh": "zh",
}  # fmt: skip
IDS = ("id", "__index_level_0__", "#authid", "authid", "user")


def dataset_rows(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The place and the fields of each text of a data set, with `id`, `language`, `text`, `split` and its labels.

    A row with a column for each language gives one text for each. Its id is that of a column `id` or
    `__index_level_0__` (pandas' index, which the library keeps), else its number. The split is a column's, else that
    of its file or folder. A data set whose only split is `train` gets the splits of ADAM's author, which need all rows
    in the order of the distribution.

    Args:
        folder: A folder that `save_to_disk` or `to_parquet` of the library wrote, or a copy of one on the hub.

    Raises:
        InvalidClips: If it holds no such files, or one cannot be read.
    """
    parts = _parts(folder)
    if not parts:
        raise InvalidClips(f"{folder} holds no .arrow or .parquet file: it is not a data set's folder")
    rows = [(file, split, number, row) for file, split in parts for number, row in enumerate(_read(file), start=1)]
    columns = _languages(rows[0][3]) if rows else {}
    splits: Sequence[str | None] = [split for _, split, _, _ in rows]
    if columns and set(splits) == {"train"} and not any("split" in row for *_, row in rows):
        splits = _divided([row for *_, row in rows])
    for place, ((file, _, number, row), split) in enumerate(zip(rows, splits, strict=True)):
        given = {"id": _id(row, place), "split": row.get("split", split)}
        rest = {name: value for name, value in row.items() if name not in columns.values()}
        for language, column in columns.items():
            yield f"{file.name}, row {number}, {column}", {**rest, **given, "language": language, "text": row[column]}
        if not columns:
            yield f"{file.name}, row {number}", {**row, **given}


def _parts(folder: Path) -> list[tuple[Path, str | None]]:
    """The files of a data set, and the split of each; the library's own cache files are left out."""
    found: list[tuple[Path, str | None]] = []
    for suffix in (".arrow", ".parquet"):
        for file in sorted(folder.rglob(f"*{suffix}")):
            named = split_name(file.name.split("-")[0].removesuffix(suffix)) or split_name(file.parent.name)
            if not file.name.startswith("cache-"):
                found.append((file, named or "train"))
        if found:
            break
    return found


def _read(file: Path) -> list[dict[str, Any]]:
    """The rows of one file; `save_to_disk` writes Arrow's stream format.

    Raises:
        InvalidClips: If it cannot be read.
    """
    try:
        if file.suffix == ".parquet":
            with open_parquet(file) as opened:
                return list(opened.read().to_pylist())
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
            table = stream.read_all()
        table.validate(full=True)
        return list(table.to_pylist())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidClips(f"{file} cannot be read as a table of texts: {error}") from error


def _languages(row: Mapping[str, Any]) -> dict[str, str]:
    """Language to the column that has its texts; empty for tables with one text in each row."""
    found: dict[str, str] = {}
    for column in row:
        named = column.lower().replace("-", "_").removeprefix("text_").removesuffix("_text")
        if named in NAMES and isinstance(row[column], str | None):
            found.setdefault(NAMES[named], column)
    if found and "en" not in found and "text" in row:
        found["en"] = "text"
    return found if len(found) > 1 else {}


def _id(row: Mapping[str, Any], place: int) -> str:
    named = {column.lower(): column for column in row}
    column = next((named[name] for name in IDS if name in named), None)
    return str(row[column]) if column is not None and row[column] is not None else str(place)


def _divided(rows: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """The author's splits of all rows, which depend on their order."""
    named = [{column.lower(): value for column, value in row.items()} for row in rows]
    traits = {trait: next((n for n in names if n in named[0]), None) for trait, names in TRAIT_COLUMNS.items()}
    try:
        labels = [{t: yes_or_no(row[name]) for t, name in traits.items() if name is not None} for row in named]
    except ValueError as error:
        raise InvalidClips(f"a label of the data set cannot be read, so it cannot be divided: {error}") from error
    return author_splits(labels)

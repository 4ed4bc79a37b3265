"""Tables of clips: labels.csv, manifests and MMSA's label.csv, read strictly by one reader.

A delimiter is found by itself, and names are trimmed. A table that could be read in two ways is refused with the line.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from featzoo.errors import InvalidClips
from featzoo.media.transcripts.encoding import UnknownEncoding, decode
from featzoo.stand_ins import refuse_stand_in
from featzoo.untrusted import open_parquet
from featzoo.vocabulary import GROUPS

DELIMITERS = ",;\t|"
# Spellings of a missing number.
MISSING = {"na", "n/a", "nan", "null", "none"}
MINUS = "\N{MINUS SIGN}"  # as typeset tables have it, not the keyboard's
# What was meant as a number, in any spelling.
NUMBER = re.compile(r"[-+]?(\d[\d.,]*|[.,]\d+|inf(inity)?)(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One row: where it is, and its cells by column; an empty cell is None, one of a CSV file trimmed text."""

    line: int
    cells: Mapping[str, Any]

    def text(self, column: str) -> str:
        """A cell as trimmed text; empty if it is, or there is no such column."""
        value = self.cells.get(column)
        return "" if value is None else str(value).strip()


@dataclass(frozen=True)
class Table:
    """The rows of a file, its columns in order, and the delimiter if it is text."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    delimiter: str = ""

    def at(self, row: Row) -> str:
        """Where a row is, for messages."""
        return f"{self.path}, {'line' if self.delimiter else 'row'} {row.line}"

    def number(self, row: Row, column: str) -> float | None:
        """A cell as a finite number; None if it is empty or not one."""
        value: Any = row.cells.get(column)
        if isinstance(value, str):
            value = value.replace(MINUS, "-")
            if column in self._decimal_commas and re.fullmatch(r"[-+]?\d+,\d+", value):
                value = value.replace(",", ".")
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        return number if math.isfinite(number) else None

    def is_empty(self, row: Row, column: str) -> bool:
        """Whether a cell of numbers is left empty, or holds a word such as NA for that."""
        value = row.cells.get(column)
        return value is None or str(value).lower() in MISSING

    def name(self, row: Row, column: str) -> str:
        """A cell as a name; empty if the cell is, or says that the value is missing. `none` is a name."""
        value = row.cells.get(column)
        if isinstance(value, float):
            return f"{value:g}"
        text = row.text(column)
        return "" if text.lower() in MISSING - {"none"} else text

    @cached_property
    def nominal(self) -> frozenset[str]:
        """Columns of names: those of groups such as speakers, and those of text without anything like a number."""
        return frozenset(column for column in self.columns if column in GROUPS or self._holds_names(column))

    def _holds_names(self, column: str) -> bool:
        values = [row.cells[column] for row in self.rows if self.name(row, column)]
        return bool(values) and all(
            isinstance(value, str) and not NUMBER.fullmatch(value.replace(MINUS, "-")) for value in values
        )

    @cached_property
    def _decimal_commas(self) -> frozenset[str]:
        """Columns that write 1.5 as 1,5: cells are parted by something else, and none has a point in it."""
        if self.delimiter in ("", ","):
            return frozenset()
        return frozenset(
            column for column in self.columns if not any("." in (row.cells.get(column) or "") for row in self.rows)
        )


def read_table(path: Path, known: Collection[str], needed: Collection[str], encoding: str | None = None) -> Table:
    """The rows of a CSV file (delimited by commas, semicolons, tabs or bars) or a Parquet file.

    Args:
        path: The file; Parquet by its suffix, else text.
        known: Columns whose names may be in capitals.
        needed: Columns without which the table is refused.
        encoding: Of text that is not UTF-8 and has no byte order mark; detected if None.

    Raises:
        InvalidClips: If it cannot be read, a needed column is missing, a column is there twice, or a row has more or
            fewer cells than there are columns.
    """
    refuse_stand_in(path, InvalidClips)
    try:
        if path.suffix.lower() == ".parquet":
            return _checked(_parquet(path, known), needed)
        return _checked(_text(path, decode(path.read_bytes(), encoding), known), needed)
    except (OSError, UnknownEncoding, ValueError, csv.Error) as error:
        raise InvalidClips(f"cannot read {path}: {error}") from error


def _checked(table: Table, needed: Collection[str]) -> Table:
    twice = [column for column, count in Counter(table.columns).items() if count > 1]
    if twice:
        raise InvalidClips(f"{table.path}: the column '{twice[0]}' is there twice")
    for column in needed:
        if column not in table.columns:
            names = ", ".join(f"'{name}'" for name in table.columns)
            raise InvalidClips(f"{table.path}: no column '{column}' in its first line; its columns are {names}")
    return table


def _parquet(path: Path, known: Collection[str]) -> Table:
    with open_parquet(path) as file:
        found = file.read()
    columns = _names(found.column_names, known)
    # A NaN in a table is an empty cell.
    cells = [[None if value != value or value == "" else value for value in column.to_pylist()] for column in found]
    rows = (Row(number, dict(zip(columns, row, strict=True))) for number, row in enumerate(zip(*cells, strict=True), 1))
    return Table(path, columns, tuple(rows))


def _text(path: Path, text: str, known: Collection[str]) -> Table:
    lines = text.splitlines(keepends=True)
    marked = re.fullmatch(r'"?sep=(.)"?\s*', lines[0]) if lines else None  # Excel's own first line
    start = 1 if marked else 0
    text = "".join(lines[start:])
    delimiter = marked[1] if marked else _delimiter(text, known)
    records = _records(path, text, delimiter, start)
    _, header = next(records, (0, []))
    columns = _names(header, known)
    rows = []
    for line, cells in records:
        if len(cells) < len(columns) or any(cells[len(columns) :]):
            raise InvalidClips(
                f"{path}, line {line}: {len(cells)} cells, but {len(columns)} columns; a cell with "
                f"a {_spoken(delimiter)} in it is written in quotes"
            )
        row = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
        rows.append(Row(line, {name: cell or None for name, cell in row.items()}))
    return Table(path, tuple(filter(None, columns)), tuple(rows), delimiter)


def _delimiter(text: str, known: Collection[str]) -> str:
    """The delimiter that gives the most known column names in the first line, or else the most columns."""

    def fits(delimiter: str) -> tuple[int, int]:
        names = _names(next(csv.reader(io.StringIO(text), delimiter=delimiter), []), known)
        return len({*names} & {*known}), len(names)

    return max(DELIMITERS, key=fits)


def _records(path: Path, text: str, delimiter: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not empty, trimmed, with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    line = before + 1
    try:
        for cells in reader:
            trimmed = [cell.strip() for cell in cells]
            if any(trimmed):
                yield line, trimmed
            line = before + reader.line_num + 1
    except csv.Error as error:
        raise InvalidClips(f"{path}, line {line}: {error}") from error


def _names(header: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    names = [str(name).strip() for name in header]
    while names and not names[-1]:  # spreadsheets write empty columns at the right
        names.pop()
    return tuple(name.lower() if name.lower() in known else name for name in names)


def _spoken(delimiter: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}.get(delimiter, f"'{delimiter}'")

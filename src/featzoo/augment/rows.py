"""Reads and writes parallel texts: rows of a JSON Lines or Parquet file, or the clips of a store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.augment.checks import torn
from featzoo.augment.languages import LANGUAGES, SOURCE
from featzoo.cache.store import FeatureStore
from featzoo.durable import replacing
from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.texts.parallel import ALIASES, FELL_BACK, rows_of

SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True)
class Row:
    """A text in one language.

    Attributes:
        id: The id shared by all translations.
        language: ISO 639-1 code.
        text: The text in this language.
        split: `train`, `valid`, `test`, or None.
        labels: Trait to 0 or 1.
        method: `source`, `toga`, `piga`, or another program's name.
        flags: Remarks such as `fallback-toga` or `paper-like`.
        model: The model that translated it.
        prompt: The version of the prompt.
    """

    id: str
    language: str
    text: str
    split: str | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    method: str = "source"
    flags: tuple[str, ...] = ()
    model: str | None = None
    prompt: str | None = None


class Sources(NamedTuple):
    """The English texts of a source, and the number of ignored rows in other languages."""

    rows: list[Row]
    left_aside: int


def read_sources(path: Path) -> Sources:
    """English texts from a feature store, or from a .jsonl or .parquet file of parallel texts.

    Raises:
        InvalidClips: If the source has another format, a row is damaged, or an id occurs twice.
        StoreError: If a store is damaged.
    """
    if (path / "STORE.json").is_file():
        found = [_of_clip(clip.id, clip.text, clip.split, clip.labels) for clip in FeatureStore(path).clips().values()]
    elif path.is_file():
        found = read_rows(path)
    else:
        raise InvalidClips(f"{path} is neither a feature store nor a {' or '.join(SUFFIXES)} file")
    rows = [row for row in found if row.language == SOURCE]
    _once(rows, path)
    if not rows:
        raise InvalidClips(f"{path} holds no English text: ids are <row>/en or have no language, or 'language' is 'en'")
    return Sources(rows, len(found) - len(rows))


def read_rows(path: Path) -> list[Row]:
    """All rows of a file of parallel texts.

    Raises:
        InvalidClips: If it cannot be read, or a row is damaged.
    """
    if path.suffix not in SUFFIXES:
        raise InvalidClips(f"{path}: texts are read from {' and '.join(SUFFIXES)} files")
    found = []
    for place, given in rows_of(path):
        try:
            if isinstance(given, str):
                raise ValueError(given)
            found.append(_row(given))
        except ValueError as error:
            raise InvalidClips(f"{path}, {place}: {error}") from error
    return found


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a file of parallel texts completely or not at all.

    Raises:
        StoreError: If the file cannot be written.
    """
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            _write_parquet(temporary, rows)
            return
        with temporary.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def check_output(path: Path, method: str) -> list[Row]:
    """The rows that an output file already holds; empty if the file does not exist.

    Raises:
        InvalidOption: If its suffix is unknown, its folder is missing, or it holds rows of another method.
    """
    if path.suffix not in SUFFIXES:
        raise InvalidOption(f"output '{path}': its name must end in {' or '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise InvalidOption(f"output '{path}': the folder {path.parent} does not exist")
    if not path.exists():
        return []
    rows = read_rows(path)
    others = {row.method for row in rows if FELL_BACK not in row.flags} - {"source", method}
    if others:
        raise InvalidOption(
            f"{path} holds rows of method {', '.join(sorted(others))}: translations made with and without the labels "
            "must be kept apart, so name another -o"
        )
    return rows


def _of_clip(clip_id: str, text: str, split: str | None, labels: Mapping[str, float]) -> Row:
    row, _, language = clip_id.rpartition("/")
    language = ALIASES.get(language, language)
    if not row or language not in LANGUAGES:
        row, language = clip_id, SOURCE
    return Row(row, language, text, split, dict(labels))


def _once(rows: Iterable[Row], path: Path) -> None:
    seen = set()
    for row in rows:
        if row.id in seen:
            raise InvalidClips(f"{path} holds two English texts of the id '{row.id}'")
        seen.add(row.id)


def _row(given: Mapping[Any, Any]) -> Row:
    if not isinstance(given.get("id"), str | int) or "text" not in given:
        raise ValueError("a row has an 'id' and a 'text', and may have a 'language'")
    if torn(str(given["id"])):
        raise ValueError("its id holds half a character (a lone surrogate)")
    fields = dict(given)
    labels = fields.pop("labels", None)
    known = {name: fields.pop(name, None) for name in ("id", "language", "text", "split", "method", "flags")}
    whose = {name: fields.pop(name, None) for name in ("model", "prompt")}
    if labels is None:  # one column per label
        labels = {name: value for name, value in fields.items() if isinstance(value, int | float)}
    if not isinstance(labels, dict):
        raise ValueError("'labels' must be an object such as {'openness': 1}")
    try:
        numbers = {name: float(value) for name, value in labels.items() if value is not None}
    except (TypeError, ValueError) as error:
        raise ValueError(f"a label is not a number: {error}") from error
    language = str(known["language"] or SOURCE)
    return Row(
        id=str(known["id"]),
        language=ALIASES.get(language, language),
        text=str(known["text"] or ""),
        split=known["split"],
        labels=numbers,
        method=str(known["method"] or "source"),
        flags=tuple(known["flags"] or ()),
        **whose,
    )


def _write_parquet(place: Path, rows: Sequence[Row]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    traits = sorted({name for row in rows for name in row.labels})
    text = ("id", "language", "text", "split", "method", "model", "prompt")
    columns = [(name, pa.string()) for name in text] + [("flags", pa.list_(pa.string()))]
    if traits:  # Parquet has no empty structs
        columns.append(("labels", pa.struct([(name, pa.float64()) for name in traits])))
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=pa.schema(columns))
    parquet.write_table(table, place)

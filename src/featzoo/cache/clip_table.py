"""The clips of each run, as immutable Parquet tables; merged when read: the newest row of a clip counts.

The newest is the last by name. A name starts with the time in nanoseconds, or with one more than that of the last
existing table, so a run on a host whose clock is slow still counts as newer than those that it could see. It ends with
the XXH3 (64 bits, hex) of the file.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from featzoo.durable import refused, write
from featzoo.errors import DamagedFile
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word

# Length of the checksum in a table's name; names from featzoo 0.1 end with a shorter random number.
CHECK = 16


class Record(NamedTuple):
    """A clip and the digest of its media's content, which is empty without media."""

    clip: Clip
    media: str


def write_records(folder: Path, records: Sequence[Record], forgotten: Sequence[str] = ()) -> Path:
    """Write the clips of one run, and return the new table.

    Args:
        folder: The folder of the tables.
        records: The clips.
        forgotten: Ids of clips in older tables that are removed.

    Raises:
        StoreError: If the folder cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    from featzoo.cache.arrow_columns import table_of

    rows = [_row(record) for record in records]
    rows += [_row(Record(Clip(name), "")) | {"forgotten": True} for name in forgotten]
    table = table_of(rows, _schema())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(folder, error) from error
    before = tables(folder)
    stamp = max(time.time_ns(), stamp_of(before[-1]) + 1 if before else 0)
    image = pyarrow.BufferOutputStream()
    parquet.write_table(table, image)
    content = image.getvalue().to_pybytes()
    place = folder / f"{stamp:020d}-{xxhash.xxh3_64_hexdigest(content)}.parquet"
    write(place, content)
    return place


def tables(folder: Path) -> list[Path]:
    """The tables of all runs, the newest last."""
    return sorted(folder.glob("*.parquet"))


def stamp_of(place: Path) -> int:
    """The number that orders tables by age."""
    digits = place.name.split("-")[0]
    return int(digits) if digits.isdecimal() else 0


def read_records(places: Sequence[Path]) -> dict[str, Record]:
    """All clips by id, each from the last of some tables that names it, without forgotten ones.

    Raises:
        DamagedFile: If a table is damaged.
    """
    return {name: record for name, record in newest_records(places).items() if record is not None}


def newest_records(places: Sequence[Path]) -> dict[str, Record | None]:
    """All clips by id, each from the last of some tables that names it; None for forgotten ones.

    Raises:
        DamagedFile: If a table is damaged.
    """
    found: dict[str, Record | None] = {}
    for place in places:
        found.update(read_table(place))
    return found


def read_table(place: Path) -> dict[str, Record | None]:
    """The clips of one table by id; None for forgotten ones.

    Raises:
        DamagedFile: If the table is damaged.
    """
    from pyarrow import ArrowException

    from featzoo.cache.arrow_columns import rows_of

    try:
        rows = rows_of(_opened(place).read())
        return {row["id"]: None if row.get("forgotten") else _record(row) for row in rows}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, ArrowException) as error:
        raise DamagedFile(f"{place} is damaged: {error}") from error


def read_columns(place: Path, columns: Sequence[str]) -> Any:
    """Some columns of one table, as a pyarrow.Table; a column that it lacks, because it was added later, is null.

    Raises:
        DamagedFile: If the table is damaged.
    """
    import pyarrow as pa

    schema = _schema()
    try:
        file = _opened(place)
        held = file.read([name for name in columns if name in file.schema_arrow.names])
        arrays = [
            held[name].cast(schema.field(name).type)
            if name in held.column_names
            else pa.nulls(len(held), schema.field(name).type)
            for name in columns
        ]
        return pa.table(arrays, schema=pa.schema([schema.field(name) for name in columns]))
    except (OSError, ValueError, KeyError, TypeError, MemoryError, pa.ArrowException) as error:
        raise DamagedFile(f"{place} is damaged: {error}") from error


def no_rows(columns: Sequence[str]) -> Any:
    """A pyarrow.Table of some columns without rows."""
    import pyarrow as pa

    return pa.Table.from_batches([], pa.schema([_schema().field(name) for name in columns]))


def _opened(place: Path) -> Any:
    """A table, compared with the checksum in its name, as a ParquetFile."""
    from pyarrow import BufferReader, parquet

    content = place.read_bytes()
    check = place.stem.rpartition("-")[2]
    if len(check) == CHECK and check != xxhash.xxh3_64_hexdigest(content):
        raise ValueError("it differs from what was written")
    return parquet.ParquetFile(BufferReader(content))


def _schema() -> Any:
    import pyarrow as pa

    word = pa.struct([("text", pa.string()), ("start", pa.float64()), ("end", pa.float64())])
    return pa.schema(
        [
            ("id", pa.string()),
            ("path", pa.string()),
            ("start", pa.float64()),
            ("end", pa.float64()),
            ("split", pa.string()),
            ("labels", pa.map_(pa.string(), pa.float64())),
            ("categories", pa.map_(pa.string(), pa.string())),
            ("words", pa.list_(word)),
            ("problem", pa.string()),
            ("media", pa.string()),
            ("remarks", pa.list_(pa.string())),
            ("files", pa.map_(pa.string(), pa.string())),
            ("forgotten", pa.bool_()),
        ]
    )


def _row(record: Record) -> dict[str, Any]:
    clip = record.clip
    return {
        "id": clip.id,
        "path": str(clip.path) if clip.path else None,
        "start": clip.start,
        "end": clip.end,
        "split": clip.split,
        "labels": list(clip.labels.items()),
        "categories": list(clip.categories.items()),
        "words": [word._asdict() for word in clip.words],
        "problem": clip.problem,
        "media": record.media,
        "remarks": list(clip.remarks),
        "files": sorted(clip.files.items()),
    }


def _record(row: dict[str, Any]) -> Record:
    clip = Clip(
        id=row["id"],
        path=Path(row["path"]) if row["path"] else None,
        start=row["start"],
        end=row["end"],
        words=tuple(Word(**word) for word in row["words"] or ()),
        split=row["split"],
        labels=dict(row["labels"] or ()),
        categories=dict(row.get("categories") or ()),  # added in 0.2
        problem=row["problem"] or "",
        remarks=tuple(row.get("remarks") or ()),  # 0.1 wrote none
        files=dict(row.get("files") or ()),
    )
    return Record(clip, row["media"] or "")


def same(one: Record, other: Record) -> bool:
    """Whether two records are equal; an unknown word time equals itself."""
    return repr(_row(one)) == repr(_row(other))

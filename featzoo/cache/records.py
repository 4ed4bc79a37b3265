"""The clips of each run, as immutable Parquet tables; merged when read, the newest row of a clip wins."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.clips import Clip
from featzoo.errors import StoreError
from featzoo.transcripts import Word


class Record(NamedTuple):
    """A clip and the digest of its media's content, empty where it has none."""

    clip: Clip
    media: str


def write_records(folder: Path, records: Sequence[Record]) -> None:
    """Keep the clips of one run.

    Raises:
        StoreError: If the folder cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist([_row(record) for record in records], schema=_schema())
    place = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.parquet"
    temporary = place.with_name(f".{place.name}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, temporary)
        temporary.replace(place)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from error


def read_records(folder: Path) -> dict[str, Record]:
    """All clips by id, as the newest run that named them left them.

    Raises:
        StoreError: If a table is damaged.
    """
    from pyarrow import parquet

    found: dict[str, Record] = {}
    for place in sorted(folder.glob("*.parquet")):
        try:
            rows = parquet.read_table(place).to_pylist()
        except (OSError, ValueError) as error:
            raise StoreError(f"{place} is damaged: {error}") from error
        for row in rows:
            found[row["id"]] = _record(row)
    return found


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
            ("words", pa.list_(word)),
            ("problem", pa.string()),
            ("media", pa.string()),
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
        "words": [word._asdict() for word in clip.words],
        "problem": clip.problem,
        "media": record.media,
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
        problem=row["problem"] or "",
    )
    return Record(clip, row["media"] or "")


def same(one: Record, other: Record) -> bool:
    """Whether two records say the same; a word time that is not known equals itself."""
    return repr(_row(one)) == repr(_row(other))

"""Parquet import and export: one long table per feature set, with a row per step and a column per feature."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.description import KEY, Description, describe, incoming, parse
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.importing import Account, Arrival, Rows, bring_in
from featzoo.sequence import Array
from featzoo.untrusted import open_parquet, parse_json

# Rows are written and read in blocks of about this many bytes.
BLOCK_BYTES = 32 << 20
FIRST = ("clip", "start", "end")
EMPTY = b"featzoo clips without rows"


def export_parquet(store_path: Path, request: str, path: Path, dry_run: bool = False) -> list[str]:
    """Write a feature set as a table `clip, start, end, <one column per feature>`. Returns a description of it.

    Times are seconds from the clip's start. Rows of more than one dimension give columns of fixed-size lists. The
    schema's metadata holds the set's description under `featzoo`, so nothing is lost when it is imported.

    Args:
        store_path: The store.
        request: A feature set.
        path: The file; an existing one is not overwritten.
        dry_run: Only report what would be written.

    Raises:
        MissingFeatures: If the store does not hold the set.
        StoreError: If the file exists or cannot be written.
    """
    found = FeatureStore(store_path)[request]
    description = describe(found)
    holds = [f"{found.key}: {len(found)} clips x {len(description.names)} columns"]
    return deliver(Outgoing(path, holds, partial(_write, found, description)), dry_run)


def _write(found: FeatureSet, description: Description, path: Path) -> None:
    empty = [clip for clip in found if not len(found[clip])]
    metadata = {KEY.encode(): description.text().encode(), EMPTY: json.dumps(empty).encode()}
    kind = pa.from_numpy_dtype(np.dtype(description.dtype))
    for size in reversed(description.row[:-1]):
        kind = pa.list_(kind, size)
    columns = [("clip", pa.string()), ("start", pa.float64()), ("end", pa.float64())]
    columns += [(name, kind) for name in unique_columns(description.names)]
    schema = pa.schema(columns, metadata)
    with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=["clip"]) as writer:
        for clips in blocks(found, found, description.row_bytes):
            writer.write_table(_table(found, clips, description, schema))


def unique_columns(names: tuple[str, ...]) -> list[str]:
    """Unique column names: a second `f0`, or a feature called `clip`, gets a number."""
    order = dict.fromkeys(FIRST)
    result = []
    for name in names:
        number, free = 2, name
        while free in order:
            number, free = number + 1, f"{name} ({number})"
        order[free] = None
        result.append(free)
    return result


def blocks(found: FeatureSet, clips: Iterable[str], row_bytes: int) -> Iterator[list[str]]:
    """Clips in lists whose features take about `BLOCK_BYTES`.

    Args:
        found: The set.
        clips: Clips of the set.
        row_bytes: Bytes of one row's features.
    """
    waiting: list[str] = []
    size = 0
    for clip in clips:
        waiting.append(clip)
        size += len(found[clip]) * row_bytes
        if size >= BLOCK_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _table(found: FeatureSet, clips: list[str], description: Description, schema: pa.Schema) -> pa.Table:
    sequences = [found[clip] for clip in clips]
    features = np.concatenate([each.features for each in sequences])  # (T, ..., D)
    intervals = np.concatenate([each.intervals for each in sequences])
    rows = np.repeat(np.arange(len(clips)), [len(each) for each in sequences])
    ids = pa.DictionaryArray.from_arrays(pa.array(rows), pa.array(clips, pa.string())).cast(pa.string())
    by_column = np.ascontiguousarray(np.moveaxis(features, -1, 0))  # (D, T, ...)
    columns = [nested(column) for column in by_column]
    return pa.Table.from_arrays([ids, pa.array(intervals[:, 0]), pa.array(intervals[:, 1]), *columns], schema=schema)


def nested(values: Array) -> pa.Array:
    """(T, ...) numbers as an Arrow array of T numbers or fixed-size lists."""
    made = pa.array(values.reshape(-1))
    for size in reversed(values.shape[1:]):
        made = pa.FixedSizeListArray.from_arrays(made, size)
    return made


def import_parquet(path: Path, store_path: Path, name: str | None = None, dry_run: bool = False) -> Account:
    """Import a long table as one feature set with bounded memory.

    Args:
        path: A Parquet file with a column `clip`, consecutive rows for each clip, and features in all other columns
            except `start` and `end` (seconds; without them times are unknown).
        store_path: The store; created if missing.
        name: Name of the set; by default the name in the file, or the file's own.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has another format.
    """
    try:
        with open_parquet(path, FIRST[:1]) as file:
            schema, metadata = file.schema_arrow, file.schema_arrow.metadata or {}
            description = parse(metadata.get(KEY.encode()))
            names = [column for column in schema.names if column not in FIRST]
            if description is not None and len(description.names) != len(names):
                description = None  # columns were added or taken away since
            _check(path, schema, names)
            _together(path, file)
            entries = _entries(file, names, description, parse_json(metadata.get(EMPTY, b"[]")))
            return bring_in(Arrival([incoming(path, description, entries, name)]), store_path, dry_run)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidClips(f"{path} cannot be read as Parquet: {error}") from error


def _check(path: Path, schema: pa.Schema, names: list[str]) -> None:
    if "clip" not in schema.names:
        raise InvalidClips(
            f"{path} has no column 'clip' (it has {', '.join(schema.names[:8])}): rename the column of clip ids"
        )
    if not names:
        raise InvalidClips(f"{path} has no features, which are the columns other than {', '.join(FIRST)}")
    if len(set(names)) < len(names):
        raise InvalidClips(f"{path} has two columns with the same name")
    times = [column for column in ("start", "end") if column in schema.names]
    odd = [column for column in (*names, *times) if _number(schema.field(column).type) is None]
    if odd:
        raise InvalidClips(
            f"{path}: column '{odd[0]}' is {schema.field(odd[0]).type}, not numbers: leave it out, or give seconds"
        )


def _number(kind: pa.DataType) -> np.dtype[Any] | None:
    while pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return np.dtype(kind.to_pandas_dtype()) if plain else None


def _together(path: Path, file: parquet.ParquetFile) -> None:
    """Refuse a table in which the rows of a clip are not consecutive, before anything is stored."""
    seen: set[str] = set()
    last: str | None = None
    for batch in file.iter_batches(columns=["clip"]):
        for clip in _clips(batch):
            if clip == last and clip is not None:
                continue
            if not isinstance(clip, str) or clip in seen:
                raise InvalidClips(
                    f"{path}: clip {clip!r} is {'not together' if clip in seen else 'no text'}: sort the table by clip"
                )
            seen.add(clip)
            last = clip


def _clips(batch: pa.RecordBatch) -> list[Any]:
    """The ids of the rows; a text that rows share stays one text."""
    column = batch.column("clip")
    if not pa.types.is_dictionary(column.type):
        return list(column.to_pylist())
    texts = column.dictionary.to_pylist()
    return [None if number is None else texts[number] for number in column.indices.to_pylist()]


def _entries(
    file: parquet.ParquetFile, names: list[str], description: Description | None, empty: list[str]
) -> Iterator[tuple[str, Callable[[], Rows]]]:
    kinds = [_number(file.schema_arrow.field(column).type) for column in names]
    dtype = np.result_type(*[kind for kind in kinds if kind])
    columns = description.names if description else tuple(names)
    row_bytes = description.row_bytes if description else 8 * (len(names) + 1)
    pieces: list[pa.RecordBatch] = []
    last = ""
    for batch in batches(file, row_bytes):
        ids = np.asarray(_clips(batch), dtype=object)
        starts = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            if pieces and ids[start] != last:
                yield last, partial(_rows, pieces, names, columns, dtype)
                pieces = []
            last = ids[start]
            pieces.append(batch.slice(start, end - start))
    if pieces:
        yield last, partial(_rows, pieces, names, columns, dtype)
    for clip in empty:
        shape = (0, *(description.row if description else (len(names),)))
        yield clip, partial(Rows, np.zeros(shape, dtype), np.zeros((0, 2)), columns)


def batches(
    file: parquet.ParquetFile, row_bytes: int, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The file's rows, in blocks.

    Args:
        file: The open file.
        row_bytes: Approximate bytes of one row.
        columns: Columns to read; by default all.
    """
    # One row group at a time, because Arrow otherwise reads ahead and memory grows with the file.
    for group in range(file.num_row_groups):
        at_once = max(1, BLOCK_BYTES // (8 * row_bytes))
        yield from filter(len, file.iter_batches(at_once, row_groups=[group], columns=columns, use_threads=False))


def _rows(pieces: list[pa.RecordBatch], names: list[str], columns: tuple[str, ...], dtype: np.dtype[Any]) -> Rows:
    table = pa.Table.from_batches(pieces)
    features = np.stack([plain(table.column(name), dtype) for name in names], axis=-1)  # (T, ..., D)
    if not {"start", "end"} <= set(table.column_names):
        return Rows(features, None, columns)
    times = [plain(table.column(name), np.dtype(np.float64)) for name in ("start", "end")]
    return Rows(features, np.stack(times, axis=-1), columns)  # (T, 2)


def plain(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> Array:
    """A column of numbers or fixed-size lists as (T, ...) of one type; missing numbers become NaN.

    Raises:
        ValueError: If numbers are missing and the type has no NaN.
    """
    array = column.combine_chunks()
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        if array.null_count:
            raise ValueError("a row is missing")
        shape.append(array.type.list_size)
        array = array.flatten()
    if array.null_count and dtype.kind != "f":
        raise ValueError(f"values are missing, and {dtype} has no NaN")
    return np.asarray(array.to_numpy(zero_copy_only=False)).astype(dtype).reshape(shape)  # (T, ...)

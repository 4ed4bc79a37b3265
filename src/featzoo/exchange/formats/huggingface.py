"""Hugging Face datasets: a folder of Parquet files with one row per clip, which `load_dataset(folder)` reads.

Parquet files and a README are sufficient, so the `datasets` package is not needed, and the folder can be uploaded to
the Hub unchanged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from featzoo.exchange.formats.parquet import batches, blocks, nested
from featzoo.exchange.importing import Account, Arrival, Rows, bring_in
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.sequence import Array
from featzoo.untrusted import open_parquet
from featzoo.vocabulary import split_name

CARD = """---
configs:
- config_name: default
  data_files:
{files}
---

# {name}

{clips} clips; one row per clip: `clip` (its id), `split`, `text`, `labels`, `features` (T, {row}) {dtype}, `intervals`
(T, 2) in seconds from the clip's start. NaN in features means not observed.

Columns of `features`: {names}

Licence of the extractor: {licence}

    from datasets import load_dataset
    load_dataset("path/of/this/folder")["{split}"].with_format("numpy")[0]["features"]

Written by featzoo; `feat import huggingface` imports it.
"""


def export_huggingface(store_path: Path, request: str, folder: Path, dry_run: bool = False) -> list[str]:
    """Write a feature set as a folder that `datasets.load_dataset(folder)` reads. Returns a description of it.

    Args:
        store_path: The store.
        request: A feature set.
        folder: Folder to create; an existing one is not changed.
        dry_run: Only report what would be written.

    Raises:
        MissingFeatures: If the store does not hold the set.
        StoreError: If the folder exists or cannot be written.
    """
    store = FeatureStore(store_path)
    found, clips = store[request], store.clips()
    description = describe(found)
    members = [clips.get(clip_id, Clip(clip_id)) for clip_id in found]
    # If no clip has a split, all are in `train`, like a data set with a single file on the Hub.
    lone = "unsplit" if any(clip.split for clip in members) else "train"
    splits: dict[str, list[Clip]] = {}
    for clip in members:
        split = split_name(clip.split)
        given = re.sub(r"\W+", "_", clip.split or lone)  # the only characters that the Hub and file names allow
        splits.setdefault("validation" if split == "valid" else split or given, []).append(clip)
    holds = [f"{found.key}: {len(each)} clips in split {split}" for split, each in splits.items()]
    return deliver(Outgoing(folder, holds, partial(_write, found, splits, description)), dry_run)


def _write(found: FeatureSet, splits: dict[str, list[Clip]], description: Description, folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    files = {split: f"data/{split}-00000-of-00001.parquet" for split in splits}
    schema = _schema(description, _label_types([clip for clips in splits.values() for clip in clips]))
    for split, clips in splits.items():
        with parquet.ParquetWriter(folder / files[split], schema, compression="zstd") as writer:
            by_id = {clip.id: clip for clip in clips}
            for block in blocks(found, by_id, description.row_bytes):
                writer.write_table(_table(found, [by_id[clip] for clip in block], schema))
    lines = "\n".join(f"  - split: {split}\n    path: {place}" for split, place in files.items())
    row = ", ".join(map(str, description.row))
    names = ", ".join(f"`{name}`" for name in description.names)
    card = CARD.format(
        files=lines,
        name=found.name,
        clips=len(found),
        row=row,
        dtype=description.dtype,
        names=names,
        licence=description.provenance.get("licence") or "not known",
        split=next(iter(splits)),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def _label_types(clips: Sequence[Clip]) -> dict[str, pa.DataType]:
    """Label to its type, by name: numbers, or text where a clip has a name."""
    found = {name: pa.float64() for clip in clips for name in clip.labels}
    found |= {name: pa.string() for clip in clips for name in clip.categories}
    return dict(sorted(found.items()))


def _labels(clip: Clip, types: pa.StructType) -> dict[str, float | str]:
    """A clip's labels; a number in a column of names is text."""
    numbers = {name: f"{v:g}" if types.field(name).type == pa.string() else v for name, v in clip.labels.items()}
    return {**numbers, **clip.categories}


def _schema(description: Description, labels: Mapping[str, pa.DataType]) -> pa.Schema:
    row = pa.from_numpy_dtype(np.dtype(description.dtype))
    for size in reversed(description.row):
        row = pa.list_(row, size)
    fields = [("clip", pa.string()), ("split", pa.string()), ("text", pa.string())]
    fields += [("labels", pa.struct(list(labels.items())))] if labels else []
    fields += [("features", pa.list_(row)), ("intervals", pa.list_(pa.list_(pa.float64(), 2)))]
    return pa.schema(fields, {KEY.encode(): description.text().encode()})


def _table(found: FeatureSet, clips: Sequence[Clip], schema: pa.Schema) -> pa.Table:
    sequences = [found[clip.id] for clip in clips]
    offsets = pa.array(np.cumsum([0, *map(len, sequences)]), pa.int32())
    columns = {
        "clip": pa.array([clip.id for clip in clips], pa.string()),
        "split": pa.array([clip.split for clip in clips], pa.string()),
        "text": pa.array([clip.text for clip in clips], pa.string()),
        "features": pa.ListArray.from_arrays(offsets, nested(np.concatenate([each.features for each in sequences]))),
        "intervals": pa.ListArray.from_arrays(offsets, nested(np.concatenate([each.intervals for each in sequences]))),
    }
    if "labels" in schema.names:
        types = schema.field("labels").type
        columns["labels"] = pa.array([_labels(clip, types) for clip in clips], types)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def import_huggingface(folder: Path, store_path: Path, name: str | None = None, dry_run: bool = False) -> Account:
    """Import the folder of a Hugging Face data set: a feature set, and clips with split, labels and words.

    Args:
        folder: Folder with .parquet files of columns `clip` and `features` (lists of rows), and optionally
            `intervals`, `split`, `labels` (numbers or names, by label) and `text`. Without `split`, files called
            `train-...`, `validation-...` or `test-...` give it.
        store_path: The store; created if missing.
        name: Name of the set; by default the name in the files, or the folder's.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the folder has another format.
    """
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise InvalidClips(f"{folder} contains no .parquet files: convert a folder from save_to_disk with to_parquet")
    try:
        schema = parquet.read_schema(files[0])
        lacking = {"clip", "features"} - set(schema.names)
        if lacking:
            raise InvalidClips(f"{files[0]} has no column '{lacking.pop()}' (it has {', '.join(schema.names)})")
        description = parse((schema.metadata or {}).get(KEY.encode()))
        clips = [clip for file in files for clip in _clips(file)]
        entries = _entries(files, description)
        return bring_in(Arrival([incoming(folder, description, entries, name)], clips), store_path, dry_run)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidClips(f"{folder} cannot be read: {error}") from error


def _clips(file: Path) -> Iterator[Clip]:
    """The clips in the file; empty if it holds only their ids."""
    said = [name for name in ("split", "labels", "text") if name in parquet.read_schema(file).names]
    named = split_name(file.name.split("-")[0].removesuffix(".parquet"))
    with open_parquet(file) as opened:
        rows = opened.read(columns=["clip", *said]).to_pylist()
    for row in rows:
        labels: Any = row.get("labels") if isinstance(row.get("labels"), dict) else {}
        given: Any = row["split"] if "split" in said else named
        split = split_name(given) or given
        kept = {str(key): float(value) for key, value in labels.items() if isinstance(value, int | float)}
        names = {str(key): value for key, value in labels.items() if isinstance(value, str)}
        words = words_of(row.get("text") or "")
        if split or kept or names or words:
            kept = {label: value for label, value in kept.items() if not math.isnan(value)}
            yield Clip(str(row["clip"]), split=split, labels=kept, categories=names, words=words)


def _entries(files: Sequence[Path], description: Description | None) -> Iterator[tuple[str, Callable[[], Rows]]]:
    names = description.names if description else ()
    for path in files:
        with open_parquet(path) as file:
            whole = sum(file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups))
            row_bytes = whole // max(1, file.metadata.num_rows) + 1
            wanted = [name for name in ("clip", "features", "intervals") if name in file.schema_arrow.names]
            for batch in batches(file, row_bytes, wanted):
                if batch.column("clip").null_count:
                    raise InvalidClips(f"{path}: a row has no clip id")
                for number, clip in enumerate(batch.column("clip").to_pylist()):
                    yield str(clip), partial(_rows, batch.slice(number, 1), names)


def _rows(row: pa.RecordBatch, names: tuple[str, ...]) -> Rows:
    timed = "intervals" in row.schema.names and row.column("intervals").null_count == 0
    return Rows(_array(row.column("features")), _array(row.column("intervals")) if timed else None, names)


def _array(cell: pa.Array) -> Array:
    """One cell of lists as an array; all lists of a level must have the same length."""
    shape: list[int] = []
    while pa.types.is_list(cell.type) or pa.types.is_large_list(cell.type) or pa.types.is_fixed_size_list(cell.type):
        if cell.null_count:
            raise ValueError("a row is missing")
        if pa.types.is_fixed_size_list(cell.type):
            shape.append(cell.type.list_size)
        else:
            lengths = set(cell.value_lengths().to_pylist()) or {0}
            if len(lengths) > 1:
                raise ValueError(f"its rows have {len(lengths)} different lengths")
            shape.append(lengths.pop())
        cell = cell.flatten()
    if not (pa.types.is_floating(cell.type) or pa.types.is_integer(cell.type) or pa.types.is_boolean(cell.type)):
        raise ValueError(f"features must be lists of numbers, these are of {cell.type}")
    if cell.null_count and not pa.types.is_floating(cell.type):
        raise ValueError(f"values are missing, and {cell.type} has no NaN")
    return np.asarray(cell.to_numpy(zero_copy_only=False)).reshape(shape)

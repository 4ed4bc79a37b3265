"""CSV export: a row for each step, for spreadsheets and statistics programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import StoreError
from featzoo.exchange.description import Description, describe
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.formats.parquet import FIRST, blocks, unique_columns
from featzoo.media.clip import Clip
from featzoo.wording import count


def export_csv(store_path: Path, request: str, path: Path, labels: bool = False, dry_run: bool = False) -> list[str]:
    """Write a feature set as a table `clip, start, end, <one column per feature>`. Returns a description of it.

    Times are seconds from the clip's start. A cell is empty where a value was not observed. Numbers have as many digits
    as their type needs to be read back exactly.

    Args:
        store_path: The store.
        request: A feature set.
        path: The file; an existing one is not overwritten.
        labels: Add columns for the split and the labels of each clip, after `end`.
        dry_run: Only report what would be written.

    Raises:
        MissingFeatures: If the store does not hold the set.
        StoreError: If its rows have more than one dimension, or the file exists or cannot be written.
    """
    store = FeatureStore(store_path)
    found = store[request]
    description = describe(found)
    if len(description.row) > 1:
        shape = " x ".join(map(str, description.row))
        raise StoreError(f"rows of {found.key} are {shape} numbers, which CSV has no cells for: export npz or parquet")
    clips = store.clips() if labels else {}
    columns = list(dict.fromkeys(name for clip in clips.values() for name in (*clip.labels, *clip.categories)))
    more = ["split", *columns] if labels else []
    holds = [f"{found.key}: {count(len(found), 'clip')} x {count(len(description.names), 'column')}"]
    return deliver(Outgoing(path, holds, partial(_write, found, description, clips, more)), dry_run)


def _write(found: FeatureSet, description: Description, clips: Mapping[str, Clip], more: list[str], path: Path) -> None:
    names = unique_columns((*more, *description.names))
    kind = pa.from_numpy_dtype(np.dtype(description.dtype))
    times = [(name, pa.string() if name == "clip" else pa.float64()) for name in FIRST]
    kinds = [pa.string()] * len(more) + [kind] * len(description.names)
    schema = pa.schema(times + list(zip(names, kinds, strict=True)))
    with csv.CSVWriter(path, schema, write_options=csv.WriteOptions(quoting_style="needed")) as writer:
        for ids in blocks(found, found, description.row_bytes):
            writer.write_table(_table(found, ids, clips, more, schema))


def _table(
    found: FeatureSet, ids: list[str], clips: Mapping[str, Clip], more: list[str], schema: pa.Schema
) -> pa.Table:
    sequences = [found[clip] for clip in ids]
    features = np.concatenate([each.features for each in sequences])  # (T, D)
    intervals = np.concatenate([each.intervals for each in sequences])  # (T, 2)
    steps = [len(each) for each in sequences]
    repeated = [np.repeat(np.array(ids, dtype=object), steps)]
    described = [np.repeat(np.array([_cell(clips.get(i), name) for i in ids], dtype=object), steps) for name in more]
    columns = [*repeated, *intervals.T, *described, *features.T]
    arrays = [pa.array(each, kind, from_pandas=True) for each, kind in zip(columns, schema.types, strict=True)]
    return pa.table(arrays, schema=schema)


def _cell(clip: Clip | None, column: str) -> str | None:
    """A clip's split, name or number as text."""
    if clip is None:
        return None
    if column == "split":
        return clip.split
    value = clip.labels.get(column, math.nan)
    return clip.categories.get(column) or (None if math.isnan(value) else repr(float(value)))

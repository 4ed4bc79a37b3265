"""The store as one table: a row for each clip and feature set, with the state of the features, split and labels.

docs/reference/store-format.md lists the columns. The table is made from the clip tables and the sets when it is asked
for, so it is never out of date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from featzoo.cache.arrow_columns import numbers, texts
from featzoo.cache.conditions import columns_of, expression
from featzoo.cache.label_columns import label_columns
from featzoo.errors import InvalidOption, StoreError, suggestion

if TYPE_CHECKING:
    import pyarrow as pa

    from featzoo.cache.featureset import FeatureSet
    from featzoo.cache.store import FeatureStore
    from featzoo.sequence import Array

RECORDED = ("path", "start", "end", "split", "labels", "categories", "media")


def query(
    store: FeatureStore, where: str = "", columns: Sequence[str] = (), sets: Sequence[FeatureSet] | None = None
) -> pa.Table:
    """The rows of the view that a condition chooses, sorted by clip and set.

    Args:
        store: A feature store.
        where: See `conditions`; empty for all rows.
        columns: Columns to return; all by default.
        sets: Feature sets; all by default.

    Raises:
        InvalidOption: If the condition is not one, or a column does not exist.
        DamagedFile: If a clip table is damaged, or the clips have over 1,000 different labels.
    """
    import pyarrow as pa

    early = "seconds" in columns_of(where)
    clips = _with_seconds(_clips(store), store) if early else _clips(store)
    parts = list(_by_set(clips, store.sets() if sets is None else sets))
    if where:
        chosen = expression(where, {field.name: field.type for field in parts[0].schema})
        parts = [part.filter(chosen) for part in parts]
    found = pa.concat_tables(parts).sort_by([("clip", "ascending"), ("set", "ascending")])
    for name in columns:
        if name not in found.column_names:
            raise InvalidOption(f"the store has no column '{name}'{suggestion(name, found.column_names)}")
    if not early and (not columns or "seconds" in columns):
        found = _with_seconds(found, store)
    return found.select(list(columns)) if columns else found


def _clips(store: FeatureStore) -> pa.Table:
    """One row for each clip that is recorded or stored, unless it was forgotten."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows, forgotten = store.catalogue.columns(RECORDED)
    known = pa.chunked_array([*rows["id"].chunks, *forgotten.chunks], pa.string())
    stored = pa.chunked_array([texts(found.ids()) for found in store.sets()], pa.string())
    others = pc.unique(stored.filter(pc.invert(pc.is_in(stored, value_set=known))))
    rows = pa.concat_tables([rows, pa.table({"id": others})], promote_options="default")
    labels = label_columns(rows["labels"].combine_chunks(), rows["categories"].combine_chunks())
    columns = {
        "clip": rows["id"],
        "split": rows["split"],
        "speaker": labels.pop("speaker", pa.nulls(len(rows), pa.string())),
        "seconds": pc.subtract(rows["end"], pc.fill_null(rows["start"], 0.0)),
        "media": pc.if_else(pc.equal(rows["media"], ""), None, rows["media"]),
        "path": rows["path"],
    }
    for name, column in labels.items():
        columns[f"{name} (label)" if name in {*columns, "set", "state"} else name] = column
    return pa.table(columns)


def _by_set(clips: pa.Table, sets: Sequence[FeatureSet]) -> Iterator[pa.Table]:
    """The clips with each set and the state in it; once without them if there are no sets."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not sets:
        nothing = pa.nulls(len(clips), pa.string())
        yield clips.add_column(1, "set", nothing).add_column(2, "state", nothing)
    for found in sets:
        stored = pc.is_in(clips["clip"], value_set=texts(found.ids()))
        failed = pc.is_in(clips["clip"], value_set=texts([failure.clip for failure in found.failures()]))
        state = pc.if_else(stored, "stored", pc.if_else(failed, "failed", "missing"))
        yield clips.add_column(1, "set", pa.repeat(found.key, len(clips))).add_column(2, "state", state)


def _with_seconds(rows: pa.Table, store: FeatureStore) -> pa.Table:
    """The rows with the durations that are not recorded, from the times of the clips' features."""
    import pyarrow.compute as pc

    ids = pc.unique(rows["clip"].filter(pc.is_null(rows["seconds"])))
    ends = _ends(store, ids.to_pylist())
    measured = pc.take(numbers(ends, ~np.isnan(ends)), pc.index_in(rows["clip"], value_set=ids))
    place = rows.column_names.index("seconds")
    return rows.set_column(place, "seconds", pc.coalesce(rows["seconds"], measured))


def _ends(store: FeatureStore, clip_ids: Sequence[str]) -> Array:
    """The end of the last row of some clips, in seconds; NaN where no set has it.

    Every clip that is read is compared with its checksum, so the smallest sets are tried first.
    """
    ends = np.full(len(clip_ids), np.nan)
    for found in sorted(store.sets(), key=lambda found: found.index.size()):
        for number in np.flatnonzero(np.isnan(ends)).tolist():
            if clip_ids[number] in found:
                with suppress(StoreError):  # damaged: another set may have the clip
                    times = found[clip_ids[number]].intervals[:, 1]
                    ends[number] = np.max(times[~np.isnan(times)], initial=-np.inf)
        ends[np.isinf(ends)] = np.nan
    return ends

"""The catalogue of clips as Arrow columns, without a Python object for each clip: a store may hold millions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from featzoo.cache.arrow_columns import numbers
from featzoo.cache.clip_table import no_rows, read_columns

if TYPE_CHECKING:
    import pyarrow as pa


class ClipColumns(NamedTuple):
    """The newest row of each clip that is recorded, and the ids of those that were forgotten."""

    rows: pa.Table
    forgotten: pa.ChunkedArray


def clip_columns(places: Sequence[Path], columns: Sequence[str] = ()) -> ClipColumns:
    """Each clip once, from the last of some tables that names it.

    Args:
        places: Clip tables, the newest last.
        columns: Columns of the rows, beside `id`.

    Raises:
        DamagedFile: If a table is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = ["id", "forgotten", *columns]
    whole = pa.concat_tables([no_rows(wanted), *(read_columns(place, wanted) for place in places)])
    if pc.count_distinct(whole["id"]).as_py() < len(whole):
        numbered = whole.select(["id"]).append_column("row", numbers(np.arange(len(whole))))
        last = numbered.group_by("id").aggregate([("row", "max")])["row_max"]
        whole = whole.take(last.take(pc.sort_indices(last)))
    gone = whole["forgotten"]  # null in tables of featzoo 0.1
    kept = whole.filter(pc.or_kleene(pc.is_null(gone), pc.invert(gone)))
    return ClipColumns(kept.drop_columns(["forgotten"]), whole["id"].filter(gone))

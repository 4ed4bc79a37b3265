"""Labels of clips as columns: one for each name that any clip has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from featzoo.cache.arrow_columns import numbers
from featzoo.errors import DamagedFile

if TYPE_CHECKING:
    import pyarrow as pa

# A store with more names is refused: they are probably values.
MOST = 1000


def label_columns(labels: pa.MapArray, categories: pa.MapArray) -> dict[str, pa.Array]:
    """The columns by name, sorted; null for clips without the label, and for NaN.

    A name that has numbers for some clips and texts for others becomes two columns: `name` and `name (text)`.

    Args:
        labels: Labels that are numbers, of each clip.
        categories: Labels that are texts, of each clip.

    Raises:
        DamagedFile: If there are more than 1,000 names.
    """
    import pyarrow.compute as pc

    values, names = _spread(labels), _spread(categories)
    found = {name: pc.if_else(pc.is_nan(column), None, column) for name, column in values.items()}
    found |= {f"{name} (text)" if name in values else name: column for name, column in names.items()}
    return dict(sorted(found.items()))


def _spread(maps: pa.MapArray) -> dict[str, pa.Array]:
    import pyarrow.compute as pc

    offsets = np.asarray(maps.offsets)
    keys = maps.keys.slice(offsets[0], offsets[-1] - offsets[0]).dictionary_encode()
    if len(keys.dictionary) > MOST:
        raise DamagedFile(f"the clips have {len(keys.dictionary):,} different labels: at most {MOST:,} fit a table")
    clips = np.repeat(np.arange(len(maps)), np.diff(offsets))
    codes = np.asarray(keys.indices)
    by_name = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes, minlength=len(keys.dictionary))))
    columns = {}
    for name, places in zip(keys.dictionary.to_pylist(), by_name, strict=False):
        # Where each clip's value is among the items; none for most clips of a rare label.
        chosen = np.full(len(maps), -1, np.int64)
        chosen[clips[places]] = offsets[0] + places
        columns[name] = pc.take(maps.items, numbers(chosen, chosen >= 0))
    return columns

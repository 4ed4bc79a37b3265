"""A feature set as a pandas frame: one row for each clip, or each row of each clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from featzoo.errors import InvalidOption
from featzoo.extractors.pooling import Pooling, pooled

if TYPE_CHECKING:
    import pandas

    from featzoo.cache.featureset import FeatureSet


def frame_of(found: FeatureSet, pool: Pooling | None, labels: bool) -> pandas.DataFrame:
    """A feature set as a frame.

    Args:
        found: The set.
        pool: Statistic over a clip's rows, ignoring NaN: one row for each clip, by its id. None gives every row, by
            clip, start and end.
        labels: Put the clips' split, names and labels before the features; only with `pool`.

    Raises:
        InvalidOption: If labels are asked for without pooling, or the features are integers and cannot be pooled.
        MissingPackage: If pandas is not installed.
    """
    from featzoo.weights.imports import require

    pandas = require("pandas", "audformat")
    if pool is None and labels:
        raise InvalidOption("labels are of a clip: give pool='mean', or labels=False")
    rows: list[Any] = []
    index: list[Any] = []
    for clip_id in found:
        sequence = found[clip_id] if pool is None else pooled(found[clip_id], pool, None, found.name)
        flat = sequence.features.reshape(len(sequence), -1)  # (T, D)
        rows.append(flat)
        index += [clip_id] if pool is not None else [(clip_id, *time) for time in sequence.intervals.tolist()]
    data = np.concatenate(rows) if rows else np.empty((0, len(found.names)))
    columns = list(found.names) if data.shape[1] == len(found.names) else [f"{i}" for i in range(data.shape[1])]
    if pool is None:
        places = pandas.MultiIndex.from_tuples(index, names=["clip", "start", "end"])
        return pandas.DataFrame(data, index=places, columns=columns)
    frame = pandas.DataFrame(data, index=pandas.Index(index, name="clip"), columns=columns)
    if labels:
        clips = found.store.clips()
        about = [clips.get(clip_id) for clip_id in index]
        told = pandas.DataFrame(
            [{"split": c.split, **c.categories, **c.labels} if c else {} for c in about], index=frame.index
        )
        frame = told.join(frame, lsuffix=" (label)") if len(told.columns) else frame
    return frame

"""`feat check`: compares every byte of the store with the digests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.shard import Header, VanishedShard, clip_digest, mapped, read_header
from featzoo.cache.store import FeatureStore
from featzoo.durable import move
from featzoo.errors import StoreError
from featzoo.sequence import Array

# `repair` moves damaged shards to this folder instead of deleting them.
ASIDE = "damaged"


class Damage(NamedTuple):
    """A damaged shard, and what is wrong with it."""

    key: str
    shard: Path
    problem: str


def check_store(store: FeatureStore, repair: bool = False) -> Iterator[Damage]:
    """Read every shard of every set and compare each clip with its digest.

    Args:
        store: A feature store.
        repair: Move damaged shards to the set's folder `damaged`; the next `feat extract` computes
            their clips again.

    Yields:
        Each damaged shard.

    Raises:
        StoreError: If a damaged shard cannot be moved.
    """
    for found in store.sets():
        for place in sorted((found.folder / "shards").glob("*.h5")):
            try:
                problem = check_shard(place, found)
            except VanishedShard:
                continue  # packed meanwhile, into one that is also checked or was just verified
            if problem:
                yield Damage(found.key, place, problem)
                if repair:
                    _set_aside(place, found)


def check_shard(place: Path, found: FeatureSet) -> str:
    """A description of a shard's damage; empty for an intact shard.

    Raises:
        VanishedShard: If it is gone.
    """
    try:
        header = read_header(place)
        features, intervals = mapped(place, header)
    except VanishedShard:
        raise
    except StoreError as error:
        return str(error)
    offsets = header.offsets
    counts = {len(header.clip_ids), len(header.sources), len(header.digests), len(offsets) - 1}
    if len(counts) != 1 or offsets[0] != 0 or bool((np.diff(offsets) < 0).any()):
        return "its tables of clips do not match each other"
    kind = found.kind
    if kind is not None and kind != (header.names, np.dtype(header.dtype), header.tail):
        return f"its rows are {header.tail} {header.dtype}, those of the set {kind[2]} {kind[1]}, or columns differ"
    return _check_clips(header, features, intervals)


def _check_clips(header: Header, features: Array, intervals: Array) -> str:
    if bool((intervals[:, 1] < intervals[:, 0]).any()):
        return "an interval ends before it starts"
    for number, clip_id in enumerate(header.clip_ids):
        rows = slice(int(header.offsets[number]), int(header.offsets[number + 1]))
        if clip_digest(features[rows], intervals[rows]) != header.digests[number]:
            return f"the bytes of '{clip_id}' differ from those that were written"
    return ""


def _set_aside(place: Path, found: FeatureSet) -> None:
    move(place, found.folder / ASIDE / place.name)
    found.index.refresh()

"""`feat check`: compares every byte of the store with the digests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.shard import VanishedShard
from featzoo.cache.shard_reader import damage_of, read_header
from featzoo.cache.store import FeatureStore
from featzoo.durable import move
from featzoo.errors import DamagedShard, StoreError

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
    except VanishedShard:
        raise
    except StoreError as error:
        return str(error)
    kind = found.kind
    if kind is not None and kind != (header.names, np.dtype(header.dtype), header.tail):
        return f"its rows are {header.tail} {header.dtype}, those of the set {kind[2]} {kind[1]}, or columns differ"
    try:
        return damage_of(place, header)
    except DamagedShard as error:
        return str(error)


def _set_aside(place: Path, found: FeatureSet) -> None:
    move(place, found.folder / ASIDE / place.name)
    found.index.refresh()

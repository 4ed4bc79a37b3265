"""`feat check`: compares every byte of the store with the digests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from featzoo.cache.check_files import check_files, check_set_files
from featzoo.cache.damage import Damage, set_aside
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.shard import VanishedShard
from featzoo.cache.shard_reader import damage_of, read_header
from featzoo.cache.store import FeatureStore
from featzoo.errors import DamagedShard, NewerFormat


def check_store(store: FeatureStore, repair: bool = False) -> Iterator[Damage]:
    """Read every file of a store and compare it with its checksums, and every clip with its digest.

    Args:
        store: A feature store.
        repair: Move damaged files to a folder `damaged`; the next `feat extract` computes their clips again, or
            records them again.

    Yields:
        Each damaged file, and each of a newer format, which stays.

    Raises:
        StoreError: If a damaged file cannot be moved.
    """
    yield from check_files(store, repair)
    for found in store.sets():
        yield from check_set_files(found, repair)
        for place in sorted((found.folder / "shards").glob("*.h5")):
            try:
                damage = Damage(found.key, place, check_shard(place, found))
            except VanishedShard:
                continue  # packed meanwhile, into one that is also checked or was just verified
            except NewerFormat as error:
                damage = Damage(found.key, place, str(error), newer=True)
            if damage.problem:
                yield damage
                if repair:
                    set_aside(damage, found.folder)
                    found.index.refresh()


def check_shard(place: Path, found: FeatureSet) -> str:
    """A description of a shard's damage; empty for an intact shard.

    Raises:
        VanishedShard: If it no longer exists.
        NewerFormat: If a later featzoo wrote it.
    """
    try:
        header = read_header(place)
    except DamagedShard as error:
        return str(error)
    kind = found.kind
    if kind is not None and kind != (header.names, np.dtype(header.dtype), header.tail):
        return f"its rows are {header.tail} {header.dtype}, those of the set {kind[2]} {kind[1]}, or columns differ"
    try:
        return damage_of(place, header)
    except DamagedShard as error:
        return str(error)

"""Checks the files of a store beside its shards: each is compared with its own checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from featzoo import documents
from featzoo.cache.clip_table import read_table, tables
from featzoo.cache.damage import Damage, set_aside
from featzoo.cache.failures import read_failure
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.index_file import SUFFIX, check_index
from featzoo.cache.marker import NAME, read_marker, write_marker
from featzoo.cache.merged import read_note
from featzoo.cache.store import FeatureStore
from featzoo.errors import DamagedFile, NewerFormat


def check_marker(folder: Path, repair: bool = False) -> Iterator[Damage]:
    """Check `STORE.json`, without which a store cannot be opened.

    Args:
        folder: The folder of the store.
        repair: Set a damaged file aside, and write it again.

    Yields:
        The damage, if any.

    Raises:
        StoreError: If the folder is not a store, has a newer format, or cannot be written.
    """
    try:
        read_marker(folder)
    except DamagedFile as error:
        damage = Damage("", folder / NAME, str(error))
        yield damage
        if repair:
            set_aside(damage, folder)
            write_marker(folder)


def check_files(store: FeatureStore, repair: bool = False) -> Iterator[Damage]:
    """Check the files of a store that are not in a feature set, and the `set.json` of each set.

    Args:
        store: A feature store.
        repair: Set damaged files aside.

    Yields:
        Each damaged file.

    Raises:
        StoreError: If a damaged file cannot be moved.
    """
    index = store.path / "index"
    found = [
        *_damaged("", sorted(index.glob(f"*{SUFFIX}")), check_index),
        *_damaged("", sorted(index.glob("digests-*.json")), _check_digests),
        *_damaged("", tables(store.path / "clips"), read_table),
    ]
    for damage in found:
        yield damage
        if repair:
            set_aside(damage, store.path)
    store.sets()
    for place, error in list(store.bad.items()):
        damage = Damage(place.parent.name, place, str(error), isinstance(error, NewerFormat))
        yield damage
        if repair:
            set_aside(damage, place.parent)


def check_set_files(found: FeatureSet, repair: bool = False) -> Iterator[Damage]:
    """Check the recorded failures and notes of merged shards of a set. Like `check_files`."""
    damaged = [
        *_damaged(found.key, sorted((found.folder / "failures").glob("*.json")), read_failure),
        *_damaged(found.key, sorted((found.folder / "merged").glob("*.json")), read_note),
    ]
    for damage in damaged:
        yield damage
        if repair:
            set_aside(damage, found.folder)


def _damaged(key: str, places: list[Path], read: Callable[[Path], object]) -> Iterator[Damage]:
    for place in places:
        try:
            read(place)
        except FileNotFoundError:
            continue  # deleted meanwhile
        except NewerFormat as error:
            yield Damage(key, place, str(error), newer=True)
        except (OSError, DamagedFile) as error:
            yield Damage(key, place, str(error))


def _check_digests(place: Path) -> None:
    # Those of featzoo 0.1 have no checksum, and are not read.
    if not place.read_bytes().startswith(b'{"/'):
        documents.read(place)

"""`feat gc`: finds unused data in a store, and deletes it only on request.

A stored sequence is used if reading its clip returns it: it matches the clip's media, segment and words as the last run
recorded them or, if no sequence matches, it is the newest. All sequences of a clip that no run has recorded, or that
was recorded without its media, are used, because they may match again. Sequences of forgotten clips are not used.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import uuid4

import numpy as np

from featzoo.cache.copies import Copies
from featzoo.cache.damage import ASIDE
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.index import Place
from featzoo.cache.index_file import SUFFIX
from featzoo.cache.merged import merged_shards, note_merged
from featzoo.cache.pack import GRACE_SECONDS, entries_of, sweep, sweepable
from featzoo.cache.shard import VanishedShard
from featzoo.cache.shard_reader import read_header
from featzoo.cache.store import FeatureStore
from featzoo.durable import move, remove
from featzoo.errors import DamagedFile, DamagedShard, StoreError

# Unfinished files older than this are no longer being written.
ABANDONED_SECONDS = 86400.0
# What frozen layers gave in trainings, in a folder that trainings fill; nothing has read it for so long.
FROZEN = "frozen"
FROZEN_SECONDS = 30 * ABANDONED_SECONDS
# Feature sets that are being deleted, in a folder that readers ignore.
DELETED = ".deleted"
# The files that featzoo writes into the folder of a set.
WRITTEN = ("set.json", "shards/*.h5", "failures/*.json", "merged/*.json", f"{ASIDE}/*", ".*.tmp", "*/.*.tmp")


class Garbage(NamedTuple):
    """A piece of unused data.

    Attributes:
        kind: rows (of one shard), forgotten (rows of forgotten clips), merged, failure, aside, temporary, index, frozen
            (outputs of frozen layers) or set.
        key: The feature set; empty for data that belongs to no set.
        place: The file or folder.
        size: Bytes that deleting it frees.
        clips: The clips of the sequences or failures.
    """

    kind: Literal["rows", "forgotten", "merged", "failure", "aside", "temporary", "index", "frozen", "set"]
    key: str
    place: Path
    size: int
    clips: Sequence[str] = ()


def find_garbage(
    store: FeatureStore, sets: Collection[str] = (), superseded: bool = False, grace: float = GRACE_SECONDS
) -> Iterator[Garbage]:
    """Find unused data in a store, without changing it.

    Args:
        store: A feature store.
        sets: Feature sets to delete as a whole: keys, names or names with options.
        superseded: Delete sets as a whole of which the store holds a higher version with the same options and clips.
        grace: Seconds for which merged shards stay, for readers that have them mapped.

    Yields:
        Each piece, set by set.

    Raises:
        StoreError: If a set to delete holds files that featzoo did not write, or a record of clips is damaged.
        MissingFeatures: If a set to delete does not exist.
    """
    whole = {store[request].key for request in sets}
    if superseded:
        whole |= {found.key for found in store.sets() if _replaced(found, store)}
    for found in store.sets():
        if found.key in whole:
            yield Garbage("set", found.key, found.folder, _size_of_set(found.folder), found.ids())
            continue
        unused = _unused(store, found)
        for shard, places in unused.items():
            yield from _rows(store, found, shard, places)
        for place in sweepable(found, grace, partial(_is_used, store, found)):
            yield Garbage("merged", found.key, place, place.stat().st_size)
        for failure in found.failures():
            if found.holds(failure.clip, failure.source) or failure.clip in store.catalogue.forgotten():
                yield Garbage("failure", found.key, found.folder / "failures", 0, [failure.clip])
        for place in sorted((found.folder / ASIDE).glob("*")):
            if place.suffix == ".json" or _recovered(place, found):
                yield Garbage("aside", found.key, place, place.stat().st_size)
    yield from _loose(store)


def remove_garbage(store: FeatureStore, garbage: Sequence[Garbage], grace: float = GRACE_SECONDS) -> None:
    """Delete data from `find_garbage` that is still unused. If killed at any moment, no used data is lost.

    A shard with some used sequences is rewritten without the others and verified; the old one is deleted by the next
    `feat gc` after its `grace` has passed.

    Raises:
        StoreError: If used data cannot be read (repair the store first), or the store cannot be written.
    """
    shards: dict[str, set[str]] = defaultdict(set)
    for each in garbage:
        if each.kind in ("rows", "forgotten", "merged"):
            shards[each.key].add("" if each.kind == "merged" else each.place.name)
        elif each.kind == "failure":
            store[each.key].settle(each.clips)
        elif each.kind == "set":
            _delete_set(store, each.place)
        else:
            remove(each.place)
    for key, names in shards.items():
        _shrink(store, store[key], names - {""}, grace)


# Sequences


def _unused(store: FeatureStore, found: FeatureSet) -> dict[str, list[Place]]:
    """Stored sequences that no read returns, by shard. Merged shards still in their grace period are ignored."""
    found.index.refresh()
    merged = merged_shards(found)
    unused: dict[str, list[Place]] = defaultdict(list)
    forgotten = store.catalogue.forgotten()
    for clip_id in sorted({*found.index.repeated(), *(clip_id for clip_id in found.ids() if clip_id in forgotten)}):
        places = [place for place in found.index.places(clip_id) if place.shard not in merged]
        kept = _kept(store, found, clip_id, places)
        for place in places:
            if place not in kept:
                unused[place.shard].append(place)
    return unused


def _kept(store: FeatureStore, found: FeatureSet, clip_id: str, places: list[Place]) -> Collection[Place]:
    if clip_id in store.catalogue.forgotten():
        return []
    # Of several copies with the same source, the newest.
    newest = {place.source: place for place in places}
    if len(newest) < 2:
        return newest.values()
    record = store.records().get(clip_id)
    if record is None or (record.clip.path and not record.media and {"audio", "video"} & {*found.reads}):
        return newest.values()
    current = store.source(clip_id, found.reads)
    return [newest[current] if current in newest else places[-1]]


def _is_used(store: FeatureStore, found: FeatureSet, clip_id: str, source: str) -> bool:
    return source in {place.source for place in _kept(store, found, clip_id, found.index.places(clip_id))}


def _rows(store: FeatureStore, found: FeatureSet, shard: str, places: list[Place]) -> Iterator[Garbage]:
    size, clips = _weigh(found, shard, places)
    forgotten = [clip for clip in clips if clip in store.catalogue.forgotten()]
    of_forgotten = size * len(forgotten) // len(clips)
    place = found.index.path(shard)
    if forgotten:
        yield Garbage("forgotten", found.key, place, of_forgotten, forgotten)
    if len(forgotten) < len(clips):
        yield Garbage("rows", found.key, place, size - of_forgotten, [c for c in clips if c not in forgotten])


def _weigh(found: FeatureSet, shard: str, places: list[Place]) -> tuple[int, list[str]]:
    """The bytes of some sequences of a shard, and their clips."""
    layout = found.index.header(shard)
    row = int(np.prod(layout.tail)) * np.dtype(layout.dtype).itemsize + 16
    rows = sum(int(layout.offsets[place.number + 1] - layout.offsets[place.number]) for place in places)
    clip_ids = read_header(found.index.path(shard)).clip_ids
    return rows * row, [clip_ids[place.number] for place in places]


def _shrink(store: FeatureStore, found: FeatureSet, shards: Collection[str], grace: float) -> None:
    """Rewrite shards without unused sequences, and delete shards that have been replaced."""
    written = []
    for shard, places in _unused(store, found).items():
        if shard not in shards:
            continue
        numbers = {place.number for place in places}
        with suppress(VanishedShard):  # another process is packing this set: leave it to the next `feat gc`
            _verify_kept(store, found, shard, numbers)
            kept = [e for number, e in enumerate(entries_of(found.index.path(shard))) if number not in numbers]
            if kept:
                found.put(kept, found.index.header(shard).created)
            written.append(shard)
    if written:
        note_merged(found, written)
    sweep(found, grace, partial(_is_used, store, found))


def _verify_kept(store: FeatureStore, found: FeatureSet, shard: str, numbers: Collection[int]) -> None:
    """Check that the kept copies of some clips can be read, before other copies are deleted.

    Raises:
        StoreError: If their bytes differ from those that were written.
    """
    clip_ids = read_header(found.index.path(shard)).clip_ids
    merged, copies = merged_shards(found), Copies(found)
    for clip_id in {clip_ids[number] for number in numbers}:
        places = [place for place in found.index.places(clip_id) if place.shard not in merged]
        for place in _kept(store, found, clip_id, places):
            problem = copies.damage(place, clip_id)
            if problem:
                raise DamagedShard(f"{problem}. Repair the store first")


# Sets and loose files


def _replaced(found: FeatureSet, store: FeatureStore) -> bool:
    """Whether the store holds a higher version of a set, with the same options and at least its clips."""
    return any(
        (other.name, other.options, other.reads) == (found.name, found.options, found.reads)
        and int(other.spec.get("version", 0)) > int(found.spec.get("version", 0))
        and set(found.ids()) <= set(other.ids())
        for other in store.sets()
    )


def _size_of_set(folder: Path) -> int:
    """Bytes in the files of a set.

    Raises:
        StoreError: If featzoo did not write one of them.
    """
    ours = {place for pattern in WRITTEN for place in folder.glob(pattern)}
    for place in folder.rglob("*"):
        if place.is_file() and place not in ours:
            raise StoreError(f"{place} is not featzoo's: move it away before this set is deleted")
    return sum(place.stat().st_size for place in ours)


def _recovered(place: Path, found: FeatureSet) -> bool:
    """Whether a damaged shard in `damaged/` is not needed: its clips are stored, or can be computed again."""
    try:
        header = read_header(place)
    except DamagedFile:
        return bool(found.reads)
    except StoreError:
        return False  # gone, or of a newer format
    return all(map(Copies(found).intact, header.clip_ids, header.sources))


def _loose(store: FeatureStore) -> Iterator[Garbage]:
    """Unfinished files of dead processes, indexes of deleted sets, and partly deleted sets."""
    folders = [store.path, store.path / "clips", store.path / "index"]
    folders += [found.folder / name for found in store.sets() for name in ("", "shards", "failures", "merged")]
    for folder in folders:
        for place in sorted(folder.glob(".*.tmp")):
            with suppress(FileNotFoundError):  # finished in the meantime
                status = place.stat()
                if time.time() - status.st_mtime > ABANDONED_SECONDS:
                    yield Garbage("temporary", "", place, status.st_size)
    keys = {found.key for found in store.sets()} | {place.parent.name for place in store.bad}
    for place in sorted((store.path / "index").glob("*")):
        # Earlier versions kept them in HDF5.
        if place.suffix == ".h5" or (place.suffix == SUFFIX and place.stem not in keys):
            yield Garbage("index", "", place, place.stat().st_size)
    for place in sorted((store.path / FROZEN).glob("*/*.npz")):
        status = place.stat()
        if time.time() - max(status.st_mtime, status.st_atime) > FROZEN_SECONDS:
            yield Garbage("frozen", "", place, status.st_size)
    for place in sorted((store.path / ASIDE).glob("*")):
        if place.suffix != ".parquet":  # tables of clips are not made again
            yield Garbage("aside", "", place, place.stat().st_size)
    for place in sorted((store.path / DELETED).glob("*")):
        yield Garbage("set", "", place, _size_of_set(place))


def _delete_set(store: FeatureStore, folder: Path) -> None:
    """Delete a set by first moving it away in one step, so that it is never read partly."""
    target = store.path / DELETED / f"{folder.name}-{uuid4().hex}"
    if folder.parent.name != DELETED:
        move(folder, target)
        folder = target
    for pattern in WRITTEN:
        for place in folder.glob(pattern):
            remove(place)
    # Folders go only when they are empty.
    with suppress(OSError):
        for place in (*folder.iterdir(), folder, folder.parent):
            place.rmdir()

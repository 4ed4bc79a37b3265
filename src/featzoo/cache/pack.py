"""`feat pack`: merges small shards into few large ones, so that a store opens fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from featzoo.cache.check import check_shard
from featzoo.cache.copies import Copies
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.merged import merged_shards, note_merged, notes
from featzoo.cache.shard import Entry, VanishedShard
from featzoo.cache.shard_reader import Mapped, notes_of, read_header
from featzoo.cache.store import FeatureStore
from featzoo.durable import remove
from featzoo.errors import DamagedShard, StoreError
from featzoo.sequence import FeatureSequence

# A merged shard is closed when it holds this many bytes of features.
PACKED_BYTES = 256 << 20
# Merged shards are kept this long, because readers on other machines may still have them mapped.
GRACE_SECONDS = 3600.0
# Number of shards above which a large `feat extract` packs the store itself.
MANY = 64

Used = Callable[[str, str], bool]


class Packed(NamedTuple):
    """The result for one set: numbers of merged shards, of new shards, and of deleted ones."""

    key: str
    merged: int
    into: int
    deleted: int


def pack_store(store: FeatureStore, grace: float = GRACE_SECONDS, fewest: int = 2) -> Iterator[Packed]:
    """Merge each set's shards, verify every clip, and delete merged shards whose grace has passed.

    Nothing is deleted before the merged shard is on the disk and read back. A clip that is stored several times
    with the same source is kept once, the newest; other sources are kept, because media may change back.

    Args:
        store: A feature store.
        grace: Seconds for which merged shards stay, for readers that have them mapped.
        fewest: Sets with fewer unmerged shards are not changed.

    Yields:
        The result for each set that changed.

    Raises:
        StoreError: If a shard is damaged (repair the store first) or the store cannot be written.
    """
    for found in store.sets():
        done = pack_set(found, grace, fewest)
        if done.merged or done.deleted:
            yield done


def pack_set(found: FeatureSet, grace: float = GRACE_SECONDS, fewest: int = 2, gradual: bool = False) -> Packed:
    """Pack one set; see `pack_store`.

    Args:
        found: A feature set.
        grace: Seconds for which merged shards stay.
        fewest: A set with fewer unmerged shards is not changed.
        gradual: Leave out shards that are larger than all smaller ones together. A run that packs again and again
            then rewrites each clip a few times, not every time.
    """
    try:
        merged, into = _merge(found, fewest, gradual)
    except VanishedShard:
        merged, into = 0, 0  # another process is packing this set
    deleted = sweep(found, grace)
    if merged or deleted:
        found.index.refresh()
    return Packed(found.key, merged, into, deleted)


def _merge(found: FeatureSet, fewest: int, gradual: bool) -> tuple[int, int]:
    found.index.refresh()
    done = merged_shards(found)
    sizes = dict(_small(found, done))
    small = {name: found.index.path(name) for name in (_of_like_size(sizes) if gradual else sizes)}
    if len(sizes) < fewest or not small:
        return 0, 0
    problems = {found.index.path(name): reason for name, reason in found.index.bad.items()}
    problems |= {place: check_shard(place, found) for place in small.values()}
    for place, problem in problems.items():
        if problem:
            raise DamagedShard(f"{place}: {problem}. Repair the store first")
    waiting: list[Entry] = []
    # A merged shard is as new as the newest of its shards, so that a copy written meanwhile stays newer.
    size, written, created = 0, 0, 0
    for name in sorted(small, key=lambda name: (found.index.header(name).created, name)):
        created = found.index.header(name).created
        for number, entry in enumerate(entries_of(small[name])):
            if _superseded(found, entry, (name, number), done):
                continue
            waiting.append(entry)
            size += entry.sequence.features.nbytes
            if size >= PACKED_BYTES:
                found.put(waiting, created)
                waiting, size, written = [], 0, written + 1
    if waiting:
        found.put(waiting, created)
        written += 1
    note_merged(found, list(small))
    return len(small), written


def _small(found: FeatureSet, done: Mapping[str, float]) -> Iterator[tuple[str, int]]:
    """The shards that may be merged, with their bytes."""
    for name in found.index.shards():
        with suppress(FileNotFoundError):  # another process has just packed it
            size = found.index.path(name).stat().st_size
            if name not in done and size < PACKED_BYTES:
                yield name, size


def _of_like_size(sizes: Mapping[str, int]) -> list[str]:
    """The shards without those that are larger than all smaller ones together."""
    rest = sum(sizes.values())
    descending = sorted(sizes, key=lambda name: sizes[name], reverse=True)
    for number, name in enumerate(descending):
        rest -= sizes[name]
        if sizes[name] <= rest:
            return descending[number:]
    return []


def _superseded(found: FeatureSet, entry: Entry, place: tuple[str, int], done: Mapping[str, float]) -> bool:
    """Whether a newer copy of the same clip with the same source is stored."""
    copies = [p for p in found.index.places(entry.clip_id) if p.source == entry.source and p.shard not in done]
    return (copies[-1].shard, copies[-1].number) != place


def entries_of(place: Path) -> Iterator[Entry]:
    """The clips of a shard, each verified and memory-mapped.

    Raises:
        StoreError: If it is damaged or missing.
    """
    header = read_header(place)
    held = Mapped(place, header)
    for number, clip_id in enumerate(header.clip_ids):
        held.verify(number, clip_id, header.digests[number])
        sequence = FeatureSequence.stored(*held.rows(number), header.names)
        yield Entry(clip_id, header.sources[number], sequence, notes_of(header, number), header.digests[number])


def sweepable(found: FeatureSet, grace: float, used: Used = lambda clip_id, source: True) -> list[Path]:
    """The merged shards that may be deleted: their grace has passed, and others hold each of their clips.

    Args:
        found: A feature set.
        grace: Seconds since they were merged.
        used: Whether a clip with a given source must be kept.
    """
    found.index.refresh()
    merged, copies = merged_shards(found), Copies(found)
    places = []
    for name, at in merged.items():
        place = found.folder / "shards" / name
        if time.time() - at < grace or not place.is_file():
            continue
        try:
            header = read_header(place)
        except StoreError:
            continue  # damaged (`feat check` names it), or another process has just deleted it
        # Of two copies in one shard, the later counts.
        wanted = dict(zip(zip(header.clip_ids, header.sources, strict=True), header.digests, strict=True))
        if all(
            not used(clip_id, source)
            or any(
                other.source == source
                and other.shard not in merged
                and (other.digest == digest or found.index.header(other.shard).created > header.created)
                and not copies.damage(other, clip_id)
                for other in found.index.places(clip_id)
            )
            for (clip_id, source), digest in wanted.items()
        ):
            places.append(place)
    return places


def sweep(found: FeatureSet, grace: float, used: Used = lambda clip_id, source: True) -> int:
    """Delete the merged shards that may be deleted, and return their number."""
    places = sweepable(found, grace, used)
    for place in places:
        remove(place)
    if places:
        found.index.refresh()
    present = {place.name for place in (found.folder / "shards").glob("*.h5")}
    for note, shards, _ in notes(found):
        if not present & set(shards):
            remove(note)
    return len(places)

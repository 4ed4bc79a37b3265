"""`feat pack`: many small shards to few large ones, so that a store opens fast."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from featzoo.cache.check import check_shard
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.index import Place
from featzoo.cache.shard import Entry, clip_digest, read_header, write_shard
from featzoo.cache.store import FeatureStore
from featzoo.errors import StoreError

# A merged shard is closed when it holds so many bytes of features.
PACKED_BYTES = 256 << 20
# Readers on other machines may still map the merged shards: they stay so long.
GRACE_SECONDS = 3600.0
# Shards that a large `feat extract` may leave before it packs by itself.
MANY = 64


class Packed(NamedTuple):
    """What packing did to one set: shards merged into how many, and merged ones deleted."""

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
        fewest: Sets of fewer unmerged shards are left as they are.

    Yields:
        What was done to each set that changed.

    Raises:
        StoreError: If a shard is damaged (`feat check --repair` first) or the disk refuses.
    """
    for found in store.sets():
        merged, into = _merge(found, fewest)
        deleted = _sweep(found, grace)
        if merged or deleted:
            found.index.refresh()
            yield Packed(found.key, merged, into, deleted)


def _merge(found: FeatureSet, fewest: int) -> tuple[int, int]:
    found.index.refresh()
    done = _merged(found)
    small = [
        place
        for place in sorted((found.folder / "shards").glob("*.h5"))
        if place.name not in done and place.stat().st_size < PACKED_BYTES
    ]
    if len(small) < fewest:
        return 0, 0
    for place in small:
        problem = check_shard(place, found)
        if problem:
            raise StoreError(f"{place}: {problem}. Set it aside first: feat check --repair -o {found.store.path}")
    small.sort(key=lambda place: read_header(place).created)
    waiting: dict[tuple[str, str], Entry] = {}
    size, written = 0, []
    for place in small:
        for entry in _entries(place, found):
            # The newest copy goes last, so that order within the shard is order in time.
            before = waiting.pop((entry.clip_id, entry.source), None)
            size += entry.sequence.features.nbytes - (before.sequence.features.nbytes if before else 0)
            waiting[entry.clip_id, entry.source] = entry
            if size >= PACKED_BYTES:
                written.append(_write(found, list(waiting.values())))
                waiting, size = {}, 0
    if waiting:
        written.append(_write(found, list(waiting.values())))
    _note(found, [place.name for place in small])
    return len(small), len(written)


def _entries(place: Path, found: FeatureSet) -> Iterator[Entry]:
    header = read_header(place)
    for number, clip_id in enumerate(header.clip_ids):
        yield Entry(clip_id, header.sources[number], found.sequence(place, header, number))


def _write(found: FeatureSet, entries: list[Entry]) -> Path:
    place = write_shard(found.folder / "shards", found.digest, entries)
    problem = check_shard(place, found)
    digests = [clip_digest(entry.sequence.features, entry.sequence.intervals) for entry in entries]
    if problem or read_header(place).digests != digests:
        raise StoreError(f"{place} does not read back as it was written ({problem}): nothing was deleted")
    return place


# What has been merged, and when: one small file for each packing, so that two packings do not overwrite each other.


def _note(found: FeatureSet, names: list[str]) -> None:
    place = found.folder / "merged" / f"{uuid.uuid4().hex}.json"
    temporary = place.with_name(f".{place.name}.tmp")
    try:
        place.parent.mkdir(exist_ok=True)
        temporary.write_text(json.dumps({"at": time.time(), "shards": names}), encoding="utf-8")
        temporary.replace(place)
    except OSError as error:
        raise StoreError(f"cannot write to {found.folder}: {error.strerror or error}") from error


def _notes(found: FeatureSet) -> Iterator[tuple[Path, list[str], float]]:
    """Each note: its file, the shards that were merged, and when, seconds since 1970."""
    for place in (found.folder / "merged").glob("*.json"):
        try:
            note = json.loads(place.read_text(encoding="utf-8"))
            yield place, list(note["shards"]), float(note["at"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a note that cannot be read deletes nothing


def _merged(found: FeatureSet) -> dict[str, float]:
    return {name: at for _, shards, at in _notes(found) for name in shards}


def _replaces(found: FeatureSet, other: Place, shard: str, source: str, digest: str, created: int) -> bool:
    """Whether another shard holds the same clip of the same source: the same bytes, or newer ones."""
    same = other.shard != shard and other.source == source
    return same and (other.digest == digest or found.index.header(other.shard).created > created)


def _sweep(found: FeatureSet, grace: float) -> int:
    """Delete merged shards whose grace has passed and whose every clip another shard holds as well."""
    deleted = 0
    found.index.refresh()
    for name, at in _merged(found).items():
        place = found.folder / "shards" / name
        if time.time() - at < grace or not place.is_file():
            continue
        header = read_header(place)
        elsewhere = all(
            any(_replaces(found, p, name, source, digest, header.created) for p in found.index.places(clip_id))
            for clip_id, source, digest in zip(header.clip_ids, header.sources, header.digests, strict=True)
        )
        if elsewhere:
            place.unlink()
            deleted += 1
    if deleted:
        found.index.refresh()
    present = {place.name for place in (found.folder / "shards").glob("*.h5")}
    for place, shards, _ in _notes(found):
        if not present & set(shards):
            place.unlink(missing_ok=True)
    return deleted

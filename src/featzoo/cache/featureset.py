"""FeatureSet: the clips of one extractor configuration in a store."""

from __future__ import annotations

import operator
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featzoo.cache.failures import Failure, Failures
from featzoo.cache.index import Place, SetIndex
from featzoo.cache.index_file import SUFFIX
from featzoo.cache.owner import Owner
from featzoo.cache.set_document import read_set
from featzoo.cache.shard import Entry, Layout, VanishedShard, check_id
from featzoo.cache.shard_reader import Mapped, notes_of, read_header
from featzoo.cache.shard_writer import write_shard
from featzoo.errors import DamagedShard, MissingFeatures, StoreError, suggestion
from featzoo.sequence import Array, FeatureSequence
from featzoo.wording import count

if TYPE_CHECKING:
    import pandas

    from featzoo.extractors.pooling import Pooling

# Number of attempts to find a clip again after another process has packed its shard.
TRIES = 3


class FeatureSet:
    """One feature set of a store: `features["clip id"]` is a FeatureSequence of memory-mapped arrays.

    Attributes:
        key: Its folder's name: name and first digits of the digest.
        name: The extractor's name and tag, such as `bert.minilm`.
        digest: SHA-256 of the spec.
        spec: Everything that determines its features.
        provenance: Versions, licence, host, date.
    """

    def __init__(self, store: Owner, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.key = folder.name
        self._failures = Failures(folder)
        self.name, self.digest, self.spec, self.provenance = read_set(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return (operator.getitem, (self.store, self.key))

    @property
    def options(self) -> dict[str, Any]:
        """The extractor's options in the key."""
        return dict(self.spec.get("options", {}))

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs of a clip that determine the features."""
        return tuple(self.spec.get("reads", ()))

    def describe(self) -> str:
        """Its options in one line."""
        return ", ".join(f"{key}={value}" for key, value in self.options.items())

    @cached_property
    def index(self) -> SetIndex:
        """The shard and position of each clip."""
        return SetIndex(self.folder / "shards", self.store.path / "index" / f"{self.key}{SUFFIX}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names; empty for an empty set."""
        newest = self.index.newest()
        return newest.names if newest else ()

    @property
    def kind(self) -> tuple[tuple[str, ...], np.dtype[Any], tuple[int, ...]] | None:
        """Column names, type and shape of its rows; None for an empty set."""
        newest = self.index.newest()
        return newest.kind if newest else None

    def ids(self) -> list[str]:
        """The ids of all stored clips, sorted."""
        return self.index.ids()

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids())

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self.index

    def __repr__(self) -> str:
        return f"FeatureSet({self.key!r}: {count(len(self), 'clip')}, {count(len(self.names), 'column')})"

    def to_pandas(self, pool: Pooling | None = "mean", labels: bool = True) -> pandas.DataFrame:
        """A frame of the features; see `frame.frame_of`."""
        from featzoo.cache.frame import frame_of

        return frame_of(self, pool, labels)

    def holds(self, clip_id: str, source: str | None = None) -> bool:
        """Whether a clip is stored, with this `source` if it is given."""
        return clip_id in self.index if source is None else source in self.index.sources(clip_id)

    def __getitem__(self, clip_id: str) -> FeatureSequence:
        """A clip's features: read-only arrays memory-mapped from the file.

        Raises:
            MissingFeatures: If it is not stored.
            DamagedShard: If its bytes differ from those that were written, and no intact copy of them is stored.
        """
        for _ in range(TRIES):
            try:
                return self._read(clip_id)
            except VanishedShard:
                # Packed away by another process since the index was read.
                self.index.refresh()
            except DamagedShard as error:
                return self._intact_copy(clip_id, error)
        return self._read(clip_id)

    def _read(self, clip_id: str) -> FeatureSequence:
        only = self.index.only(clip_id)
        if only is not None:
            return self._sequence(*only, clip_id)
        place = self.place(clip_id)
        return self.sequence(place, clip_id)

    def _intact_copy(self, clip_id: str, error: DamagedShard) -> FeatureSequence:
        """The same bytes from another shard, such as one that has been merged."""
        damaged = self.place(clip_id)
        for place in self.index.places(clip_id):
            if place.shard != damaged.shard and (place.source, place.digest) == (damaged.source, damaged.digest):
                with suppress(StoreError):
                    return self.sequence(place, clip_id)
        raise error

    def sequence(self, place: Place, clip_id: str) -> FeatureSequence:
        """One stored copy of a clip: views of the mapped file.

        Raises:
            VanishedShard: If the file is missing.
            DamagedShard: If it is truncated, or the clip's bytes differ from those that were written.
        """
        return self._sequence(self.index.path(place.shard), self.index.header(place.shard), place.number, clip_id)

    def _sequence(self, shard: Path, layout: Layout, number: int, clip_id: str) -> FeatureSequence:
        held, verify = _mapped(shard, layout), self.store.verify
        if verify == "never" or (verify == "first" and held.verified[number]):
            rows = held.rows(number)
        else:
            rows = held.verify(number, clip_id, "" if layout.places.checks else self.index.digest(shard.name, number))
        return FeatureSequence.stored(*rows, layout.names)

    def array(self, clip_id: str) -> Array:
        """Only a clip's features: (T, ..., D), memory-mapped.

        Raises:
            MissingFeatures: If it is not stored.
        """
        features: Array = self[clip_id].features
        return features

    def notes(self, clip_id: str) -> dict[str, str]:
        """Notes on how a clip was decoded, by kind; empty for most clips.

        Raises:
            MissingFeatures: If it is not stored.
        """
        for _ in range(TRIES):
            place = self.place(clip_id)
            try:
                return notes_of(read_header(self.index.path(place.shard)), place.number)
            except VanishedShard:
                self.index.refresh()
        return {}

    def noted(self) -> dict[str, list[str]]:
        """The stored clips that have notes, by kind of note."""
        found: dict[str, set[str]] = defaultdict(set)
        for shard in self.index.shards():
            try:
                header = read_header(self.index.path(shard))
            except VanishedShard:
                continue
            except DamagedShard as error:
                self.index.bad[shard] = str(error)
                continue
            for clip_id in {header.clip_ids[number] for number in header.notes}:
                for kind in self.notes(clip_id):
                    found[kind].add(clip_id)
        return {kind: sorted(clip_ids) for kind, clip_ids in sorted(found.items())}

    def place(self, clip_id: str) -> Place:
        """The position of the copy to read: the one that matches the clip's current inputs, or the newest.

        Raises:
            MissingFeatures: If it is not stored.
        """
        places = self.index.places(clip_id)
        if not places:
            self.index.refresh()  # another process may have stored it since
            places = self.index.places(clip_id)
        if not places:
            raise MissingFeatures(self._absent(clip_id))
        if len({place.source for place in places}) > 1:
            # Made from different media or words over time: the one that matches the clip's current inputs.
            current = self.store.source(clip_id, self.reads)
            places = [place for place in places if place.source == current] or places
        return places[-1]

    def _absent(self, clip_id: str) -> str:
        failure = self.failure(clip_id)
        if failure is not None:
            return f"{self.key} has no '{clip_id}': it failed ({failure.reason}): {failure.message}"
        unread = len(self.index.bad) + len(self.index.newer)
        if unread:
            return f"{self.key} has no '{clip_id}', but {unread} of its shards cannot be read"
        return f"no '{clip_id}' in {self.key}{suggestion(clip_id, self.ids()[:1000], most=3)}"

    def write(self, entries: Sequence[Entry]) -> None:
        """Store clips durably: when this returns, they survive a crash.

        Raises:
            StoreError: If their rows do not match the set, or it cannot be written.
        """
        if not entries:
            return
        self.index.refresh()
        newest, new = self.index.newest(), entries[0].sequence
        kind = newest.kind if newest else None
        if kind is not None and kind != (new.names, new.features.dtype, new.features.shape[1:]):
            raise StoreError(
                f"'{entries[0].clip_id}' has rows {new.features.shape[1:]} {new.features.dtype}, {self.key} has "
                f"{kind[2]} {kind[1]}, or other column names: raise the extractor's version when its output changes"
            )
        # Newer than all existing shards, even if another host's clock is ahead of this one's.
        self.put(entries, max(time.time_ns(), newest.created + 1 if newest else 0))
        self.settle(entry.clip_id for entry in entries)

    def put(self, entries: Sequence[Entry], created: int) -> None:
        """Write clips as one shard of a given age, and verify it.

        Raises:
            StoreError: If the bytes of a clip do not match its digest, or the shard cannot be written.
        """
        self.store.upgrade()
        self.index.take(write_shard(self.folder / "shards", self.digest, entries, created))

    def fail(self, clip_id: str, source: str, reason: str, message: str, retry: bool = False) -> None:
        """Record why a clip has no features.

        Raises:
            StoreError: If the store cannot be written.
        """
        check_id(clip_id)
        self._failures.add(clip_id, source, reason, message, retry)

    def settle(self, clip_ids: Iterable[str]) -> None:
        """Delete the failures of clips that are now stored."""
        self._failures.remove(clip_ids)

    def failure(self, clip_id: str) -> Failure | None:
        """The clip's last failure, if any."""
        return self._failures.get(clip_id)

    def failures(self) -> list[Failure]:
        """All recorded failures, by clip."""
        return self._failures.all()


# Number of shards that stay mapped between reads.
_mapped = lru_cache(maxsize=1024)(Mapped)

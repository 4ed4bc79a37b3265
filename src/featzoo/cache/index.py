"""The position of each clip of a feature set, stored in `index/` and made again if it does not match the shards."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from featzoo.cache.id_table import IdTable
from featzoo.cache.index_file import Part, Saved, load_index, nothing, save_index, tables_of
from featzoo.cache.shard import Layout, VanishedShard
from featzoo.cache.shard_reader import read_header
from featzoo.errors import NewerFormat, StoreError

# A shard that disappears between being listed and opened was packed: the folder is listed again this many times.
LISTINGS = 5


class Place(NamedTuple):
    """One stored clip: its shard, its number in it, and the digest of its inputs."""

    shard: str
    number: int
    source: str
    digest: str


class SetIndex:
    """The shards of one feature set and the clips in them.

    A clip is kept as one number, its row among the clips of all shards. Clips are searched in the saved index, without
    reading it into Python objects, so that a large set opens fast; those that were found, and those of shards that are
    not in it, are kept in a dict.

    Attributes:
        bad: Damaged shards, with the reason: they are reported, never ignored silently.
        newer: Shards of a newer format, with a sentence that says so.
    """

    # Save the index again once this many shards, or clips, are missing from it.
    SAVE_AFTER, SAVE_CLIPS = 8, 1000

    def __init__(self, shards: Path, saved: Path) -> None:
        self._shards, self._saved = shards, saved
        self.bad: dict[str, str] = {}
        self.newer: dict[str, str] = {}
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._hold(load_index(saved, shards))
        stale = {part.name for part in self._parts if _size(part.path) != part.size}
        if stale:
            self._drop(stale)
        self.refresh()

    def _hold(self, saved: Saved) -> None:
        """Start from these shards and clips."""
        self._parts, self._table, self._distinct = saved
        self._names = {part.name: part for part in self._parts}
        *self._firsts, self._count = accumulate((part.count for part in self._parts), initial=0)
        # The row of clips, or their rows if they are stored more than once: all of them for each clip that is here.
        self._known: dict[str, int | list[int]] = {}
        self.__dict__.pop("_saved_clips", None)
        self._sorted: list[str] | None = None

    @cached_property
    def _saved_clips(self) -> IdTable:
        """The clips of the saved index, read at the first search: the number of clips is known without it."""
        return self._table()

    def _pairs(self) -> list[tuple[str, int]]:
        """Each stored sequence: its clip and its row."""
        saved = list(zip(self._saved_clips.ids(), self._saved_clips.rows(), strict=True))
        known = ((each, (held,) if isinstance(held, int) else held) for each, held in self._known.items())
        first = len(saved)
        return saved + [(clip_id, row) for clip_id, rows in known for row in rows if row >= first]

    def _drop(self, names: set[str]) -> None:
        """Remove some shards from the index."""
        clip_ids = [""] * self._count
        for clip_id, row in self._pairs():
            clip_ids[row] = clip_id
        spans = zip(self._parts, self._firsts, strict=True)
        kept = [(part, clip_ids[first : first + part.count]) for part, first in spans if part.name not in names]
        self._hold(nothing())
        for part, its_ids in kept:
            self._take(part, its_ids)

    def refresh(self) -> None:
        """Add new shards, and remove those that no longer exist."""
        shards, clips = len(self._parts), self._count
        forgot = False
        for _ in range(LISTINGS):
            gone, vanished = self._update()
            forgot = forgot or gone
            if not vanished:
                break
        if forgot or len(self._parts) - shards >= self.SAVE_AFTER or self._count - clips >= self.SAVE_CLIPS:
            save_index(self._saved, self._parts, sorted(self._pairs()))

    def _update(self) -> tuple[bool, bool]:
        """List the folder: whether known shards are missing, and whether one disappeared meanwhile."""
        present = _list(self._shards)
        gone = set(self._names) - present
        if gone:
            self._drop(gone)
        for refused in (self.bad, self.newer):
            for name in set(refused) - present:
                del refused[name]
        vanished = False
        for name in sorted(present - set(self._names)):
            path = self._shards / name
            stamp = _stamp(path)
            if name in {**self.bad, **self.newer} and self._stamps.get(name) == stamp:
                continue
            self.bad.pop(name, None)
            self.newer.pop(name, None)
            try:
                self.take(path)
            except VanishedShard:
                vanished = True
            except NewerFormat as error:
                self.newer[name], self._stamps[name] = str(error), stamp
            except StoreError as error:
                # Read again when it changes, because on a network file system it may not be complete yet.
                self.bad[name], self._stamps[name] = str(error), stamp
        return bool(gone), vanished

    def take(self, path: Path) -> None:
        """Add one shard.

        Raises:
            VanishedShard: If it no longer exists.
            NewerFormat: If a later featzoo wrote it.
            StoreError: If it is damaged.
        """
        header = read_header(path)
        stamp = _stamp(path)
        if stamp is None:
            raise VanishedShard(f"{path} is gone")
        if path.name not in self._names:
            part = Part(path.name, path, stamp[0], header, len(header.clip_ids), partial(tables_of, header))
            self._take(part, header.clip_ids)

    def _take(self, part: Part, clip_ids: Sequence[str]) -> None:
        self._parts.append(part)
        self._names[part.name] = part
        self._firsts.append(self._count)
        rows_of = self._rows if self._saved_clips else self._known.get
        for row, clip_id in enumerate(clip_ids, self._count):
            held = rows_of(clip_id)
            if held is None:
                self._known[clip_id] = row
                self._distinct += 1
            else:
                self._known[clip_id] = [held, row] if isinstance(held, int) else [*held, row]
        self._count += len(clip_ids)
        self._sorted = None

    def _rows(self, clip_id: str) -> int | list[int] | None:
        """A clip's row, or its rows if it is stored more than once; None if it is not stored."""
        held = self._known.get(clip_id)
        if held is None and self._saved_clips and (found := self._saved_clips[clip_id]):
            held = self._known[clip_id] = found[0] if len(found) == 1 else found
        return held

    def _copies(self, clip_id: str) -> Sequence[int]:
        held = self._rows(clip_id)
        return (held,) if isinstance(held, int) else held or ()

    def _part(self, row: int) -> tuple[Part, int]:
        place = bisect_right(self._firsts, row) - 1
        return self._parts[place], row - self._firsts[place]

    def only(self, clip_id: str) -> tuple[Path, Layout, int] | None:
        """Shard, layout and number of a clip that is stored once; None if it is not, or more than once."""
        held = self._rows(clip_id)
        if not isinstance(held, int):
            return None
        part, number = self._part(held)
        return part.path, part.layout, number

    def sources(self, clip_id: str) -> list[str]:
        """The sources of all copies of a clip, in no order."""
        found = [self._part(row) for row in self._copies(clip_id)]
        return [part.tables[0][number].decode() for part, number in found]

    def places(self, clip_id: str) -> list[Place]:
        """All copies of a clip, the newest last."""
        found = [self._part(row) for row in self._copies(clip_id)]
        found.sort(key=lambda each: (each[0].layout.created, each[0].name, each[1]))
        return [Place(part.name, n, *(table[n].decode() for table in part.tables)) for part, n in found]

    def repeated(self) -> list[str]:
        """The ids of clips that are stored more than once, sorted."""
        if self._count == self._distinct:
            return []
        saved = {one for one, other in pairwise(self._saved_clips.ids()) if one == other}
        return sorted(saved.union(clip_id for clip_id, rows in self._known.items() if not isinstance(rows, int)))

    def digest(self, shard: str, number: int) -> str:
        """The digest of a clip of a shard."""
        digest: bytes = self._names[shard].tables[1][number]
        return digest.decode()

    def clips_of(self, shard: str) -> int:
        """The number of clips in a shard."""
        return self._names[shard].count

    def header(self, shard: str) -> Layout:
        """The layout of a shard."""
        return self._names[shard].layout

    def headers(self) -> list[Layout]:
        """The layout of each shard, the newest last."""
        return sorted((part.layout for part in self._parts), key=lambda layout: layout.created)

    def newest(self) -> Layout | None:
        """The layout of the newest shard; None without shards."""
        return max((part.layout for part in self._parts), key=lambda layout: layout.created, default=None)

    def shards(self) -> list[str]:
        """The names of all shards that can be read, sorted."""
        return sorted(self._names)

    def path(self, shard: str) -> Path:
        """The file of a shard."""
        return self._shards / shard

    def size(self) -> int:
        """Bytes of all shards that can be read."""
        return sum(part.size for part in self._parts)

    def ids(self) -> list[str]:
        """The ids of all stored clips, sorted."""
        if self._sorted is None:
            saved = self._saved_clips.ids()
            self._sorted = saved if len(saved) == self._count == self._distinct else sorted({*saved, *self._known})
        return list(self._sorted)

    def __contains__(self, clip_id: object) -> bool:
        return isinstance(clip_id, str) and self._rows(clip_id) is not None

    def __len__(self) -> int:
        return self._distinct


def _list(folder: Path) -> set[str]:
    with suppress(FileNotFoundError):
        return {name for name in os.listdir(folder) if name.endswith(".h5") and not name.startswith(".")}  # noqa: PTH208
    return set()


def _size(path: Path) -> int | None:
    stamp = _stamp(path)
    return stamp[0] if stamp else None


def _stamp(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    return None

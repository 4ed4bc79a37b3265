"""The index file of a feature set, which is derived from its shards.

It holds a line of JSON (shards, sizes, checksum), then for the clips of all shards: their ids, sorted, as UTF-8 joined
by NUL; the row of each (int64), counted through the shards; by row, the offsets (int64, one more for each shard); by
row, sources and digests (64 bytes each). Opening a store does not read the last two: few clips need them.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.cache.shard import Header, Layout, Places
from featzoo.cache.shard_reader import read_header
from featzoo.durable import write
from featzoo.errors import StoreError
from featzoo.sequence import Array

FORMAT = 3
SUFFIX = ".index"
# Bytes of a source or a digest: SHA-256 in hex.
HEX = 64


@dataclass(frozen=True, eq=False)
class Part:
    """The index entry of one shard: its file, bytes, layout, number of clips, and access to `tables`."""

    name: str
    path: Path
    size: int
    layout: Layout
    count: int
    read_tables: Callable[[], tuple[Array, Array]]

    @cached_property
    def tables(self) -> tuple[Array, Array]:
        """Sources and digests: (N,) of 64 bytes each."""
        return self.read_tables()


def tables_of(header: Header) -> tuple[Array, Array]:
    """Sources and digests of a shard: (N,) of 64 bytes each."""
    return np.array(header.sources, f"S{HEX}"), np.array(header.digests, f"S{HEX}")


class Saved(NamedTuple):
    """An index: shards, and the ids of their clips, sorted, with the row of each; an id may occur twice."""

    parts: list[Part]
    clip_ids: Sequence[str]
    rows: Sequence[int]


def save_index(place: Path, index: Saved) -> None:
    """Save an index, unless the folder cannot be written."""
    parts = index.parts
    names: dict[tuple[str, ...], int] = {}
    shards = []
    for part in parts:
        each = part.layout
        columns = names.setdefault(each.names, len(names))
        shards.append((part.name, part.size, part.count, columns, each.dtype, each.tail, each.places, each.created))
    ids = "\0".join(index.clip_ids).encode()
    rows = np.array(index.rows, "<i8").tobytes()
    offsets = np.concatenate([np.empty(0, "<i8"), *(part.layout.offsets for part in parts)]).astype("<i8").tobytes()
    front = ids + rows + offsets
    document = {
        "format": FORMAT, "shards": shards, "names": list(names), "ids": len(ids), "front": len(front),
        "crc": zlib.crc32(front),
    }  # fmt: skip
    with suppress(OSError, StoreError):
        place.parent.mkdir(parents=True, exist_ok=True)
        tables = [part.tables[column].tobytes() for column in (0, 1) for part in parts]
        write(place, b"".join([json.dumps(document).encode(), b"\n", front, *tables]), durable=False)


def load_index(place: Path, shards: Path) -> Saved:
    """A saved index; empty if it is missing or damaged. Its shards may have changed since."""
    try:
        # Not memory-mapped, because on a network file system a reader crashes when another host replaces the file. Kept
        # open, because the tables of a shard are read from it later.
        file = place.open("rb")
        document = json.loads(file.readline())
        start = file.tell()
        front = file.read(int(document["front"]))
        return _read(document, file, start, front, shards)
    except (OSError, KeyError, TypeError, ValueError):
        # A damaged index is made again from the shards.
        return Saved([], [], [])


def _read(document: dict[str, Any], file: BufferedReader, start: int, front: bytes, shards: Path) -> Saved:
    counts = [int(row[2]) for row in document["shards"]]
    clips, ids_end = sum(counts), document["ids"]
    rows_end = ids_end + 8 * clips
    stop = rows_end + 8 * (clips + len(counts))
    whole = os.fstat(file.fileno()).st_size == start + stop + 2 * HEX * clips and zlib.crc32(front) == document["crc"]
    if document["format"] != FORMAT or not whole or not clips:
        return Saved([], [], [])
    rows = np.frombuffer(front[ids_end:rows_end], "<i8").tolist()
    offsets = np.frombuffer(front[rows_end:stop], "<i8")
    names = [tuple(each) for each in document["names"]]
    parts, first = [], 0
    for number, (name, size, count, columns, dtype, tail, places, created) in enumerate(document["shards"]):
        its_offsets = offsets[first + number : first + number + count + 1]
        layout = Layout(its_offsets, names[columns], dtype, tuple(tail), Places(*places), created)
        where = (start + stop + HEX * first, start + stop + HEX * (clips + first))
        read_tables = partial(_tables, file, where, count, shards / name)
        parts.append(Part(name, shards / name, size, layout, count, read_tables))
        first += count
    return Saved(parts, _split(front[:ids_end]), rows)


def _tables(file: BufferedReader, where: tuple[int, int], count: int, shard: Path) -> tuple[Array, Array]:
    """Sources and digests, from the open index or, if it can no longer be read, from the shard."""
    with suppress(OSError, ValueError):
        sources, digests = (np.frombuffer(os.pread(file.fileno(), HEX * count, at), f"S{HEX}") for at in where)
        if len(sources) == len(digests) == count:
            return sources, digests
    return tables_of(read_header(shard))


@lru_cache(maxsize=1)
def _split(text: bytes) -> list[str]:
    """The ids in an index; the sets of a store often hold the same clips, and then share them."""
    return list(map(sys.intern, text.decode().split("\0")))

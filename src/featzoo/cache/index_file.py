"""The index file of a feature set, which is derived from its shards.

It holds a line of text (format, lengths of the next two parts, their XXH3); the shards with their sizes, layouts and
checksums as JSON, with the number of different ids; then for the clips of all shards: their ids and the row of each,
counted through the shards (see `id_table`); by row, the offsets (int64, one more for each shard); by row, sources and
digests (64 bytes each). Opening a store does not read the last two: few clips need them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from featzoo.cache.id_table import WIDTH, IdTable, table_bytes
from featzoo.cache.shard import Header, Layout, Places, newer
from featzoo.cache.shard_reader import read_header
from featzoo.durable import write
from featzoo.errors import DamagedFile, StoreError
from featzoo.sequence import Array

FORMAT = 6
# The first line: format, bytes of the JSON and of the front, XXH3 of both.
FIRST = re.compile(rb"featzoo-index (\d{1,9}) (\d{1,18}) (\d{1,18}) ([0-9a-f]{16})\n")
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
    """An index: its shards, the ids of its clips, which are read when they are asked for, and how many differ."""

    parts: list[Part]
    table: Callable[[], IdTable]
    distinct: int


def nothing() -> Saved:
    """The index of a set without shards."""
    return Saved([], IdTable, 0)


def save_index(place: Path, parts: Sequence[Part], clips: Sequence[tuple[str, int]]) -> None:
    """Save an index, unless the folder cannot be written.

    Args:
        place: Its file.
        parts: The shards.
        clips: Each stored sequence, sorted: its clip's id and its row. An id may occur twice.
    """
    names: dict[tuple[str, ...], int] = {}
    shards = []
    for part in parts:
        each = part.layout
        columns = names.setdefault(each.names, len(names))
        layout = (columns, each.dtype, each.tail, each.places, each.created)
        shards.append((part.name, part.size, part.count, *layout, _check(*part.tables)))
    ids, numbers = table_bytes(*zip(*clips, strict=True)) if clips else (b"", b"")
    offsets = np.concatenate([np.empty(0, "<i8"), *(part.layout.offsets for part in parts)]).astype("<i8").tobytes()
    facts = {
        "shards": shards,
        "names": list(names),
        "ids": len(ids),
        "distinct": len({clip_id for clip_id, _ in clips}),
    }
    document = json.dumps(facts).encode()
    front = ids + numbers + offsets
    first = f"featzoo-index {FORMAT} {len(document)} {len(front)} {_check(document, front)}\n".encode()
    with suppress(OSError, StoreError):
        place.parent.mkdir(parents=True, exist_ok=True)
        tables = [part.tables[column].tobytes() for column in (0, 1) for part in parts]
        write(place, b"".join([first, document, front, *tables]), durable=False)


def _check(*parts: bytes | Array) -> str:
    whole = xxhash.xxh3_64()
    for part in parts:
        whole.update(part if isinstance(part, bytes) else part.tobytes())
    return whole.hexdigest()


def load_index(place: Path, shards: Path) -> Saved:
    """A saved index; empty if it is missing or damaged. Its shards may have changed since."""
    try:
        return _load(place, shards)
    except (OSError, StoreError):
        # A damaged index is made again from the shards.
        return nothing()


def check_index(place: Path) -> None:
    """Compare every byte of a saved index with its checksums; an outdated one, which nothing reads, passes.

    Raises:
        OSError: If it cannot be read.
        NewerFormat: If a later featzoo wrote it.
        DamagedFile: If it is damaged.
    """
    saved = _load(place, None)
    saved.table()
    for part in saved.parts:
        part.read_tables()


def _load(place: Path, shards: Path | None) -> Saved:
    """A saved index; without the folder of its shards, its tables are read from the index alone."""
    # Not memory-mapped, because on a network file system a reader crashes when another host replaces the file. Kept
    # open, because the tables of a shard are read from it later.
    file = place.open("rb")
    size = os.fstat(file.fileno()).st_size
    line = file.readline(100)
    found = FIRST.fullmatch(line)
    if line.startswith(b"{"):
        return nothing()  # format 3 or older
    if found is None:
        raise DamagedFile(f"{place} is damaged: its first line is {line!r}")
    version, *lengths = map(int, found.groups()[:3])
    if version > FORMAT:
        raise newer(place, version, FORMAT)
    document, front = (file.read(min(length, size)) for length in lengths)
    if version < FORMAT:
        return nothing()
    if _check(document, front).encode() != found[4]:
        raise DamagedFile(f"{place} is damaged: its header differs from what was written")
    try:
        return _read(json.loads(document), file, sum(lengths) + len(line), front, shards)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{place} is damaged: {error}") from error


def _read(document: dict[str, Any], file: BufferedReader, start: int, front: bytes, shards: Path | None) -> Saved:
    counts = [int(row[2]) for row in document["shards"]]
    clips, ids_end = sum(counts), document["ids"]
    numbers_end = ids_end + WIDTH * clips
    stop = numbers_end + 8 * (clips + len(counts))
    if len(front) != stop or os.fstat(file.fileno()).st_size != start + 2 * HEX * clips:
        raise ValueError("its size differs from what was written")
    if not clips:
        return nothing()
    distinct = int(document["distinct"])
    offsets = np.frombuffer(front[numbers_end:stop], "<i8")
    names = [tuple(each) for each in document["names"]]
    parts, first = [], 0
    folder = shards or Path()
    for number, (name, size, count, columns, dtype, tail, places, created, check) in enumerate(document["shards"]):
        its_offsets = offsets[first + number : first + number + count + 1]
        layout = Layout(its_offsets, names[columns], dtype, tuple(tail), Places(*places), created)
        where = (start + HEX * first, start + HEX * (clips + first))
        read_tables = partial(_tables, file, where, (count, check), shards / name if shards else None)
        parts.append(Part(name, folder / name, size, layout, count, read_tables))
        first += count
    return Saved(parts, partial(_table, Path(file.name), front, ids_end, numbers_end), distinct)


def _table(place: Path, front: bytes, ids_end: int, numbers_end: int) -> IdTable:
    try:
        return IdTable(front[:ids_end], memoryview(front)[ids_end:numbers_end])
    except ValueError as error:
        raise DamagedFile(f"{place} is damaged: {error}. Delete it: it is made again from the shards") from error


def _tables(
    file: BufferedReader, where: tuple[int, int], expected: tuple[int, str], shard: Path | None
) -> tuple[Array, Array]:
    """Sources and digests, from the open index or, if it can no longer be read or is damaged, from the shard."""
    count, check = expected
    with suppress(OSError, ValueError):
        sources, digests = (np.frombuffer(os.pread(file.fileno(), HEX * count, at), f"S{HEX}") for at in where)
        if len(sources) == len(digests) == count and _check(sources, digests) == check:
            return sources, digests
    if shard is None:
        raise DamagedFile(f"{file.name} is damaged: its sources and digests differ from those that were written")
    return tables_of(read_header(shard))

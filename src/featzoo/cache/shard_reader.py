"""Read shards of format 1 and 2: headers, and rows mapped from the file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash

from featzoo.cache.admit import admit, check_offsets, column, number_of, opened, text_of, texts
from featzoo.cache.mapping import mapped
from featzoo.cache.shard import (
    FORMAT,
    READABLE,
    Check,
    Header,
    Layout,
    Places,
    VanishedShard,
    clip_digest,
    newer,
)
from featzoo.errors import DamagedShard
from featzoo.sequence import Array

# The datasets of format 2 beside the rows, in the order in which their checksum covers them.
TABLES = ("offsets", "clip_ids", "names", "sources", "digests", "checks", "noted", "notes")


def tables_check(attributes: Mapping[str, Any], features: Any, tables: Mapping[str, Array]) -> int:
    """XXH3 (64 bits) of a shard without its rows: attributes, type and shape of the features, tables."""
    head = (attributes["format"], attributes["spec"], attributes["created"], f"{features.dtype.str}{features.shape}")
    whole = xxhash.xxh3_64("\0".join(map(str, head)).encode())
    for name in TABLES:
        if name in tables:
            whole.update(tables[name].tobytes())
    return whole.intdigest()


def read_header(path: Path) -> Header:
    """The content of a shard without its rows.

    Raises:
        VanishedShard: If it no longer exists.
        NewerFormat: If a later featzoo wrote it.
        DamagedShard: If it is damaged.
    """
    with opened(path) as file:
        version = number_of(file, "format")
        if version in READABLE:
            return _header_1(file) if version == 1 else _header_2(file)
    if version > FORMAT:
        raise newer(path, version)
    raise DamagedShard(f"{path} is damaged: it has format {version}")


def _rows(file: h5py.File) -> tuple[h5py.Dataset, h5py.Dataset, Array]:
    """Features, intervals, and the offsets of the clips in them."""
    features, intervals = admit(file, "features", "biufc", None), admit(file, "intervals", "f", 2)
    if intervals.dtype != np.dtype("<f8") or intervals.shape != (len(features), 2):
        raise ValueError(f"its intervals are {intervals.shape} {intervals.dtype}")
    offsets = admit(file, "offsets", "i")[:]
    check_offsets(offsets, len(features))
    return features, intervals, offsets


def _place(dataset: h5py.Dataset) -> int:
    return dataset.id.get_offset() or 0


def _header_1(file: h5py.File) -> Header:
    features, intervals, offsets = _rows(file)
    count = len(offsets) - 1
    notes = column(texts(file, "notes"), count, "notes") if "notes" in file else []
    return Header(
        offsets=offsets,
        names=tuple(column(texts(file, "names"), features.shape[-1], "names")),
        dtype=features.dtype.str,
        tail=tuple(map(int, features.shape[1:])),
        places=Places(_place(features), _place(intervals)),
        created=number_of(file, "created"),
        clip_ids=column(texts(file, "clip_ids"), count, "clip_ids"),
        sources=column(texts(file, "sources"), count, "sources"),
        digests=column(texts(file, "digests"), count, "digests"),
        notes={number: text for number, text in enumerate(notes) if text != "{}"},
    )


def _header_2(file: h5py.File) -> Header:
    features, intervals, offsets = _rows(file)
    held = {name: admit(file, name, "iuS") for name in TABLES if name in file}
    tables = {name: dataset[:] for name, dataset in held.items()}
    created = number_of(file, "created")
    attributes = {"format": 2, "spec": text_of(file, "spec"), "created": created}
    if tables_check(attributes, features, tables) != number_of(file, "tables"):
        raise ValueError("its tables differ from those that were written")
    count = len(offsets) - 1
    for name in ("clip_ids", "sources", "digests", "checks"):
        column(tables[name], count, name)
    noted = tables.get("noted", np.empty(0, "<i8")).tolist()
    words = column(_decoded(tables["notes"]), len(noted), "notes") if noted else []
    return Header(
        offsets=offsets,
        names=tuple(column(_decoded(tables["names"]), features.shape[-1], "names")),
        dtype=features.dtype.str,
        tail=tuple(map(int, features.shape[1:])),
        places=Places(
            _place(features),
            _place(intervals),
            _place(held["checks"]),
            _place(held["sources"]),
            _place(held["noted"]) if noted else 0,
            _place(held["notes"]) if noted else 0,
            len(noted),
            held["notes"].dtype.itemsize if noted else 1,
        ),
        created=created,
        clip_ids=_decoded(tables["clip_ids"]),
        sources=_decoded(tables["sources"]),
        digests=_decoded(tables["digests"]),
        notes=dict(zip(noted, words, strict=True)),
    )


def _decoded(table: Array) -> list[str]:
    return [value.decode() for value in table.tolist()]


def notes_of(header: Header, number: int) -> dict[str, str]:
    """Notes on how a clip was decoded, by kind; empty for most clips."""
    try:
        return dict(json.loads(header.notes.get(number, "{}")))
    except (ValueError, TypeError) as error:
        raise DamagedShard(f"the notes of '{header.clip_ids[number]}' are damaged: {error}") from error


class Mapped:
    """A memory-mapped shard: read-only views of the file, which stays closed; nothing is copied.

    Attributes:
        features: (sum T, ..., D).
        intervals: (sum T, 2) seconds.
        verified: For each clip, whether its bytes have been compared with their checksum in this process.

    Raises:
        VanishedShard: If the file no longer exists.
        DamagedShard: If it is truncated.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path, self._layout, self._edges = path, layout, layout.offsets.item
        self.verified = bytearray(len(layout.offsets) - 1)
        places, count, rows = layout.places, len(self.verified), int(layout.offsets[-1])
        try:
            memory = mapped(path)

            def view(shape: tuple[int, ...], dtype: str, place: int) -> Array:
                empty = 0 in shape
                return np.empty(shape, dtype) if empty else np.ndarray(shape, dtype, memory, place)

            self.features = view((rows, *layout.tail), layout.dtype, places.features)
            self.intervals = view((rows, 2), "<f8", places.intervals)
            if places.checks:
                # Slices of bytes are had faster than the buffers of arrays, whose type and shape NumPy describes anew.
                self._width = self.features.itemsize * math.prod(layout.tail)
                self._feature_bytes, self._interval_bytes = (
                    memory.data[places.features :],
                    memory.data[places.intervals :],
                )
                self._check = Check(np.dtype(layout.dtype), layout.tail, layout.names)
                self._checks = view((count,), "<u8", places.checks)
                self._sources = view((count,), "S64", places.sources)
                noted = view((places.notes_count,), "<i8", places.noted).tolist()
                notes = view((places.notes_count,), f"S{places.notes_width}", places.notes).tolist()
                self._notes = dict(zip(noted, notes, strict=True))
        except FileNotFoundError as error:
            raise VanishedShard(f"{path} is gone") from error
        except (OSError, ValueError, TypeError) as error:
            raise DamagedShard(f"{path} cannot be mapped: {error}") from error

    def rows(self, number: int) -> tuple[Array, Array]:
        """Features and intervals of one clip."""
        first, last = self._edges(number), self._edges(number + 1)
        return self.features[first:last], self.intervals[first:last]

    def verify(self, number: int, clip_id: str, digest: str) -> tuple[Array, Array]:
        """Features and intervals of one clip, compared with its checksum.

        Args:
            number: The clip's number in the shard.
            clip_id: Its id.
            digest: Its SHA-256, for shards of format 1, which have no checksums.

        Raises:
            DamagedShard: If its bytes differ from those that were written.
        """
        first, last = self._edges(number), self._edges(number + 1)
        features, intervals = self.features[first:last], self.intervals[first:last]
        if self._layout.places.checks:
            same = self._checks.item(number) == self._check.of(
                last - first,
                clip_id.encode(),
                self._sources.item(number),
                self._notes.get(number, b""),
                self._feature_bytes[first * self._width : last * self._width],
                self._interval_bytes[first * 16 : last * 16],
            )
        else:
            same = clip_digest(features, intervals) == digest
        if not same:
            raise DamagedShard(f"{self._path}: the bytes of '{clip_id}' differ from those that were written")
        self.verified[number] = 1
        return features, intervals


def damage_of(path: Path, header: Header) -> str:
    """A description of the damage to the rows of a shard; empty for intact rows.

    Raises:
        VanishedShard: If it no longer exists.
        DamagedShard: If it is truncated.
    """
    held = Mapped(path, header)
    if bool((held.intervals[:, 1] < held.intervals[:, 0]).any()):
        return "an interval ends before it starts"
    for number, clip_id in enumerate(header.clip_ids):
        if clip_digest(*held.rows(number)) != header.digests[number]:
            return f"the bytes of '{clip_id}' differ from those that were written"
        try:
            held.verify(number, clip_id, header.digests[number])
        except DamagedShard:
            return f"the bytes of '{clip_id}' differ from those that were written"
    return ""

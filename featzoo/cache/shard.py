"""Shards: the store's one file format. Immutable HDF5 files of one to many clips.

Datasets, all contiguous and unfiltered so that they can be mapped at their file offsets:
`features` (sum T, ..., D), `intervals` (sum T, 2) float64 seconds, `offsets` (N + 1) int64 rows,
`clip_ids` (N) UTF-8, `sources` (N) and `digests` (N) hex SHA-256, `names` (D) UTF-8. Attributes:
`format`, `spec` (digest of the feature set's spec), `created` (nanoseconds since 1970).
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from featzoo.errors import StoreError
from featzoo.sequence import Array, FeatureSequence

FORMAT = 1
# Data sets of this many bytes or more start at multiples of it, so that mapped arrays are aligned.
ALIGNMENT = 64


class Entry(NamedTuple):
    """One clip on its way into a shard; `source` is the digest of what it was made from."""

    clip_id: str
    source: str
    sequence: FeatureSequence


class Header(NamedTuple):
    """What a reader needs to know of a shard to map it.

    Attributes:
        clip_ids: N ids.
        sources: N digests of what each clip was made from.
        digests: N digests of each clip's bytes.
        offsets: (N + 1) rows; clip i has rows offsets[i] to offsets[i + 1].
        names: D column names.
        dtype: Of the features.
        tail: Shape of one row.
        places: Byte offsets of features and intervals in the file.
        created: Nanoseconds since 1970.
    """

    clip_ids: list[str]
    sources: list[str]
    digests: list[str]
    offsets: Array
    names: tuple[str, ...]
    dtype: str
    tail: tuple[int, ...]
    places: tuple[int, int]
    created: int


def clip_digest(features: Array, intervals: Array) -> str:
    """SHA-256 of one clip's dtype, shape, features and intervals (little-endian, C order)."""
    kind = features.dtype.newbyteorder("<")
    whole = hashlib.sha256(f"{kind.str}{features.shape}".encode())
    whole.update(np.ascontiguousarray(features, dtype=kind).data)
    whole.update(np.ascontiguousarray(intervals, dtype="<f8").data)
    return whole.hexdigest()


def write_shard(folder: Path, spec: str, entries: Sequence[Entry]) -> Path:
    """Write clips as one shard: when this returns, they survive a crash.

    Raises:
        StoreError: If the clips differ in columns, shape of a row or type, or the disk refuses.
    """
    first = entries[0].sequence
    for entry in entries:
        found = entry.sequence
        if (found.names, found.features.dtype, found.features.shape[1:]) != (
            first.names,
            first.features.dtype,
            first.features.shape[1:],
        ):
            raise StoreError(
                f"'{entry.clip_id}' gives rows {found.features.shape[1:]} {found.features.dtype}, the set "
                f"has {first.features.shape[1:]} {first.features.dtype}: one feature set has one kind of row"
            )
    place = folder / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}.h5"
    temporary = place.with_name(f".{place.name}.tmp")
    try:
        _fill(temporary, spec, entries)
        _sync(temporary)
        temporary.replace(place)
        _sync(folder)
    except (OSError, RuntimeError) as error:  # HDF5 closes a file on a full disk with a RuntimeError
        with suppress(OSError):
            temporary.unlink()
        raise StoreError(f"cannot write to {folder}: {getattr(error, 'strerror', None) or error}") from error
    return place


def _fill(path: Path, spec: str, entries: Sequence[Entry]) -> None:
    sequences = [entry.sequence for entry in entries]
    lengths = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    features = np.concatenate([s.features for s in sequences])
    little = features.dtype.newbyteorder("<")
    text = h5py.string_dtype("utf-8")
    with h5py.File(path, "w", alignment_threshold=ALIGNMENT, alignment_interval=ALIGNMENT) as file:
        file.attrs.update({"format": FORMAT, "spec": spec, "created": time.time_ns()})
        file.create_dataset("features", data=features.astype(little, copy=False))
        file.create_dataset("intervals", data=np.concatenate([s.intervals for s in sequences]).astype("<f8"))
        file.create_dataset("offsets", data=lengths)
        file.create_dataset("clip_ids", data=[entry.clip_id for entry in entries], dtype=text)
        file.create_dataset("sources", data=np.array([e.source for e in entries], dtype="S64"))
        digests = [clip_digest(s.features, s.intervals) for s in sequences]
        file.create_dataset("digests", data=np.array(digests, dtype="S64"))
        file.create_dataset("names", data=list(sequences[0].names), dtype=text)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_header(path: Path) -> Header:
    """All of a shard but its features.

    Raises:
        StoreError: If the file is not a shard that this version reads, or is damaged.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs["format"] != FORMAT:
                raise StoreError(f"{path} has format {file.attrs['format']}; this featzoo reads {FORMAT}")
            features, intervals = file["features"], file["intervals"]
            header = Header(
                [str(name) for name in file["clip_ids"].asstr()[:]],
                [value.decode() for value in file["sources"][:].tolist()],
                [value.decode() for value in file["digests"][:].tolist()],
                file["offsets"][:],
                tuple(str(name) for name in file["names"].asstr()[:]),
                features.dtype.str,
                tuple(map(int, features.shape[1:])),
                (features.id.get_offset() or 0, intervals.id.get_offset() or 0),
                int(file.attrs["created"]),
            )
            size = header.places[0] + features.id.get_storage_size() if len(features) else 0
            if path.stat().st_size < size or len(features) != header.offsets[-1]:
                raise StoreError(f"{path} is cut short")
            return header
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error


@lru_cache(maxsize=256)
def _map(path: Path) -> Array:
    return np.memmap(path, dtype=np.uint8, mode="r")


def mapped(path: Path, header: Header) -> tuple[Array, Array]:
    """Features (sum T, ..., D) and intervals (sum T, 2) of a shard: read-only views, nothing is copied.

    Raises:
        StoreError: If the file is gone or cut short.
    """
    rows = int(header.offsets[-1])
    if rows == 0:
        return np.empty((0, *header.tail), dtype=header.dtype), np.empty((0, 2))
    try:
        memory = _map(path)
        features = np.ndarray((rows, *header.tail), header.dtype, memory, header.places[0])
        intervals = np.ndarray((rows, 2), "<f8", memory, header.places[1])
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path} cannot be mapped: {error}") from error
    return features, intervals

"""Shards: the store's one file format. Immutable HDF5 files of one to many clips.

Datasets, all contiguous and unfiltered so that they can be mapped at their file offsets:
`features` (sum T, ..., D), `intervals` (sum T, 2) float64 seconds, `offsets` (N + 1) int64 rows,
`clip_ids` (N) UTF-8, `sources` (N) and `digests` (N) hex SHA-256, `names` (D) UTF-8, and where a clip has
notes, `notes` (N) UTF-8 JSON. Attributes:
`format`, `spec` (digest of the feature set's spec), `created` (nanoseconds since 1970; more than that of any shard
that its writer could see, so that a slow clock does not make new features old).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import h5py
import numpy as np

from featzoo.durable import replacing, write_new
from featzoo.errors import StoreError
from featzoo.sequence import Array, FeatureSequence

FORMAT = 1
# Data sets of this many bytes or more start at multiples of it, so that mapped arrays are aligned.
ALIGNMENT = 64


class VanishedShard(StoreError):
    """A shard that disappeared after its folder was listed: another process has packed it into another shard."""


class Entry(NamedTuple):
    """One clip to write into a shard.

    Attributes:
        clip_id: Its id.
        source: The digest of its inputs.
        sequence: Its features.
        notes: Notes on how it was decoded, by kind (see `featzoo.media.clip.Clip.notes`).
    """

    clip_id: str
    source: str
    sequence: FeatureSequence
    notes: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Layout:
    """The layout of a shard, which a reader needs to map it.

    Attributes:
        offsets: (N + 1) rows; clip i has rows offsets[i] to offsets[i + 1].
        names: D column names.
        dtype: Type of the features.
        tail: Shape of one row.
        places: Byte offsets of features and intervals in the file.
        created: Nanoseconds since 1970; orders the shards of a set.
    """

    offsets: Array
    names: tuple[str, ...]
    dtype: str
    tail: tuple[int, ...]
    places: tuple[int, int]
    created: int

    @property
    def kind(self) -> tuple[tuple[str, ...], np.dtype[Any], tuple[int, ...]]:
        """Column names, type and shape of the rows, which are the same throughout a feature set."""
        return self.names, np.dtype(self.dtype), self.tail


@dataclass(frozen=True, eq=False)
class Header(Layout):
    """The content of a shard without its rows.

    Attributes:
        clip_ids: N ids.
        sources: N digests of the clips' inputs.
        digests: N digests of each clip's bytes.
    """

    clip_ids: list[str]
    sources: list[str]
    digests: list[str]


def check_id(clip_id: str) -> None:
    """Refuse ids that cannot be stored.

    Raises:
        StoreError: If it has a NUL character, or is not Unicode text.
    """
    if "\0" in clip_id:
        raise StoreError(f"a clip's id cannot have a NUL character: {clip_id!r}")
    try:
        clip_id.encode()
    except UnicodeEncodeError as error:
        raise StoreError(
            f"a clip's id must be Unicode text: {clip_id!r} is not. Rename the file, or give another id in a manifest"
        ) from error


def clip_digest(features: Array, intervals: Array) -> str:
    """SHA-256 of one clip's dtype, shape, features and intervals (little-endian, C order)."""
    kind = features.dtype.newbyteorder("<")
    whole = hashlib.sha256(f"{kind.str}{features.shape}".encode())
    whole.update(np.ascontiguousarray(features, dtype=kind).data)
    whole.update(np.ascontiguousarray(intervals, dtype="<f8").data)
    return whole.hexdigest()


def write_shard(folder: Path, spec: str, entries: Sequence[Entry], created: int = 0) -> Path:
    """Write clips as one shard: when this returns, they survive a crash.

    Args:
        folder: Folder of the set's shards.
        spec: Digest of the set's spec.
        entries: The clips; of two copies of one, the later counts.
        created: Orders the set's shards; 0 is now, in nanoseconds since 1970.

    Raises:
        StoreError: If the clips differ in columns, shape of a row or type, an id cannot be stored, or the shard cannot
            be written.
    """
    first = entries[0].sequence
    for entry in entries:
        check_id(entry.clip_id)
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
    place = new_shard(folder)
    # HDF5 passes over errors of a disk when it closes a file: it writes to memory only.
    image = io.BytesIO()
    _fill(image, spec, entries, created or time.time_ns())
    with replacing(place) as temporary:
        write_new(temporary, image.getbuffer())
    return place


def new_shard(folder: Path) -> Path:
    """A unique name for a shard among all processes and hosts."""
    return folder / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}.h5"


def _fill(image: io.BytesIO, spec: str, entries: Sequence[Entry], created: int) -> None:
    sequences = [entry.sequence for entry in entries]
    lengths = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    features = np.concatenate([s.features for s in sequences])
    little = features.dtype.newbyteorder("<")
    text = h5py.string_dtype("utf-8")
    with h5py.File(image, "w", alignment_threshold=ALIGNMENT, alignment_interval=ALIGNMENT) as file:
        file.attrs.update({"format": FORMAT, "spec": spec, "created": created})
        file.create_dataset("features", data=features.astype(little, copy=False))
        file.create_dataset("intervals", data=np.concatenate([s.intervals for s in sequences]).astype("<f8"))
        file.create_dataset("offsets", data=lengths)
        file.create_dataset("clip_ids", data=[entry.clip_id for entry in entries], dtype=text)
        file.create_dataset("sources", data=np.array([e.source for e in entries], dtype="S64"))
        digests = [clip_digest(s.features, s.intervals) for s in sequences]
        file.create_dataset("digests", data=np.array(digests, dtype="S64"))
        file.create_dataset("names", data=list(sequences[0].names), dtype=text)
        if any(entry.notes for entry in entries):
            notes = [json.dumps(dict(entry.notes), ensure_ascii=False) for entry in entries]
            file.create_dataset("notes", data=notes, dtype=text)


def read_header(path: Path) -> Header:
    """The content of a shard without its features.

    Raises:
        VanishedShard: If it no longer exists.
        StoreError: If the file is not a shard that this version reads, or is damaged.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs["format"] != FORMAT:
                raise StoreError(f"{path} has format {file.attrs['format']}; this featzoo reads {FORMAT}")
            features, intervals = file["features"], file["intervals"]
            header = Header(
                offsets=file["offsets"][:],
                names=tuple(str(name) for name in file["names"].asstr()[:]),
                dtype=features.dtype.str,
                tail=tuple(map(int, features.shape[1:])),
                places=(features.id.get_offset() or 0, intervals.id.get_offset() or 0),
                created=int(file.attrs["created"]),
                clip_ids=[str(name) for name in file["clip_ids"].asstr()[:]],
                sources=[value.decode() for value in file["sources"][:].tolist()],
                digests=[value.decode() for value in file["digests"][:].tolist()],
            )
            size = header.places[0] + features.id.get_storage_size() if len(features) else 0
            if path.stat().st_size < size or len(features) != header.offsets[-1]:
                raise StoreError(f"{path} is truncated")
            return header
    except FileNotFoundError as error:
        raise VanishedShard(f"{path} is gone") from error
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        # For a file that is deleted while HDF5 opens it, the error is not always "not found".
        if not path.exists():
            raise VanishedShard(f"{path} is gone") from error
        raise StoreError(f"{path} is damaged: {error}") from error


def read_notes(path: Path) -> list[dict[str, str]]:
    """The notes of each clip of a shard, in its order, by kind.

    Raises:
        VanishedShard: If it is gone.
        StoreError: If it is damaged.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            if "notes" not in file:
                return [{} for _ in range(len(file["clip_ids"]))]
            return [dict(json.loads(text)) for text in file["notes"].asstr()[:]]
    except FileNotFoundError as error:
        raise VanishedShard(f"{path} is gone") from error
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if not path.exists():
            raise VanishedShard(f"{path} is gone") from error
        raise StoreError(f"{path} is damaged: {error}") from error


def mapped(path: Path, layout: Layout) -> tuple[Array, Array]:
    """Features (sum T, ..., D) and intervals (sum T, 2) of a shard: read-only views, nothing is copied.

    Raises:
        VanishedShard: If the file no longer exists.
        StoreError: If it is truncated.
    """
    rows = int(layout.offsets[-1])
    if rows == 0:
        return np.empty((0, *layout.tail), dtype=layout.dtype), np.empty((0, 2))
    try:
        memory = np.memmap(path, dtype=np.uint8, mode="r")
        features = np.ndarray((rows, *layout.tail), layout.dtype, memory, layout.places[0])
        intervals = np.ndarray((rows, 2), "<f8", memory, layout.places[1])
    except FileNotFoundError as error:
        raise VanishedShard(f"{path} is gone") from error
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path} cannot be mapped: {error}") from error
    return features, intervals

"""Shards: the store's one file format. Immutable HDF5 files of one to many clips; docs/reference/store-format.md.

All datasets are contiguous and unfiltered, so that they can be mapped at their file offsets. This module has the types
and checksums; shards are written by `shard_writer`, read by `shard_reader`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xxhash

from featzoo.errors import NewerFormat, StoreError
from featzoo.sequence import Array, FeatureSequence

# Of the shards that are written, and those that are read.
FORMAT, READABLE = 2, (1, 2)


class VanishedShard(StoreError):
    """A shard that disappeared after its folder was listed: another process has packed it into another shard."""


def newer(place: Path, version: int, read: int = FORMAT) -> NewerFormat:
    """The error for a file of a format that a later featzoo writes; `read` is the newest that this one reads."""
    return NewerFormat(f"{place} has format {version}, newer than {read}, which this featzoo reads: upgrade featzoo")


class Entry(NamedTuple):
    """One clip to write into a shard.

    Attributes:
        clip_id: Its id.
        source: The digest of its inputs.
        sequence: Its features.
        notes: Notes on how it was decoded, by kind (see `featzoo.media.clip.Clip.notes`).
        digest: Digest of its bytes (see `clip_digest`), where another shard has recorded it; computed if empty. A copy
            keeps it, so that damage on the way is noticed.
    """

    clip_id: str
    source: str
    sequence: FeatureSequence
    notes: Mapping[str, str] = MappingProxyType({})
    digest: str = ""


class Places(NamedTuple):
    """Byte offsets of a shard's datasets in its file; format 1 has only features and intervals.

    Attributes:
        features: Rows of all clips.
        intervals: Times of the rows.
        checks: One checksum for each clip; 0 in format 1.
        sources: One digest for each clip.
        noted: Numbers of the clips that have notes.
        notes: Notes of these clips.
        notes_count: Number of these clips.
        notes_width: Bytes of each clip's notes.
    """

    features: int
    intervals: int
    checks: int = 0
    sources: int = 0
    noted: int = 0
    notes: int = 0
    notes_count: int = 0
    notes_width: int = 1


@dataclass(frozen=True, eq=False)
class Layout:
    """The layout of a shard, which a reader needs to map it.

    Attributes:
        offsets: (N + 1) rows; clip i has rows offsets[i] to offsets[i + 1].
        names: D column names.
        dtype: Type of the features.
        tail: Shape of one row.
        places: Where the datasets lie in the file.
        created: Nanoseconds since 1970; orders the shards of a set.
    """

    offsets: Array
    names: tuple[str, ...]
    dtype: str
    tail: tuple[int, ...]
    places: Places
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
        notes: The notes of clips that have some, by number, as JSON.
    """

    clip_ids: list[str]
    sources: list[str]
    digests: list[str]
    notes: Mapping[int, str] = field(default_factory=dict)


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


class Check:
    """The checksums of clips with rows of one kind and the same columns: XXH3 (64 bits) of all a shard holds of a clip.

    Verifying a short clip takes as long as a few Python calls, so what its clips have in common is encoded once.

    Args:
        dtype: Type of the features.
        tail: Shape of one row.
        names: Column names.
    """

    def __init__(self, dtype: np.dtype[Any], tail: tuple[int, ...], names: Sequence[str]) -> None:
        columns = "\0".join(names)
        self._start = f"{dtype.str}(".encode()
        self._middle = str((0, *tail)).removeprefix("(0").encode() + b"\0"
        self._end = b"\0" + columns.encode()

    def of(
        self, count: int, clip_id: bytes, source: bytes, notes: bytes, features: memoryview, intervals: memoryview
    ) -> int:
        """The checksum of one clip.

        Args:
            count: Number of rows.
            clip_id: Its id in UTF-8.
            source: Its source.
            notes: Its notes as JSON, empty without notes.
            features: Bytes of its features, little-endian, C order.
            intervals: Bytes of its intervals.
        """
        told = (self._start, count, self._middle, clip_id, source, notes, self._end)
        whole = xxhash.xxh3_64(b"%b%d%b%b\0%b\0%b%b" % told)
        whole.update(features)
        whole.update(intervals)
        return whole.intdigest()

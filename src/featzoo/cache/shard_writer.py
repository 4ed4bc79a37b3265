"""Write clips as one shard of format 2."""

from __future__ import annotations

import io
import json
import os
import socket
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from featzoo.cache.shard import FORMAT, Check, Entry, check_id, clip_digest
from featzoo.cache.shard_reader import TABLES, damage_of, read_header, tables_check
from featzoo.durable import replacing, write_new
from featzoo.errors import StoreError
from featzoo.sequence import Array, FeatureSequence

# Datasets start at multiples of this many bytes, so that mapped arrays are aligned.
ALIGNMENT = 64


def write_shard(folder: Path, spec: str, entries: Sequence[Entry], created: int = 0) -> Path:
    """Write clips as one shard, and verify it: when this returns, they survive a crash.

    Args:
        folder: Folder of the set's shards.
        spec: Digest of the set's spec.
        entries: The clips; of two copies of one, the later counts.
        created: Orders the set's shards; 0 is now, in nanoseconds since 1970.

    Raises:
        StoreError: If the clips differ in columns, shape of a row or type, an id cannot be stored, the shard cannot
            be written, or it reads back differently; no file is left then.
    """
    first = entries[0].sequence
    for name in first.names:
        if "\0" in name:
            raise StoreError(f"the name of a column cannot have a NUL character: {name!r}")
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
    # HDF5 ignores I/O errors when it closes a file, so it writes to memory only.
    image = io.BytesIO()
    _fill(image, spec, entries, created or time.time_ns())
    with replacing(place) as temporary:
        with image.getbuffer() as content:
            write_new(temporary, content)
        problem = damage_of(temporary, read_header(temporary))
        if problem:
            raise StoreError(f"{place} reads back differently from what was written ({problem}): it was not kept")
    return place


def new_shard(folder: Path) -> Path:
    """A unique name for a shard among all processes and hosts."""
    return folder / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}.h5"


def _fill(image: io.BytesIO, spec: str, entries: Sequence[Entry], created: int) -> None:
    sequences = [entry.sequence for entry in entries]
    features = np.concatenate([s.features for s in sequences])  # keeps the Fortran order of its parts
    features = np.ascontiguousarray(features, dtype=features.dtype.newbyteorder("<"))
    intervals = np.ascontiguousarray(np.concatenate([s.intervals for s in sequences]), dtype="<f8")
    names = sequences[0].names
    notes = {number: json.dumps(dict(entry.notes)) for number, entry in enumerate(entries) if entry.notes}
    tables = {
        "offsets": np.cumsum([0, *map(len, sequences)], dtype="<i8"),
        "clip_ids": fixed([entry.clip_id for entry in entries]),
        "names": fixed(names),
        "sources": np.array([entry.source for entry in entries], dtype="S64"),
        "digests": np.array([entry.digest or _digest(entry.sequence) for entry in entries], dtype="S64"),
    }
    tables["checks"] = _checks(entries, (features, intervals, tables["offsets"]), notes)
    if notes:
        tables |= {"noted": np.array(list(notes), "<i8"), "notes": fixed(list(notes.values()))}
    attributes = {"format": FORMAT, "spec": spec, "created": created}
    # From version 1.8 on, HDF5 keeps checksums of its own structures.
    with h5py.File(image, "w", libver=("v108", "v108"), alignment_threshold=1, alignment_interval=ALIGNMENT) as file:
        file.attrs.update({**attributes, "spec": np.bytes_(spec.encode())})
        file.attrs["tables"] = np.uint64(tables_check(attributes, features, tables))
        file.create_dataset("features", data=features)
        file.create_dataset("intervals", data=intervals)
        for name in TABLES:
            if name in tables:
                file.create_dataset(name, data=tables[name])


def _digest(sequence: FeatureSequence) -> str:
    return clip_digest(sequence.features, sequence.intervals)


def fixed(strings: Sequence[str]) -> Array:
    """(N,) UTF-8 bytes, padded with NUL to the length of the longest.

    HDF5 is told that they are ASCII: it converts between the two only in name, and GNU Octave asks for ASCII.
    """
    encoded = [text.encode() for text in strings]
    return np.array(encoded, dtype=f"S{max(1, *map(len, encoded), 1)}")


def _checks(entries: Sequence[Entry], rows: tuple[Array, Array, Array], notes: dict[int, str]) -> Array:
    features, intervals, offsets = rows
    check = Check(features.dtype, features.shape[1:], entries[0].sequence.names)
    checks = []
    for number, entry in enumerate(entries):
        first, last = offsets[number : number + 2].tolist()
        told = (entry.clip_id.encode(), entry.source.encode(), notes.get(number, "").encode())
        checks.append(check.of(last - first, *told, features[first:last].data, intervals[first:last].data))
    return np.array(checks, "<u8")

"""Outputs of frozen parts on disk, written while they are computed, so that a killed training continues there."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import numpy as np

from featzoo.durable import write
from featzoo.errors import StoreError
from featzoo.sequence import Array

SECONDS = 10.0  # between two files
# Errors of NumPy for a file that is damaged, or not as it was written here.
DAMAGED = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile)

Arrays = dict[str, list[Array | None]]


class KeptParts:
    """The outputs for the batches of one split, in files that each hold several batches.

    Files that cannot be written (a store that is read-only, a full disk) or read are left out: their batches are
    computed again.

    Args:
        folder: Of one key, see `frozen_features.key_of`.
        limit: Bytes of outputs that are written at most.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.left = folder, limit
        self.waiting: dict[int, Arrays] = {}
        self.last = time.monotonic()
        self.found = self._read()

    def get(self, number: int) -> Arrays | None:
        """Role to the arrays (T, D) of the clips of batch `number`; None if they are not on disk."""
        return self.found.get(number)

    def add(self, number: int, arrays: Arrays) -> None:
        """Keep what was computed for batch `number`; written at once if the last file is some seconds old."""
        self.left -= sum(a.nbytes for each in arrays.values() for a in each if a is not None)
        if self.left >= 0:
            self.waiting[number] = arrays
        if time.monotonic() - self.last >= SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        self.last = time.monotonic()
        if not self.waiting:
            return
        packed: dict[str, Array] = {}
        for number, arrays in self.waiting.items():
            for role, each in arrays.items():
                there = [a for a in each if a is not None]
                packed[f"{number}/{role}/lengths"] = np.array([0 if a is None else len(a) for a in each])
                packed[f"{number}/{role}/values"] = np.concatenate(there) if there else np.empty((0, 0), np.float32)
        content = io.BytesIO()
        np.savez(content, **packed)  # type: ignore[arg-type]
        first, last = min(self.waiting), max(self.waiting)
        self.waiting = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write(self.folder / f"{first:06d}-{last:06d}.npz", content.getvalue())
        except (OSError, StoreError):
            self.left = -1  # nothing more is kept

    def _read(self) -> dict[int, Arrays]:
        found: dict[int, Arrays] = {}
        for place in sorted(self.folder.glob("*.npz")):
            try:
                with np.load(place, allow_pickle=False) as packed:
                    found |= _unpacked(dict(packed))
            except DAMAGED:
                continue
        return found


def _unpacked(packed: dict[str, Array]) -> dict[int, Arrays]:
    """Batch number to its arrays, of a file's arrays."""
    found: dict[int, Arrays] = {}
    for name in packed:
        if not name.endswith("/lengths"):
            continue
        number, role, _ = name.split("/")
        values, lengths = packed[f"{number}/{role}/values"], packed[name]
        if len(values) != lengths.sum():
            raise ValueError(f"{len(values)} rows, expected {lengths.sum()}")
        ends = np.cumsum(lengths)
        arrays = [values[end - n : end] if n else None for n, end in zip(lengths.tolist(), ends.tolist(), strict=True)]
        found.setdefault(int(number), {})[role] = arrays
    return found

"""Read a feature store with only h5py and NumPy (and xxhash, if installed): copy this file into any project.

    from reader import Store
    store = Store("features")
    store.sets()                                   # ['egemaps-bc7e48cf', ...]
    features, intervals, names = store.read("egemaps", "clip01.mp4")

The format is described in docs/reference/store-format.md. This file does not import featzoo.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

try:
    import xxhash
except ImportError:  # SHA-256 is compared instead, which is slower
    xxhash = None  # type: ignore[assignment]

FORMATS = (1, 2)


class Store:
    """A featzoo feature store, read-only.

    Raises:
        ValueError: If the folder is not a store of this format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        declared = _document(self.path / "STORE.json")
        if declared["format"] not in FORMATS:
            raise ValueError(f"{self.path} has format {declared['format']}; this reader supports {FORMATS}")
        self._keys: dict[str, str] = {}
        self._places: dict[str, dict[str, tuple[Path, int]]] = {}

    def sets(self) -> list[str]:
        """The keys of all feature sets: name and the first 8 digits of the spec's digest."""
        return sorted(place.parent.name for place in self.path.glob("*/set.json"))

    def key(self, name: str) -> str:
        """The one set of this name or key.

        Raises:
            KeyError: If no set or more than one has this name.
        """
        if name not in self._keys:
            found = [key for key in self.sets() if name in (key, key.rsplit("-", 1)[0])]
            if len(found) != 1:
                raise KeyError(f"{len(found)} sets are called '{name}': {found or self.sets()}")
            self._keys[name] = found[0]
        return self._keys[name]

    def describe(self, name: str) -> dict[str, Any]:
        """A set's name, digest, spec and provenance."""
        return _document(self.path / self.key(name) / "set.json")

    def clips(self, name: str) -> list[str]:
        """The ids of a set's clips."""
        return sorted(self._index(self.key(name)))

    def read(self, name: str, clip: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[str]]:
        """One clip: features (T, ..., D) memory-mapped from the file, intervals (T, 2) seconds, D column names.

        Every read is compared with the clip's checksum. For a clip that was stored more than once, the last copy is
        returned. (featzoo itself returns the copy that matches the clip's current media and words, and compares each
        clip once per process.)

        Raises:
            KeyError: If the set has no such clip.
            ValueError: If the shard is damaged, or the clip's bytes differ from those that were written.
        """
        key = self.key(name)
        index = self._index(key)
        if clip not in index:
            raise KeyError(f"no '{clip}' in {key}")
        place, number = index[clip]
        try:
            return _shard(place).read(number, clip)
        except (OSError, AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
            raise ValueError(f"{place} cannot be read: {error}") from error

    def _index(self, key: str) -> dict[str, tuple[Path, int]]:
        """Clip id to its newest shard and its number in it; read once."""
        if key not in self._places:
            found: dict[str, tuple[int, Path, int]] = {}
            for place in (self.path / key / "shards").glob("*.h5"):
                if place.name.startswith("."):
                    continue  # unfinished
                try:
                    created, clips = _header(place)
                except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
                    warnings.warn(f"{place} cannot be read, the other shards can: {error}", stacklevel=3)
                    continue
                for number, clip in enumerate(clips):
                    found[clip] = max(found.get(clip, (-1, place, 0)), (created, place, number))
            self._places[key] = {clip: (place, number) for clip, (_, place, number) in found.items()}
        return self._places[key]


def _document(place: Path) -> dict[str, Any]:
    """A JSON object without its checksum, which is compared if xxhash is installed."""
    document: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    check = document.pop("check", None)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    if check is not None and xxhash is not None and check != xxhash.xxh3_64_hexdigest(text.encode()):
        raise ValueError(f"{place} differs from what was written")
    return document


def _header(place: Path) -> tuple[int, list[str]]:
    """The number that orders a shard, and the ids of its clips."""
    with h5py.File(place, "r", locking=False) as file:
        if int(file.attrs["format"]) not in FORMATS:
            raise ValueError(f"it has format {file.attrs['format']}; this reader supports {FORMATS}")
        return int(file.attrs["created"]), _texts(file["clip_ids"])


def _texts(dataset: Any) -> list[str]:
    """Strings: UTF-8 of fixed length or, in format 1, of variable length."""
    return [value.decode() for value in dataset[:].tolist()]


class _Shard:
    """The tables of one shard, and its rows mapped from the file."""

    def __init__(self, place: Path) -> None:
        self.place, memory = place, np.memmap(place, np.uint8, "r")
        with h5py.File(place, "r", locking=False) as file:
            self.features, self.intervals = _rows(file["features"], memory), _rows(file["intervals"], memory)
            self.offsets, self.names = file["offsets"][:].tolist(), _texts(file["names"])
            self.digests, self.sources = _texts(file["digests"]), _texts(file["sources"])
            self.checks = file["checks"][:].tolist() if "checks" in file and xxhash is not None else None
            noted = file["noted"][:].tolist() if "noted" in file else []
            self.notes = dict(zip(noted, _texts(file["notes"]), strict=True)) if noted else {}

    def read(self, number: int, clip: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[str]]:
        """One clip, compared with its checksum; docs/reference/store-format.md defines it."""
        first, last = self.offsets[number : number + 2]
        features, intervals = self.features[first:last], self.intervals[first:last]
        shape = f"{features.dtype.str}{features.shape}"
        if self.checks is None:
            whole = hashlib.sha256(shape.encode() + features.tobytes() + intervals.tobytes()).hexdigest()
            intact = whole == self.digests[number]
        else:
            head = "\0".join((shape, clip, self.sources[number], self.notes.get(number, ""), *self.names))
            check = xxhash.xxh3_64(head.encode())
            check.update(features.data)
            check.update(intervals.data)
            intact = check.intdigest() == self.checks[number]
        if not intact:
            raise ValueError(f"{self.place}: the bytes of '{clip}' differ from those that were written")
        return features, intervals, list(self.names)


def _rows(dataset: Any, memory: Any) -> np.ndarray[Any, Any]:
    """A dataset, as a view of the mapped file."""
    if dataset.dtype.kind not in "biufc" or (dataset.size and dataset.id.get_offset() is None):
        raise ValueError(f"{dataset.file.filename}: {dataset.name} is not numbers in one piece")
    return np.ndarray(dataset.shape, dataset.dtype, memory, dataset.id.get_offset() or 0)


# Shards that stay mapped: each takes a file descriptor.
_shard = lru_cache(maxsize=64)(_Shard)

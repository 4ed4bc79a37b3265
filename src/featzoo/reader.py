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
        self._places: dict[str, dict[str, tuple[Path, int]]] = {}

    def sets(self) -> list[str]:
        """The keys of all feature sets: name and the first 8 digits of the spec's digest."""
        return sorted(place.parent.name for place in self.path.glob("*/set.json"))

    def key(self, name: str) -> str:
        """The one set of this name or key.

        Raises:
            KeyError: If no set or more than one has this name.
        """
        found = [key for key in self.sets() if name in (key, key.rsplit("-", 1)[0])]
        if len(found) != 1:
            raise KeyError(f"{len(found)} sets are called '{name}': {found or self.sets()}")
        return found[0]

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
            ValueError: If the clip's bytes differ from those that were written.
        """
        key = self.key(name)
        index = self._index(key)
        if clip not in index:
            raise KeyError(f"no '{clip}' in {key}")
        place, number = index[clip]
        with h5py.File(place, "r", locking=False) as file:
            first, last = (int(value) for value in file["offsets"][number : number + 2])
            names = _texts(file["names"])
            intervals = file["intervals"][first:last]
            features, start = file["features"], file["features"].id.get_offset()
            kind, tail = features.dtype, features.shape[1:]
            shape = (last - first, *tail)
            if first == last:
                values = np.empty(shape, kind)
            else:
                size = int(np.prod(tail)) * kind.itemsize
                values = np.memmap(place, kind, "r", offset=start + first * size, shape=shape)
            if not _intact(file, number, values, intervals, names, clip):
                raise ValueError(f"{place}: the bytes of '{clip}' differ from those that were written")
        return values, intervals, names

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


def _intact(file: Any, number: int, features: Any, intervals: Any, names: list[str], clip: str) -> bool:
    """Whether a clip matches its checksum; docs/reference/store-format.md defines it."""
    shape = f"{features.dtype.str}{features.shape}"
    if "checks" not in file or xxhash is None:
        whole = hashlib.sha256(shape.encode() + features.tobytes() + intervals.tobytes()).hexdigest()
        return bool(whole == file["digests"][number].decode())
    noted = file["noted"][:].tolist() if "noted" in file else []
    notes = file["notes"][noted.index(number)].decode() if number in noted else ""
    head = "\0".join((shape, clip, file["sources"][number].decode(), notes, *names))
    check = xxhash.xxh3_64_intdigest(head.encode() + features.tobytes() + intervals.tobytes())
    return check == int(file["checks"][number])

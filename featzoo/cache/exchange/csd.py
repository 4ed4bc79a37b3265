"""CMU-MultimodalSDK's computational sequences (.csd), in and out."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import h5py
import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, StoreError
from featzoo.sequence import FeatureSequence

# What the SDK asks for. "dimension namescomputational sequence version" is its own slip, a missing comma: newer
# versions look for it, older ones for the two keys that it joins.
METADATA = (
    "root name",
    "computational sequence description",
    "computational sequence version",
    "alignment compatible",
    "dataset name",
    "dataset version",
    "creator",
    "contact",
    "featureset bib citation",
    "dataset bib citation",
    "dimension names",
    "dimension namescomputational sequence version",
    "uuid",
    "md5",
)


class Imported(NamedTuple):
    """What came in: the set's key, clips, infinite values made NaN, and entries refused with their reasons."""

    key: str
    clips: int
    infinite: int
    refused: dict[str, str]


def import_csd(path: Path, store_path: Path, name: str | None = None) -> Imported:
    """Put a .csd file into a store as one feature set; entries keep their names, times and columns.

    Args:
        path: A .csd file; metadata as JSON, plain text or bytes.
        store_path: Made if it is not there.
        name: Of the set; by default the sequence's root name in small letters.

    Raises:
        InvalidClips: If it is not a .csd file, or no entry can be read.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            roots = list(file.keys())
            if not roots or "data" not in file[roots[0]]:
                raise InvalidClips(f"{path} is not a .csd file: it has no root group with 'data'")
            root = file[roots[0]]
            metadata = read_metadata(root["metadata"]) if "metadata" in root else {}
            label = name or re.sub(r"[^a-z0-9.]+", "-", str(metadata.get("root name") or roots[0]).lower()).strip("-")
            counted = _Counted()
            store = FeatureStore.create(store_path)
            pairs = counted.sequences(root["data"], _columns(metadata))
            spec = {"options": {"csd": roots[0], "version": str(metadata.get("computational sequence version", ""))}}
            found = store.add(label, pairs, spec=spec, provenance={"source": path.name, "csd": metadata})
    except OSError as error:
        raise InvalidClips(f"{path} cannot be read as HDF5 (a truncated download?): {error}") from error
    if not counted.clips:
        raise InvalidClips(f"{path}: none of {len(counted.refused)} entries can be read: {counted.refused}")
    return Imported(found.key, counted.clips, counted.infinite, counted.refused)


class _Counted:
    """The sequences of a data group, and what was noticed on the way."""

    def __init__(self) -> None:
        self.clips, self.infinite = 0, 0
        self.refused: dict[str, str] = {}

    def sequences(self, data: h5py.Group, columns: tuple[str, ...]) -> Iterator[tuple[str, FeatureSequence]]:
        kind: tuple[np.dtype[Any], tuple[int, ...]] | None = None
        for entry, group in data.items():
            try:
                features, intervals = group["features"][:], group["intervals"][:]
                features = features[:, None] if features.ndim == 1 else features
                kind = kind or (features.dtype, features.shape[1:])
                if features.dtype.kind not in "fiub" or features.shape[1:] != kind[1]:
                    raise ValueError(f"rows of shape {features.shape[1:]} and type {features.dtype}")
                infinite = ~np.isfinite(features) & ~np.isnan(features)
                self.infinite += int(infinite.sum())
                features = np.where(infinite, np.nan, features).astype(kind[0])
                names = columns if len(columns) == features.shape[-1] else _numbered(features.shape[-1])
                sequence = FeatureSequence(features, intervals, names)
            except (KeyError, ValueError) as error:
                self.refused[entry] = str(error)
                continue
            self.clips += 1
            yield unquote(entry), sequence


def _numbered(width: int) -> tuple[str, ...]:
    return tuple(f"column_{number}" for number in range(width))


def read_metadata(group: Mapping[str, Any]) -> dict[str, Any]:
    """A metadata group as plain values, whichever version of the SDK wrote it."""
    found = {}
    for key, held in group.items():
        value = held[()]
        value = value.flat[0] if isinstance(value, np.ndarray) else value
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def _columns(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Column names, from the key or from its slip; plain text may be the repr of a list."""
    for key in ("dimension names", "dimension namescomputational sequence version"):
        names = metadata.get(key)
        if isinstance(names, str):
            names = re.findall(r"'([^']*)'", names)
        if isinstance(names, list):
            return tuple(str(each) for each in names)
    return ()


def export_csd(store_path: Path, request: str, path: Path, metadata: Mapping[str, Any] | None = None) -> int:
    """Write one feature set as a .csd file that CMU-MultimodalSDK reads. Returns the number of entries.

    Clip ids become entry names; a `/`, which HDF5 would take for a path, is written as `%2F` (and `%` as `%25`).

    Args:
        store_path: The store.
        request: A feature set of rows (T, D).
        path: The file; an existing one is not overwritten.
        metadata: To replace or add to what is written, such as `creator`.

    Raises:
        MissingFeatures: If the store holds no such set.
        StoreError: If the file exists or cannot be written.
    """
    found = FeatureStore(store_path)[request]
    if path.suffix != ".csd":
        raise StoreError(f"{path}: the SDK reads only files called *.csd")
    if path.exists():
        raise StoreError(f"{path} exists: give another name")
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}.tmp")
    try:
        with h5py.File(temporary, "w") as file:
            root = file.create_group(found.name)
            data = root.create_group("data")
            for clip_id in found:
                entry = data.create_group(quote(clip_id, safe=" $[]()+,;=@!~'"))
                entry.create_dataset("features", data=found[clip_id].features)
                entry.create_dataset("intervals", data=found[clip_id].intervals)
            group = root.create_group("metadata")
            values = {**_metadata(found.name, found.names, found.spec), **(metadata or {})}
            for key in (*METADATA, *(key for key in values if key not in METADATA)):
                held = group.create_dataset(key, (1,), dtype=h5py.string_dtype())
                held[0] = json.dumps(values[key])
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    return len(found)


def _metadata(name: str, columns: tuple[str, ...], spec: Mapping[str, Any]) -> dict[str, Any]:
    version = f"featzoo {spec.get('extractor')} {spec.get('version')}"
    return {
        "root name": name,
        "computational sequence description": json.dumps(spec, sort_keys=True),
        "computational sequence version": version,
        "alignment compatible": True,
        "dataset name": "",
        "dataset version": "",
        "creator": "featzoo",
        "contact": "",
        "featureset bib citation": "",
        "dataset bib citation": "",
        "dimension names": list(columns),
        "dimension namescomputational sequence version": list(columns),
        "uuid": str(uuid.uuid4()),
        "md5": None,
    }

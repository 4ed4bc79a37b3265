"""Import and export of CMU-MultimodalSDK's computational sequences (.csd)."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import h5py
import numpy as np

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, StoreError
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.exchange.pickles.read import said
from featzoo.exchange.plain_hdf5 import array_in, group_in, read_numbers, read_texts
from featzoo.exchange.watched_file import watched
from featzoo.media.clip import Clip
from featzoo.media.transcripts.tiers import NO_WORD
from featzoo.media.transcripts.words import Word, without_wrong_times
from featzoo.sequence import Array
from featzoo.stand_ins import refuse_stand_in
from featzoo.untrusted import parse_json

# The SDK's required metadata. "dimension namescomputational sequence version" is a mistake in the SDK, a missing comma:
# newer versions look for it, older ones for the two keys that it joins.
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


def import_csd(
    path: Path, store_path: Path, name: str | None = None, dry_run: bool = False, cut: bool = False
) -> Account:
    """Import a .csd file as one feature set; entries keep their names, times and columns.

    A sequence of words, which the SDK stores as strings, becomes the words of clips; marks of silence are not
    words.

    Args:
        path: A .csd file; metadata as JSON, plain text or bytes.
        store_path: The store; created if missing.
        name: Name of the set; by default the sequence's root name in lower case.
        dry_run: Only report what would be imported.
        cut: Treat each entry as a whole recording and cut it at the times of the store's clips `recording$_$3`. A clip
            gets the rows whose midpoint is at or after its start and before its end, with times from its start.

    Raises:
        InvalidClips: If it is not a .csd file, no entry can be read, or the store has no clip of a recording.
    """
    refuse_stand_in(path, InvalidClips)
    try:
        with h5py.File(path, "r", locking=False) as file:
            name_of_root, root = _root(file, path)
            metadata = read_metadata(group_in(root, "metadata")) if "metadata" in root else {}
            own_name = str(metadata.get("root name") or name_of_root).lower()
            label = name or re.sub(r"[^a-z0-9.]+", "-", own_name).strip("-")
            columns = _columns(metadata)
            options = {"csd": name_of_root, "version": str(metadata.get("computational sequence version", ""))}
            data = group_in(root, "data")
            names, notes = {unquote(entry): entry for entry in data}, Counter[str]()
            if any(map(partial(_is_text, data), names.values())):
                return bring_in(
                    Arrival([], _spoken(data, names, store_path, cut), notes=said(notes)), store_path, dry_run
                )
            if cut:
                entries = _segments(data, names, columns, store_path, notes)
                options["cut"] = "segments"
            else:
                entries = ((entry, partial(_rows, data, name, columns)) for entry, name in names.items())
            incoming = Incoming(label, entries, options, {"source": path.name, "csd": metadata})
            return bring_in(Arrival([incoming], notes=said(notes)), store_path, dry_run)
    except (OSError, RuntimeError) as error:
        raise InvalidClips(f"{path} cannot be read as HDF5 (a truncated download?): {error}") from error
    except (ValueError, MemoryError) as error:
        raise InvalidClips(f"{path} is not a .csd file: {error}") from error


def _root(file: h5py.File, path: Path) -> tuple[str, h5py.Group]:
    name = next(iter(file.keys()), None)
    root = None if name is None else group_in(file, name)
    if name is None or root is None or "data" not in root:
        raise InvalidClips(f"{path} is not a .csd file: it has no root group with 'data'")
    return name, root


def _is_text(data: h5py.Group, name: str) -> bool:
    """Whether an entry's features are text; an entry that cannot be read is refused later."""
    try:
        return array_in(group_in(data, name), "features").dtype.kind in "SO"
    except ValueError:
        return False


def _read(data: h5py.Group, name: str) -> tuple[Array, Array]:
    """Features (N, ...) and intervals (N, 2) of an entry."""
    group = group_in(data, name)
    return read_numbers(group, "features"), _times(group)


def _times(group: h5py.Group) -> Array:
    times = read_numbers(group, "intervals")
    if times.ndim != 2 or times.shape[1] != 2:
        raise ValueError(f"its intervals have the shape {times.shape}, not (N, 2)")
    return times


def _spoken(data: h5py.Group, names: Mapping[str, str], store_path: Path, cut: bool) -> list[Clip]:
    """The clips with their words: one for each entry, or the store's parts of it."""
    parts = [clip for clip in _parts(store_path) if _recording(clip) in names] if cut else list(map(Clip, names))
    found = []
    for clip in parts:
        entry = _recording(clip) if cut else clip.id
        group = group_in(data, names[entry])
        times, texts = _times(group), read_texts(group, "features")
        if len(texts) != len(times):
            raise ValueError(f"'{entry}' has {len(texts)} words and {len(times)} intervals")
        middle, end = times.mean(axis=1), math.inf if clip.end is None else clip.end
        own = (middle >= clip.start) & (middle < end)
        spoken = [
            Word(texts[number], float(since), float(until))
            for number, (since, until) in zip(np.flatnonzero(own), times[own] - clip.start, strict=True)
            if texts[number].strip() and not NO_WORD.fullmatch(texts[number].strip())
        ]
        found.append(replace(clip, words=without_wrong_times(spoken)[0]))
    return found


def _rows(data: h5py.Group, name: str, columns: tuple[str, ...]) -> Rows:
    return Rows(*_read(data, name), columns)


def _segments(
    data: h5py.Group, names: Mapping[str, str], columns: tuple[str, ...], store_path: Path, notes: Counter[str]
) -> Iterator[tuple[str, Callable[[], Rows]]]:
    """The store's clips of the recordings; a recording is read once for all of its clips."""
    clips = _parts(store_path)
    inside = [clip for clip in clips if _recording(clip) in names]
    notes["the file has no entry for their recording"] += len(clips) - len(inside)
    read = lru_cache(maxsize=1)(lambda recording: _read(data, names[recording]))

    def rows(clip: Clip) -> Rows:
        features, times = read(_recording(clip))
        middle = times.mean(axis=1)
        own = (middle >= clip.start) & (middle < (clip.end or 0.0))
        if len(features) != len(own):
            raise ValueError(f"it has {len(features)} rows and {len(own)} intervals")
        notes["no row is within their time"] += not own.any()
        return Rows(features[own], times[own] - clip.start, columns)

    yield from ((clip.id, partial(rows, clip)) for clip in sorted(inside, key=_recording))


def _parts(store_path: Path) -> list[Clip]:
    """The clips of the store that are parts of recordings."""
    known = FeatureStore(store_path).clips().values() if store_path.is_dir() else ()
    clips = [clip for clip in known if "$_$" in clip.id and clip.end is not None]
    if not clips:
        raise InvalidClips(
            f"{store_path} has no part of a recording (a clip `recording$_$3` with start and end): import labels "
            "with times first, such as feat import mosei"
        )
    return clips


def _recording(clip: Clip) -> str:
    return clip.id.rpartition("$_$")[0]


def read_metadata(group: h5py.Group) -> dict[str, Any]:
    """A metadata group of any version of the SDK as plain values.

    Raises:
        ValueError: If an entry is not a value in the file.
    """
    found = {}
    for key in group:
        text = "".join(read_texts(group, key)[:1])
        try:
            found[key] = parse_json(text)
        except ValueError:
            found[key] = text
    return found


def _columns(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Column names, from the correct key or the SDK's mistaken one; plain text may be the repr of a list."""
    for key in ("dimension names", "dimension namescomputational sequence version"):
        names = metadata.get(key)
        if isinstance(names, str):
            names = re.findall(r"'([^']*)'", names)
        if isinstance(names, list):
            return tuple(str(each) for each in names)
    return ()


def export_csd(
    store_path: Path,
    request: str,
    path: Path,
    metadata: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> list[str]:
    """Write one feature set as a .csd file that CMU-MultimodalSDK reads. Returns a description of it.

    Clip ids become entry names; a `/`, which HDF5 would read as a path, is written as `%2F` (and `%` as `%25`).

    Args:
        store_path: The store.
        request: A feature set of rows (T, D).
        path: The file; an existing one is not overwritten.
        metadata: Entries that replace or extend the written metadata, such as `creator`.
        dry_run: Only report what would be written.

    Raises:
        MissingFeatures: If the store does not hold the set.
        StoreError: If the file exists or cannot be written.
    """
    found = FeatureStore(store_path)[request]
    if path.suffix != ".csd":
        raise StoreError(f"{path}: the SDK reads only files called *.csd")
    values = {**_metadata(found.name, found.names, found.spec), **(metadata or {})}
    holds = [f"{found.key}: {len(found)} entries x {len(found.names)} columns"]
    return deliver(Outgoing(path, holds, partial(_write, found, values)), dry_run)


def _write(found: FeatureSet, values: Mapping[str, Any], path: Path) -> None:
    with watched(path) as target, h5py.File(target, "w") as file:
        root = file.create_group(found.name)
        data = root.create_group("data")
        for clip_id in found:
            entry = data.create_group(quote(clip_id, safe=" $[]()+,;=@!~'"))
            entry.create_dataset("features", data=found[clip_id].features)
            entry.create_dataset("intervals", data=found[clip_id].intervals)
        group = root.create_group("metadata")
        for key in (*METADATA, *(key for key in values if key not in METADATA)):
            held = group.create_dataset(key, (1,), dtype=h5py.string_dtype())
            held[0] = json.dumps(values[key])


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

"""NumPy files: one .npz per feature set; imports also a folder with one .npy or .npz per clip. Never a pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.description import KEY, Description, describe, incoming, parse, plain_name
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.file_matching import clip_ids, files_of
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.exchange.npy_rows import Steps, open_archive, read_array
from featzoo.sequence import Array


def export_npz(store_path: Path, request: str, path: Path, dry_run: bool = False) -> list[str]:
    """Write a feature set as one .npz file, clip by clip. Returns a description of it.

    Its arrays: `features` (sum T, ..., D), `intervals` (sum T, 2) float64 seconds, `offsets` (N + 1) int64 (clip i
    has rows offsets[i] to offsets[i + 1]), `clip_ids` (N), `names` (D) and `featzoo`, the description as JSON.

    Args:
        store_path: The store.
        request: A feature set.
        path: The file; an existing one is not overwritten.
        dry_run: Only report what would be written.

    Raises:
        MissingFeatures: If the store does not hold the set.
        StoreError: If the file exists or cannot be written.
    """
    found = FeatureStore(store_path)[request]
    description = describe(found)
    holds = [f"{found.key}: {len(found)} clips x {len(description.names)} columns"]
    return deliver(Outgoing(path, holds, partial(_write, found, description)), dry_run)


def _write(found: FeatureSet, description: Description, path: Path) -> None:
    ids = found.ids()
    offsets = np.cumsum([0, *(len(found[clip]) for clip in ids)], dtype=np.int64)
    total = int(offsets[-1])
    kind = np.dtype(description.dtype).newbyteorder("<")
    small = {"offsets": offsets, "clip_ids": np.array(ids), "names": np.array(description.names, dtype=np.str_)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        with file.open("features.npy", "w", force_zip64=True) as member:
            _header(member, kind, (total, *description.row))
            for clip in ids:
                member.write(np.ascontiguousarray(found[clip].features, dtype=kind).tobytes())
        with file.open("intervals.npy", "w", force_zip64=True) as member:
            _header(member, np.dtype("<f8"), (total, 2))
            for clip in ids:
                member.write(np.ascontiguousarray(found[clip].intervals, dtype="<f8").tobytes())
        for name, array in {**small, KEY: np.array(description.text())}.items():
            with file.open(f"{name}.npy", "w") as member:
                npy.write_array(member, array, allow_pickle=False)


def _header(member: IO[bytes], kind: np.dtype[np.generic], shape: tuple[int, ...]) -> None:
    fields = {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    npy.write_array_header_2_0(member, fields)


def import_npz(place: Path, store_path: Path, name: str | None = None, dry_run: bool = False) -> Account:
    """Import NumPy files as one feature set.

    Args:
        place: A .npz of many clips (`features`, `offsets`, `clip_ids`, and optionally `intervals` and
            `names`), or a folder with one file per clip: .npy of (T, ..., D) or (T,), or .npz with `features` (or
            one array of any name), `intervals` and `names`.
        store_path: The store; created if missing.
        name: Name of the set; by default the name in the file, or the file's own.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has another format.
    """
    if place.is_dir():
        files = clip_ids(place, files_of(place, (".npy", ".npz")), store_path)
        each = ((clip, partial(_one_clip, path)) for clip, path in files)
        arrival = Arrival([Incoming(name or plain_name(place), each, provenance={"source": place.name})])
        return bring_in(arrival, store_path, dry_run)
    try:
        with open_archive(place) as file:
            held = {member.removesuffix(".npy") for member in file.namelist()}
            if not {"features", "offsets", "clip_ids"} <= held:
                raise InvalidClips(
                    f"{place} lacks {', '.join(sorted({'features', 'offsets', 'clip_ids'} - held))}: a set has these; "
                    "to import files of one clip each, name their folder"
                )
            description = parse(str(_read(file, KEY))) if KEY in held else None
            ids, offsets = [str(each) for each in _read(file, "clip_ids")], _read(file, "offsets")
            if offsets.shape != (len(ids) + 1,) or offsets.dtype.kind not in "iu" or (np.diff(offsets) < 0).any():
                raise InvalidClips(
                    f"{place}: offsets must be {len(ids) + 1} row numbers that never decrease, for {len(ids)} ids"
                )
            names = [str(each) for each in _read(file, "names")] if "names" in held else []
            lengths = np.diff(offsets).tolist()
            timed = file.open("intervals.npy") if "intervals" in held else nullcontext()
            with file.open("features.npy") as features, timed as intervals:
                entries = _entries(ids, lengths, names, Steps(features), Steps(intervals) if intervals else None)
                return bring_in(Arrival([incoming(place, description, entries, name)]), store_path, dry_run)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidClips(f"{place} cannot be read as .npz: {error}") from error


def _read(file: zipfile.ZipFile, name: str) -> Array:
    with file.open(f"{name}.npy") as member:
        return read_array(member)


def _entries(
    ids: Sequence[str], lengths: Sequence[int], names: Sequence[str], features: Steps, intervals: Steps | None
) -> Iterator[tuple[str, Callable[[], Rows]]]:
    def read(count: int) -> Rows:
        return Rows(features.take(count), intervals.take(count) if intervals else None, names)

    for clip, count in zip(ids, lengths, strict=True):
        yield clip, partial(read, count)


def _one_clip(path: Path) -> Rows:
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return Rows(read_array(file))
        with open_archive(path) as archive:
            held = [member.removesuffix(".npy") for member in archive.namelist()]
            name = held[0] if len(held) == 1 else "features"
            names = [str(each) for each in _read(archive, "names")] if "names" in held else ()
            return Rows(_read(archive, name), _read(archive, "intervals") if "intervals" in held else None, names)
    except (OSError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"cannot be read as NumPy data: {error}") from error

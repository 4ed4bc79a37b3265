"""Import of OpenFace's CSV files: one row per frame (and face) with landmarks, pose, gaze and action units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from featzoo.errors import suggestion
from featzoo.exchange.file_matching import clip_ids, files_of
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.sequence import Array

# Columns that identify rows and are not features; the tracker's confidence is a feature.
PLACES = ("frame", "face_id", "timestamp")
TRACKER = ("confidence", "success")
# Spellings of NaN by C libraries.
GAPS = ["", "nan", "-nan", "NaN", "NA", "nan(ind)", "-nan(ind)", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"]


def import_openface(
    place: Path, store_path: Path, columns: str | None = None, name: str = "openface", dry_run: bool = False
) -> Account:
    """Import the CSV files of OpenFace's FeatureExtraction: one feature set, one clip per file, float32.

    A row lasts until the next frame, the last as long as most rows. Where `success` is 0 nothing was observed: every
    column except `confidence` and `success` is NaN. Among several faces, the one with the greatest sum of confidence
    over its successful frames is kept (among equals, the largest), with a note.

    Args:
        place: A file, or a folder that is searched with its subfolders. A file's clip is the clip in the store with its
            path or name, or else that path without suffix.
        store_path: The store; created if missing.
        columns: Patterns, separated by commas, such as `AU*_r,gaze_*`; by default every column.
        name: Name of the feature set.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If no file is found, two belong to one clip, or none can be read.
    """
    notes: list[str] = []
    patterns = tuple(pattern.strip() for pattern in columns.split(",")) if columns else ("*",)
    entries = _entries(place, store_path, patterns, notes)
    incoming = Incoming(
        name, entries, {"columns": "+".join(patterns)} if columns else {}, {"source": place.name, "modality": "vision"}
    )
    return bring_in(Arrival([incoming], notes=notes), store_path, dry_run)


def _entries(
    place: Path, store_path: Path, patterns: Sequence[str], notes: list[str]
) -> Iterator[tuple[str, Callable[[], Rows]]]:
    for clip, path in clip_ids(place, files_of(place, (".csv",)), store_path):
        yield clip, partial(_rows, clip, path, patterns, notes)


def _rows(clip: str, path: Path, patterns: Sequence[str], notes: list[str]) -> Rows:
    names, values = _read(path)
    held = dict(zip(names, values.T, strict=True))  # each (T,)
    kept = [column for column in names if column not in PLACES and any(fnmatchcase(column, p) for p in patterns)]
    if not kept:
        raise ValueError(f"no column is called {' or '.join(patterns)}{suggestion(patterns[0], names)}")
    values = np.stack([held[column] for column in kept], axis=-1)  # (T, D)
    measured = [number for number, column in enumerate(kept) if column not in TRACKER]
    values[np.ix_(held["success"] != 1, measured)] = np.nan
    chosen, note = _face(held)
    if note:
        notes.append(f"{clip}: {note}")
    stamps = held.get("timestamp", np.full(len(values), np.nan))
    return Rows(values[chosen].astype(np.float32), frame_intervals(stamps)[chosen], kept)


def _read(path: Path) -> tuple[list[str], Array]:
    try:
        with path.open("rb") as file:
            names = [each.strip() for each in file.readline().decode("utf-8-sig").split(",")]
            wanted = {name: pa.float64() for name in names}
            lacking = [name for name in ("frame", "confidence", "success") if name not in wanted]
            if lacking:
                raise ValueError(f"it is not a CSV of OpenFace: it has no column '{lacking[0]}'")
            if len(wanted) < len(names):
                raise ValueError("two columns have the same name")
            table = csv.read_csv(
                file,
                read_options=csv.ReadOptions(column_names=names),
                convert_options=csv.ConvertOptions(
                    column_types=wanted, null_values=[*GAPS, *(" " + gap for gap in GAPS)]
                ),
            )
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror or error}") from error
    columns = [column.to_numpy().astype(np.float64) for column in table.columns]
    return names, np.stack(columns, axis=-1)  # (T, all columns)


def _face(held: dict[str, Array]) -> tuple[Array, str]:
    """The rows of the chosen face, and a note about the others."""
    faces = held.get("face_id", np.zeros(len(held["frame"])))
    ids = np.unique(faces)
    if len(ids) < 2:
        return np.ones(len(faces), bool), ""
    sure = np.where(held["success"] == 1, np.nan_to_num(held["confidence"]), 0.0)
    size = np.nan_to_num(_width(held))
    best = max(ids, key=lambda face: (round(sure[faces == face].sum(), 6), size[faces == face].sum()))
    chosen = faces == best
    return chosen, f"{len(ids)} faces; face_id {best:g} is kept, {int((~chosen).sum())} rows of others are left out"


def _width(held: dict[str, Array]) -> Array:
    across = [column for name, column in held.items() if name.startswith("x_")]
    return np.ptp(across, axis=0) if across else np.zeros(len(held["frame"]))


def frame_intervals(stamps: Array) -> Array:
    """(T, 2): each row lasts until the next later time stamp, the last as long as most rows.

    Args:
        stamps: (T,) seconds; several rows may share one. NaN, or all equal, if times are unknown.

    Raises:
        ValueError: If they go backwards.
    """
    times = np.unique(stamps)
    if np.isnan(stamps).any() or (len(times) < 2 and len(stamps) > 1):
        return np.full((len(stamps), 2), np.nan)
    if (np.diff(stamps) < 0).any():
        raise ValueError(f"time stamps go backwards after row {int(np.flatnonzero(np.diff(stamps) < 0)[0]) + 1}")
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    ends = np.append(times[1:], times[-1:] + step)
    return np.stack([stamps, ends[np.searchsorted(times, stamps)]], axis=-1)  # (T, 2)

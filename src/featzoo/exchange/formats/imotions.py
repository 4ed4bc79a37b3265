"""Import of iMotions' exports of FACET: tab-separated text with evidence (log10 odds) for emotions and action units.

The layout of iMotions 6 is: lines `#Key : value`, an empty line, a line of column names, then a row per sample:
respondent (`Name`), stimulus (`StimulusName`), `EventSource`, `MediaTime` in ms from the stimulus's start (`Timestamp`
from the recording's), `FrameNo`, `NoOfFaces`, then `<Emotion> Evidence`, `<Emotion> Intensity`, `AU<n> Evidence`,
`HasGlasses Probability`, `IsMale Probability`, `Yaw|Pitch|Roll Degrees`, the face's rectangle and landmarks.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featzoo.exchange.file_matching import clip_ids, files_of
from featzoo.exchange.formats.openface import frame_intervals
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.extractors.vision.action_units import FACET
from featzoo.sequence import Array

WORDS = (" Evidence", " Intensity", " Probability", " Degrees")
TIMES = ("MediaTime", "FrameTime", "Timestamp")


def import_imotions(
    place: Path, store_path: Path, mosei: bool = False, name: str = "facet", dry_run: bool = False
) -> Account:
    """Import iMotions' exports of FACET: one feature set, float32; rows without a face are NaN.

    A file's clip is the clip in the store with its path or name. If it holds several respondents or stimuli, each
    pair is a clip, `file/Name/StimulusName`. Rows of other sensors, and the repeated frames that iMotions inserts,
    are left out and counted in a note.

    Args:
        place: A file, or a folder that is searched for .txt and .tsv files.
        store_path: The store; created if missing.
        mosei: Whether to keep CMU-MOSEI's 35 FACET 4.2 columns, in its order. A column that the export lacks is NaN:
            `Baseline` in iMotions 6 (no source says that its `Neutral` is the same). `Has_Glasses` and `Is_Male` are
            probabilities if the export has no evidence for them.
        name: Name of the feature set.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If no file is found, or none can be read.
    """
    notes: list[str] = []
    entries = _entries(place, store_path, mosei, notes)
    options = {"columns": "mosei"} if mosei else {}
    return bring_in(
        Arrival([Incoming(name, entries, options, {"source": place.name, "modality": "vision"})], notes=notes),
        store_path,
        dry_run,
    )


def _entries(place: Path, store_path: Path, mosei: bool, notes: list[str]) -> Iterator[tuple[str, Callable[[], Rows]]]:
    for clip, path in clip_ids(place, files_of(place, (".txt", ".tsv")), store_path):
        try:
            columns, found = _read(path)
        except (OSError, ValueError, csv.Error) as error:
            yield clip, partial(_refuse, str(error))
            continue
        parts = [(who, list(rows)) for who, rows in groupby(sorted(found, key=attrgetter("who")), attrgetter("who"))]
        for (respondent, stimulus), rows in parts:
            entry = clip if len(parts) == 1 else f"{clip}/{respondent}/{stimulus}"
            yield entry, partial(_rows, entry, columns, rows, mosei, notes)


def _refuse(reason: str) -> Rows:
    raise ValueError(reason)


class _Row(NamedTuple):
    """A line: respondent and stimulus, sensor, times in ms (as `TIMES`), frame, faces, FACET's values (D,)."""

    who: tuple[str, str]
    sensor: str
    times: tuple[float, ...]
    frame: str
    faces: str
    values: Array


def _read(path: Path) -> tuple[list[str], list[_Row]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = (line for line in file if line.strip() and not line.startswith("#"))
        reader = csv.DictReader(lines, delimiter="\t")
        columns = [column for column in reader.fieldnames or () if column.endswith(WORDS)]
        if not any(column.endswith(" Evidence") for column in columns):
            raise ValueError("it is not an export of FACET: no column is called '... Evidence'")
        rows = []
        for row in reader:
            values = np.array([_number(row[column]) for column in columns])
            times = tuple(_number(row.get(time)) for time in TIMES)
            who = (row.get("Name") or "", row.get("StimulusName") or "")
            frame, faces = row.get("FrameNo") or "", row.get("NoOfFaces") or ""
            rows.append(_Row(who, row.get("EventSource") or "", times, frame, faces, values))
    if not rows:
        raise ValueError("it has a header and no rows")
    return columns, rows


def _rows(entry: str, columns: Sequence[str], rows: list[_Row], mosei: bool, notes: list[str]) -> Rows:
    frames: dict[str, _Row] = {}
    named = any("FACET" in row.sensor for row in rows)
    for number, row in enumerate(rows):
        # Other sensors' rows repeat the last frame, even of another stimulus; -1 is before the first frame.
        if (named and "FACET" not in row.sensor) or row.frame.startswith("-"):
            continue
        if row.faces or not np.isnan(row.values).all():
            frames.setdefault(row.frame or f"row {number}", row)
    if len(frames) < len(rows):
        notes.append(f"{entry}: {len(rows) - len(frames)} rows of other sensors or repeated frames are left out")
    times = np.array([row.times for row in frames.values()]).reshape(-1, len(TIMES))  # (T, 3)
    clocks = np.flatnonzero(~np.isnan(times).any(axis=0))
    if not frames or not len(clocks):
        raise ValueError("none of its rows has both FACET's values and a time")
    values = np.stack([row.values for row in frames.values()])  # (T, D)
    values[[row.faces in ("0", "-1") for row in frames.values()]] = np.nan
    names: Sequence[str] = columns
    if mosei:
        values, names = _as_mosei(columns, values), FACET
    return Rows(values.astype(np.float32), frame_intervals(times[:, clocks[0]] / 1000.0), names)


def _number(text: str | None) -> float:
    # Many European locales write a decimal comma.
    return float((text or "nan").strip().replace(",", ".") or "nan")


def _as_mosei(columns: Sequence[str], values: Array) -> Array:
    places = {column: number for number, column in enumerate(columns)}
    mapped = np.full((len(values), len(FACET)), np.nan)
    for number, name in enumerate(FACET):
        bare = name.replace("_", "")
        found = [places[bare + word] for word in (" Evidence", " Probability", " Degrees") if bare + word in places]
        if found:
            mapped[:, number] = values[:, found[0]]
    return mapped

"""Clips found in folders, manifests and MMSA-FET's layout."""

from __future__ import annotations

import csv
import glob
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.errors import InvalidClips
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Beside, Neighbours, Word, read_beside, words_of

IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
SOUNDS = {
    ".aac", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp2", ".mp3",
    ".oga", ".ogg", ".opus", ".ra", ".sph", ".voc", ".w64", ".wav", ".wma", ".wv",
}  # fmt: skip
VIDEOS = {
    ".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".gif", ".h264", ".m2ts", ".m4v", ".mjpeg", ".mkv",
    ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".rm", ".ts", ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
MEDIA = IMAGES | SOUNDS | VIDEOS
# Columns of a manifest that are not labels.
COLUMNS = ("id", "path", "start", "end", "text", "split")
# MMSA's columns, and what `feat import mmsa` calls its labels.
MMSA_LABELS = {
    "label": "sentiment",
    "label_T": "sentiment_text",
    "label_A": "sentiment_audio",
    "label_V": "sentiment_vision",
}
SPLITS = {"dev": "valid", "val": "valid", "validation": "valid", "training": "train", "testing": "test"}


class Found(NamedTuple):
    """The clips of a source, and what in it is not a clip."""

    clips: list[Clip]
    left_aside: list[str]


def find_clips(*sources: Path) -> Found:
    """The clips of folders, manifests (.csv, .parquet) and single media files.

    A folder is scanned at all depths; ids are paths relative to it, so equal stems never collide. A
    transcript beside a file and a `labels.csv` in the folder are read. A folder with `label.csv` and
    `Raw/<video>/<clip>.*` is MMSA-FET's layout. With several sources, ids start with the source's name.

    Raises:
        InvalidClips: If a source is not there or two clips get one id.
    """
    clips: list[Clip] = []
    aside: list[str] = []
    for source in sources:
        found = _from_source(source)
        prefix = f"{source.resolve().name}/" if len(sources) > 1 and source.is_dir() else ""
        clips += [replace(clip, id=prefix + clip.id) if prefix else clip for clip in found.clips]
        aside += [prefix + name for name in found.left_aside]
    seen: dict[str, Clip] = {}
    for clip in clips:
        if clip.id in seen:
            raise InvalidClips(f"two clips are called '{clip.id}': {seen[clip.id].path} and {clip.path}")
        seen[clip.id] = clip
    if not clips:
        raise InvalidClips(f"no clip in {', '.join(map(str, sources))}: no sound, video or image file")
    return Found(clips, aside)


def _from_source(source: Path) -> Found:
    if source.is_dir():
        if (source / "label.csv").is_file() and (source / "Raw").is_dir():
            return Found(list(_mmsa_layout(source)), [])
        return _scan(source)
    if not source.exists():
        raise InvalidClips(f"no such file or folder: {source}")
    if source.suffix.lower() in (".csv", ".parquet"):
        return Found(read_manifest(source), _not_labels(source))
    return Found([_with_transcript(Clip(source.name, source), Neighbours())[0]], [])


def _scan(folder: Path) -> Found:
    clips, neighbours = [], Neighbours()
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _hidden(path, folder))
    used = {folder / "labels.csv"}
    odd = [path for path in files if not _unicode(path)]
    for path in files:
        if path.suffix.lower() in MEDIA and path not in odd:
            clip, transcript = _with_transcript(Clip(path.relative_to(folder).as_posix(), path), neighbours)
            clips.append(clip)
            used |= {transcript} if transcript else set()
    rest = [p for p in files if p.suffix.lower() not in MEDIA and p not in used and p not in odd]
    aside = [path.relative_to(folder).as_posix() for path in rest]
    # An id is text, and such a name is bytes that no encoding explains.
    aside += [f"{_readable(path.relative_to(folder))} (its name is not Unicode: rename it)" for path in odd]
    table = folder / "labels.csv"
    return Found(_labelled(clips, table) if table.is_file() else clips, aside)


def _readable(path: Path) -> str:
    return path.as_posix().encode("utf-8", "backslashreplace").decode()


def _unicode(path: Path) -> bool:
    return path.as_posix() == _readable(path)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _with_transcript(clip: Clip, neighbours: Neighbours) -> tuple[Clip, Path | None]:
    """The clip with the words of the transcript beside its file, cut to its segment; and the transcript."""
    beside = read_beside(clip.path, neighbours) if clip.path else Beside()
    words, problem = beside.words, beside.problem
    if words and (clip.start or clip.end is not None):
        if all(word.start != word.start for word in words):
            problem, words = f"{beside.path}: its words have no times, so a segment's cannot be told", ()
        else:
            words = _cut(words, clip.start, math.inf if clip.end is None else clip.end)
    return replace(clip, words=words, problem=problem, remarks=beside.notes), beside.path


def _cut(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """The words whose middle lies in a segment; one whose time is not known goes with the word before it."""
    middles = [(w.start + w.end) / 2 if w.start <= w.end else w.start for w in words]
    at = next(middle for middle in middles if middle == middle)
    kept = []
    for word, middle in zip(words, middles, strict=True):
        at = middle if middle == middle else at
        if start <= at < end:
            kept.append(Word(word.text, word.start - start, word.end - start))
    return tuple(kept)


def _labelled(clips: list[Clip], table: Path) -> list[Clip]:
    """Add the split, text and labels of a labels.csv; its ids are clip ids, with or without the suffix."""
    rows = {row["id"]: row for row in _rows(table) if row.get("id")}
    stems: dict[str, list[str]] = {}
    for clip in clips:
        stems.setdefault(clip.id.rsplit(".", 1)[0], []).append(clip.id)
    known = {clip.id for clip in clips}
    by_id = {}
    for name, row in rows.items():
        ids = [name] if name in known else stems.get(name, [])
        if len(ids) != 1:
            what = "no clip" if not ids else "more than one clip"
            raise InvalidClips(f"{table}: {what} is called '{name}'")
        by_id[ids[0]] = row
    return [_described(clip, by_id[clip.id], table) if clip.id in by_id else clip for clip in clips]


def _described(clip: Clip, row: Mapping[str, Any], table: Path) -> Clip:
    labels = {}
    for name, value in row.items():
        if name not in COLUMNS and value not in (None, ""):
            number = _number(value)
            if number is not None:
                labels[name] = number
    split = str(row.get("split") or "").strip().lower() or None
    split = SPLITS.get(split, split) if split else None
    if split not in (None, "train", "valid", "test"):
        raise InvalidClips(f"{table}: split '{split}' of '{clip.id}' is none of train, valid, test")
    text = str(row.get("text") or "").strip()
    # The side-car's words have times: they stay if the table says the same.
    told = bool(text) and text.split() != [word.text for word in clip.words]
    words = words_of(text) if told else clip.words
    return replace(clip, labels=labels, split=split, words=words, problem="" if text else clip.problem)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def read_manifest(path: Path) -> list[Clip]:
    """Clips of a CSV or Parquet table `id,path,start,end,text,split,<label columns>`.

    `path` is relative to the table's folder; all columns but `id` may be left out or empty. A column
    that is not one of these and holds numbers is a label; other columns are left aside.

    Raises:
        InvalidClips: If it cannot be read, or a row has no id or a wrong time.
    """
    clips, neighbours = [], Neighbours()
    for number, row in enumerate(_rows(path), start=2):
        name = str(row.get("id") or "").strip()
        if not name:
            raise InvalidClips(f"{path}, row {number}: no id")
        start, end = (_time(row.get(column), path, number, column) for column in ("start", "end"))
        if end is not None and end <= (start or 0.0):
            raise InvalidClips(f"{path}, row {number}: '{name}' ends at {end} s, before its start")
        file = path.parent / str(row["path"]) if row.get("path") else None
        clip = Clip(name, file, start or 0.0, end)
        clips.append(_described(_with_transcript(clip, neighbours)[0], row, path))
    return clips


def _not_labels(table: Path) -> list[str]:
    """The columns that hold something else than numbers: they are no labels, and it is said."""
    columns: dict[str, bool] = {}
    for row in _rows(table):
        for name, value in row.items():
            if name is not None and name not in COLUMNS and value not in (None, "") and _number(value) is None:
                columns[name] = True
    return [f"column '{name}' of {table.name}: not numbers" for name in columns]


def _time(value: Any, path: Path, number: int, column: str) -> float | None:
    if value in (None, ""):
        return None
    seconds = _number(value)
    if seconds is None or seconds < 0:
        raise InvalidClips(f"{path}, row {number}: {column} is seconds, 0 or more; got {value!r}")
    return seconds


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, as text where it is CSV: an id of 007 stays 007."""
    try:
        if path.suffix.lower() == ".parquet":
            from pyarrow import parquet

            rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
            # A NaN in a table is an empty cell.
            return [{key: None if value != value else value for key, value in row.items()} for row in rows]
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise InvalidClips(f"cannot read {path}: {error}") from error


def _mmsa_layout(folder: Path) -> Iterator[Clip]:
    """MMSA-FET's data sets: label.csv and Raw/<video_id>/<clip_id>.*, ids and labels as `feat import mmsa` has them."""
    neighbours = Neighbours()
    for row in _rows(folder / "label.csv"):
        if not row.get("video_id") or not row.get("clip_id"):
            raise InvalidClips(f"{folder / 'label.csv'}: a row has no video_id or no clip_id")
        video, number = str(row["video_id"]), str(row["clip_id"])
        place = folder / "Raw" / video
        files = [p for p in sorted(place.glob(f"{_literal(number)}.*")) if p.suffix.lower() in MEDIA]
        clip = Clip(f"{video}$_${number}", files[0] if files else place / f"{number}.mp4")
        if not clip.file.resolve().is_relative_to(folder.resolve()):
            raise InvalidClips(f"{folder / 'label.csv'}: '{video}' leads out of the folder")
        row = {
            MMSA_LABELS.get(key, key): value
            for key, value in row.items()
            if key not in ("video_id", "clip_id", "annotation")
        }
        yield _described(
            _with_transcript(clip, neighbours)[0], row | {"split": row.pop("mode", "")}, folder / "label.csv"
        )


def _literal(name: str) -> str:
    """A file name for glob, its wildcards taken as letters."""
    return glob.escape(name)

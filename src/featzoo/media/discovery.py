"""Clips found in folders, manifests and MMSA-FET's layout."""

from __future__ import annotations

import glob
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from featzoo.errors import ClipError, InvalidClips
from featzoo.media.clip import Clip
from featzoo.media.labels import COLUMNS, MMSA_COLUMNS, account, described, match
from featzoo.media.tables import Row, Table, read_table
from featzoo.media.transcripts import SUFFIXES, Beside, Neighbours, load_transcript, read_beside
from featzoo.media.transcripts.words import cut_words
from featzoo.wording import count, some

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
TEXTS = {suffix.lower() for suffix in SUFFIXES}
# A folder without media is not searched for recognisers' JSON: most of such files are something else.
ALONE = TEXTS - {".json"}


class Found(NamedTuple):
    """The clips of a source.

    Attributes:
        clips: The clips, each with its words and labels.
        left_aside: Files that are not clips.
        remarks: What tables of labels and clips gave, and what was left out of them.
    """

    clips: list[Clip]
    left_aside: list[str]
    remarks: list[str]


def find_clips(*sources: Path, encoding: str | None = None) -> Found:
    """The clips of folders, manifests (.csv, .parquet), single media files and single transcripts.

    A folder is scanned at all depths; ids are paths relative to it, so equal stems never collide. A
    transcript beside a file and a `labels.csv` in the folder are read. A folder with `label.csv` and
    `Raw/<video>/<clip>.*` is MMSA-FET's layout. A transcript by itself is a clip without media, and so
    is each in a folder that has no media at all. With several sources, ids start with the source's name.

    Args:
        sources: Folders, tables, media files and transcripts.
        encoding: Of transcripts and tables that are not UTF-8 and have no byte order mark; detected if None.

    Raises:
        InvalidClips: If a source is not there or two clips get one id.
    """
    clips: list[Clip] = []
    aside: list[str] = []
    remarks: list[str] = []
    for source in sources:
        found = _from_source(source, encoding)
        prefix = f"{source.resolve().name}/" if len(sources) > 1 and source.is_dir() else ""
        clips += [replace(clip, id=prefix + clip.id) if prefix else clip for clip in found.clips]
        aside += [prefix + name for name in found.left_aside]
        remarks += found.remarks
    seen: dict[str, Clip] = {}
    for clip in clips:
        if clip.id in seen:
            raise InvalidClips(f"two clips are called '{clip.id}': {seen[clip.id].path} and {clip.path}")
        seen[clip.id] = clip
    if not clips:
        raise InvalidClips(
            f"no clip in {', '.join(map(str, sources))}: no sound, video or image file, and no transcript"
        )
    return Found(clips, aside, remarks)


def _from_source(source: Path, encoding: str | None) -> Found:
    if source.is_dir():
        if (source / "label.csv").is_file() and (source / "Raw").is_dir():
            table = read_table(source / "label.csv", MMSA_COLUMNS, ("video_id", "clip_id"), encoding)
            return Found(list(_mmsa_layout(source, table, encoding)), [], account(table, MMSA_COLUMNS))
        return _scan(source, encoding)
    if not source.exists():
        raise InvalidClips(f"no such file or folder: {source}")
    if source.suffix.lower() in (".csv", ".parquet"):
        return _from_manifest(source, encoding)
    if source.suffix.lower() in TEXTS:
        text = load_transcript(source, encoding)
        return Found([Clip(source.name, words=text.words, remarks=text.notes)], [], [])
    return Found([_with_transcript(Clip(source.name, source), Neighbours(), encoding)[0]], [], [])


def _scan(folder: Path, encoding: str | None) -> Found:
    clips, neighbours = [], Neighbours()
    files = sorted(path for path in folder.rglob("*") if _is_file(path) and not _hidden(path, folder))
    used = {folder / "labels.csv"}
    odd = [path for path in files if not _unicode(path)]
    for path in files:
        if path.suffix.lower() in MEDIA and path not in odd:
            clip, transcript = _with_transcript(Clip(path.relative_to(folder).as_posix(), path), neighbours, encoding)
            clips.append(clip)
            used |= {transcript} if transcript else set()
    remarks = []
    if not clips:
        texts = [path for path in files if path.suffix.lower() in ALONE and path not in odd]
        clips = [_transcript(path.relative_to(folder).as_posix(), path, encoding) for path in texts]
        remarks = [f"no media: each of {count(len(texts), 'transcript')} is a clip"] if texts else []
        used |= set(texts)
    rest = [p for p in files if p.suffix.lower() not in MEDIA and p not in used and p not in odd]
    aside = [path.relative_to(folder).as_posix() for path in rest]
    # An id is text, and such a name is bytes that no encoding explains.
    aside += [f"{_readable(path.relative_to(folder))} (its name is not Unicode: rename it)" for path in odd]
    if not (folder / "labels.csv").is_file():
        return Found(clips, aside, remarks)
    table = read_table(folder / "labels.csv", COLUMNS, ("id",), encoding)
    rows, others = match(clips, table)
    clips = [described(clip, rows[clip.id], table) if clip.id in rows else clip for clip in clips]
    remarks += account(table, COLUMNS, f"{len(rows)} of {len(clips)} clips")
    if others:
        remarks.append(f"{table.path.name}: no clip here for {count(len(others), 'row')} ({some(others)}): left out")
    return Found(clips, aside, remarks)


def _transcript(name: str, path: Path, encoding: str | None) -> Clip:
    """A clip without media; one whose transcript cannot be read fails for what reads words, with the reason."""
    try:
        text = load_transcript(path, encoding)
    except ClipError as error:
        return Clip(name, problem=str(error))
    return Clip(name, words=text.words, remarks=text.notes)


def _is_file(path: Path) -> bool:
    """Whether it is a file, or a link to media that are not here: git-annex and DataLad fetch them when asked."""
    return path.is_file() or (path.is_symlink() and not path.exists() and path.suffix.lower() in MEDIA)


def _readable(path: Path) -> str:
    return path.as_posix().encode("utf-8", "backslashreplace").decode()


def _unicode(path: Path) -> bool:
    return path.as_posix() == _readable(path)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _with_transcript(clip: Clip, neighbours: Neighbours, encoding: str | None) -> tuple[Clip, Path | None]:
    """The clip with the words of the transcript beside its file, cut to its segment; and the transcript."""
    beside = read_beside(clip.path, neighbours, encoding) if clip.path else Beside()
    words, problem = beside.words, beside.problem
    if words and (clip.start or clip.end is not None):
        if all(word.start != word.start for word in words):
            problem, words = f"{beside.path}: its words have no times, so a segment's cannot be told", ()
        else:
            words = cut_words(words, clip.start, math.inf if clip.end is None else clip.end)
    return replace(clip, words=words, problem=problem, remarks=beside.notes), beside.path


def read_manifest(path: Path) -> list[Clip]:
    """Clips of a CSV or Parquet table `id,path,start,end,text,split,<label columns>`.

    `path` is relative to the table's folder; all columns but `id` may be left out or empty. A column
    that is not one of these holds labels: numbers, or names such as `anger`.

    Raises:
        InvalidClips: If it cannot be read, or a row has no id or a wrong time.
    """
    return _from_manifest(path, None).clips


def _from_manifest(path: Path, encoding: str | None) -> Found:
    table = read_table(path, COLUMNS, ("id",), encoding)
    clips, neighbours, lines = [], Neighbours(), dict[str, int]()
    for row in table.rows:
        name = row.text("id")
        if not name:
            raise InvalidClips(f"{table.at(row)}: no id")
        if lines.setdefault(name, row.line) != row.line:
            raise InvalidClips(f"{table.at(row)}: two clips are called '{name}', the first in line {lines[name]}")
        start, end = _time(table, row, "start"), _time(table, row, "end")
        if end is not None and end <= (start or 0.0):
            raise InvalidClips(f"{table.at(row)}: '{name}' ends at {end} s, before its start")
        file = _beneath(path.parent, row.text("path")) if row.text("path") else None
        clip, _ = _with_transcript(Clip(name, file, start or 0.0, end), neighbours, encoding)
        clips.append(described(clip, row, table))
    return Found(clips, [], account(table, COLUMNS))


def _time(table: Table, row: Row, column: str) -> float | None:
    if table.is_empty(row, column):
        return None
    seconds = table.number(row, column)
    if seconds is None or seconds < 0:
        raise InvalidClips(f"{table.at(row)}: {column} is seconds, 0 or more; got {row.cells[column]!r}")
    return seconds


def _beneath(folder: Path, name: str) -> Path:
    """The file of a name, which may be in another Unicode form or have Windows' slashes."""
    written = [folder / name, folder / name.replace("\\", "/")]
    forms = [Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD") for path in written]
    return next((path for path in (*written, *forms) if path.exists()), written[0])


def _mmsa_layout(folder: Path, table: Table, encoding: str | None) -> Iterator[Clip]:
    """MMSA-FET's data sets: label.csv and Raw/<video_id>/<clip_id>.*, ids and labels as `feat import mmsa` has them."""
    neighbours = Neighbours()
    for row in table.rows:
        video, number = row.text("video_id"), row.text("clip_id")
        if not video or not number:
            raise InvalidClips(f"{table.at(row)}: no video_id or no clip_id")
        place = folder / "Raw" / video
        files = [path for path in sorted(place.glob(f"{glob.escape(number)}.*")) if path.suffix.lower() in MEDIA]
        clip = Clip(f"{video}$_${number}", files[0] if files else place / f"{number}.mp4")
        if not clip.file.resolve().is_relative_to(folder.resolve()):
            raise InvalidClips(f"{table.at(row)}: '{video}' leads out of the folder")
        yield described(_with_transcript(clip, neighbours, encoding)[0], row, table)

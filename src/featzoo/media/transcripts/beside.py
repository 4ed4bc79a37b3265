"""The transcripts that lie beside recordings."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from featzoo.errors import ClipError
from featzoo.media.transcripts.encoding import UnknownEncoding, encoding_of, is_undeclared
from featzoo.media.transcripts.read import SUFFIXES, Transcript, UncertainTranscript, load_transcript
from featzoo.media.transcripts.recognisers import NotATranscript
from featzoo.media.transcripts.words import Word

# `en`, `zh-Hans`, `en-orig`: what yt-dlp and players put between a recording's name and the suffix.
LANGUAGE = re.compile(r"(.+)\.([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)")

# Bytes of a folder's transcripts that are enough to tell its encoding.
ENOUGH_BYTES = 100_000
_SUFFIXES = {suffix.lower() for suffix in SUFFIXES}


class Neighbours:
    """The transcripts beside recordings; each folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[Path]]] = {}
        self._encodings: dict[Path, str | None] = {}

    def of(self, media: Path) -> list[Path]:
        """The transcripts of a recording, the more precise times first.

        For `clip.mp4` these are `clip.srt` and `clip.mp4.srt`, and with a language `clip.en.srt`.
        """
        if media.parent not in self._folders:
            self._folders[media.parent] = _by_recording(media.parent)
        listed = self._folders[media.parent]
        names = (_plain(media.stem), _plain(media.name))
        found = [path for name in names for path in listed.get(name, ()) if path != media]
        return sorted(dict.fromkeys(found), key=lambda path: (_rank(path), *_preference(path, media), path.name))

    def encoding(self, folder: Path) -> str | None:
        """The encoding of the folder's transcripts taken together; None if it is uncertain, or they differ in it."""
        if folder not in self._encodings:
            self._encodings[folder] = _shared_encoding(folder)
        return self._encodings[folder]


class Beside(NamedTuple):
    """The transcript beside a recording, its words, notes on it, and why there are none."""

    path: Path | None = None
    words: tuple[Word, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""


def read_beside(media: Path, neighbours: Neighbours, encoding: str | None = None) -> Beside:
    """The best transcript beside a recording that can be read; one that cannot is noted."""
    candidates = neighbours.of(media)
    notes: list[str] = []
    problem, refused = "", None
    for path in candidates:
        tags = {_tag(other, media): other.name for other in candidates if _rank(other) == _rank(path)}
        tag = _tag(path, media)
        if len(tags) > 1 and tag and not tag.endswith("-orig"):
            names = " and ".join(tags.values())
            return Beside(path, problem=f"{names} differ in language: name the right one {media.stem}{path.suffix}")
        status = path.stat() if path.exists() else path.lstat()  # a link to a file that is not here
        stamp = status.st_mtime_ns, status.st_ctime_ns, status.st_size
        found = _load(path, encoding, *stamp)
        if isinstance(found, UncertainTranscript) and (shared := neighbours.encoding(path.parent)):
            found = _load(path, shared, *stamp)
        if isinstance(found, Transcript):
            return Beside(path, found.words, (*notes, *found.notes))
        notes.append(f"transcript that cannot be read: {found}")
        problem, refused = problem or str(found), refused or path
    return Beside(refused, problem=problem)


@lru_cache(maxsize=64)
def _load(path: Path, encoding: str | None, *_stamp: int) -> Transcript | ClipError:
    """Read once for all segments of a recording, again when it has changed."""
    try:
        return load_transcript(path, encoding)
    except ClipError as error:
        return error


def _shared_encoding(folder: Path) -> str | None:
    """The encoding that explains all transcripts of a folder that do not say theirs: short texts alone tell little."""
    texts, total = [], 0
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _SUFFIXES and path.is_file() and total < ENOUGH_BYTES:
            raw = path.read_bytes()
            if is_undeclared(raw):
                texts.append(raw)
                total += len(raw)
    try:
        return encoding_of(b"\n".join(texts))
    except UnknownEncoding:
        return None


def find_transcript(media: Path, neighbours: Neighbours | None = None) -> Path | None:
    """The transcript beside a recording: `clip.srt`, `clip.mp4.srt` or `clip.en.srt` for `clip.mp4`.

    JSON that is not a recogniser's does not count.
    """
    for path in (neighbours or Neighbours()).of(media):
        if path.suffix.lower() == ".json":
            try:
                load_transcript(path)
            except NotATranscript:
                continue
            except ClipError:
                pass  # one that is damaged is still the transcript
        return path
    return None


def _by_recording(folder: Path) -> dict[str, list[Path]]:
    """The transcripts of a folder by the name, without suffix and language, of the recording that they are of."""
    try:
        with os.scandir(folder) as entries:
            files = [Path(entry) for entry in entries if entry.is_file() or entry.is_symlink()]
    except OSError:
        return {}
    others = {_plain(path.stem) for path in files if path.suffix.lower() not in _SUFFIXES}
    found: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        if path.suffix.lower() in _SUFFIXES:
            stem = _plain(path.stem)
            found[stem].append(path)
            tagged = LANGUAGE.fullmatch(stem)
            # `clip.one.txt` is of `clip.one.wav` where there is one.
            if tagged and stem not in others:
                found[tagged[1]].append(path)
    return found


def _plain(name: str) -> str:
    """A name in one Unicode form: macOS writes letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def _rank(path: Path) -> int:
    return [suffix.lower() for suffix in SUFFIXES].index(path.suffix.lower())


def _preference(path: Path, media: Path) -> tuple[bool, bool, int]:
    """Before all others one that names no language, then that of the speech itself, as yt-dlp names it."""
    tag = _tag(path, media)
    return (bool(tag), not tag.endswith("-orig"), len(path.name))


def _tag(path: Path, media: Path) -> str:
    """The language in a transcript's name; empty if it has none."""
    stem = _plain(path.stem)
    tagged = LANGUAGE.fullmatch(stem)
    return tagged[2] if tagged and stem not in (_plain(media.stem), _plain(media.name)) else ""

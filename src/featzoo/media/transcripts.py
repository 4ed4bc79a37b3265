"""Transcripts beside the media to words, with times where the format has them.

Times are in seconds from the start of the recording. A word whose time the format does not give has
NaN; a cue of several words with one interval is shared out over its words by their length in letters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.errors import ClipError

# In order of preference where several lie beside one recording: the more precise times first.
SUFFIXES = (".TextGrid", ".json", ".vtt", ".srt", ".txt")


class Word(NamedTuple):
    """One word of a transcript, its start and end in seconds; NaN where the time is not known."""

    text: str
    start: float = math.nan
    end: float = math.nan


def find_transcript(media: Path) -> Path | None:
    """The transcript beside a recording: `clip.srt` or `clip.mp4.srt` for `clip.mp4`."""
    for suffix in SUFFIXES:
        for candidate in (media.with_suffix(suffix), media.with_name(media.name + suffix)):
            if candidate != media and candidate.is_file():
                return candidate
    return None


def read_transcript(path: Path) -> tuple[Word, ...]:
    """The words of a .txt, .srt, .vtt, .TextGrid or Whisper .json file.

    Raises:
        ClipError: With reason `bad-transcript`, if the file is not what its name says.
    """
    readers = {".txt": _text, ".srt": _cues, ".vtt": _cues, ".textgrid": _textgrid, ".json": _whisper}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ClipError("bad-transcript", f"{path.name}: not one of {', '.join(SUFFIXES)}")
    try:
        return tuple(reader(path))
    except ClipError:
        raise
    except Exception as error:  # the parsers of three libraries raise whatever they like on a bad file
        raise ClipError("bad-transcript", f"{path.name}: {type(error).__name__}: {error}") from error


def words_of(text: str, start: float = math.nan, end: float = math.nan) -> tuple[Word, ...]:
    """The words of a text; an interval, if given, is shared out by the words' length in letters."""
    parts = text.split()
    letters = sum(map(len, parts))
    words, position = [], 0
    for part in parts:
        span = (end - start) / letters if letters else math.nan
        words.append(Word(part, start + position * span, start + (position + len(part)) * span))
        position += len(part)
    return tuple(words)


def _text(path: Path) -> Iterable[Word]:
    return words_of(_decode(path.read_bytes()))


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _cues(path: Path) -> Iterable[Word]:
    import webvtt

    cues = webvtt.from_srt(str(path)) if path.suffix.lower() == ".srt" else webvtt.read(str(path))
    for cue in cues:
        yield from words_of(cue.text, _seconds(cue.start_time), _seconds(cue.end_time))


def _seconds(stamp: Any) -> float:
    """Seconds of a webvtt time; its own `in_seconds` drops the milliseconds."""
    return float(stamp.in_milliseconds()) / 1000


def _textgrid(path: Path) -> Iterable[Word]:
    import textgrid

    grid = textgrid.TextGrid.fromFile(str(path))
    tiers = [tier for tier in grid if isinstance(tier, textgrid.IntervalTier)]
    if not tiers:
        raise ClipError("bad-transcript", f"{path.name}: no interval tier")
    named = [tier for tier in tiers if "word" in tier.name.lower()]
    for interval in (named or tiers)[0]:
        if interval.mark.strip():
            yield from words_of(interval.mark, float(interval.minTime), float(interval.maxTime))


def _whisper(path: Path) -> Iterable[Word]:
    """Whisper's JSON, with word times where it was made with them, else segment times."""
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(document, dict) or not ("segments" in document or "text" in document):
        raise ClipError("bad-transcript", f"{path.name}: no 'segments' or 'text', so not Whisper's JSON")
    if "segments" not in document:
        yield from words_of(str(document["text"]))
    for segment in document.get("segments", []):
        yield from _whisper_segment(segment)


def _whisper_segment(segment: Mapping[str, Any]) -> Iterable[Word]:
    if not segment.get("words"):
        yield from words_of(segment["text"], float(segment["start"]), float(segment["end"]))
    for word in segment.get("words", []):
        text = str(word["word"]).strip()
        if text:
            yield Word(text, float(word.get("start", math.nan)), float(word.get("end", math.nan)))

"""One transcript of any format, read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from featzoo.errors import ClipError
from featzoo.media.transcripts.captions import read_captions
from featzoo.media.transcripts.elan import read_eaf
from featzoo.media.transcripts.encoding import UncertainEncoding, UnknownEncoding, decode
from featzoo.media.transcripts.praat import read_textgrid
from featzoo.media.transcripts.recognisers import read_recogniser
from featzoo.media.transcripts.words import Word, without_wrong_times, words_of


class UncertainTranscript(ClipError):
    """A transcript whose encoding cannot be told from it alone."""


class Transcript(NamedTuple):
    """The words of a transcript, and what was left out or put right in it."""

    words: tuple[Word, ...]
    notes: tuple[str, ...] = ()


def _plain_text(text: str, _name: str) -> tuple[tuple[Word, ...], list[str]]:
    return words_of(text), []


# In order of preference where several lie beside one recording: the more precise times first.
READERS: dict[str, Callable[[str, str], tuple[tuple[Word, ...] | list[Word], list[str]]]] = {
    ".TextGrid": read_textgrid,
    ".eaf": read_eaf,
    ".json": read_recogniser,
    ".vtt": read_captions,
    ".srt": read_captions,
    ".txt": _plain_text,
}
SUFFIXES = tuple(READERS)


def load_transcript(path: Path, encoding: str | None = None) -> Transcript:
    """The words of a transcript: Praat's .TextGrid, ELAN's .eaf, a recogniser's .json, .vtt, .srt or .txt.

    Args:
        path: The file.
        encoding: Of a file that is not UTF-8 and has no byte order mark; detected if None.

    Raises:
        ClipError: With reason `bad-transcript`, if the file is not what its name says.
        UncertainTranscript: With the same reason, if several encodings are about as likely.
    """
    readers = {suffix.lower(): reader for suffix, reader in READERS.items()}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ClipError("bad-transcript", f"{path.name}: not one of {', '.join(SUFFIXES)}")
    try:
        words, notes = reader(decode(path.read_bytes(), encoding), path.name)
    except OSError as error:
        raise ClipError("bad-transcript", f"{path.name}: {error.strerror}") from error
    except UnknownEncoding as error:
        kind = UncertainTranscript if isinstance(error, UncertainEncoding) else ClipError
        raise kind("bad-transcript", f"{path.name}: {error}") from error
    words, wrong = without_wrong_times(words)
    if wrong:
        notes = [*notes, f"impossible times: {wrong} words keep none"]
    return Transcript(words, tuple(notes))


def read_transcript(path: Path, encoding: str | None = None) -> tuple[Word, ...]:
    """The words of a transcript, as `load_transcript` gives them.

    Raises:
        ClipError: With reason `bad-transcript`, if the file is not what its name says.
    """
    return load_transcript(path, encoding).words

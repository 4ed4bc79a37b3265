"""Captions: SubRip (.srt) and WebVTT (.vtt), as editors, recognisers and video sites write them.

Both are read by one rule: a cue is a line of two times, and the text up to the next one. Indices and identifiers may
be missing. Rolling captions, which show each line two or three times, give each word once.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

from featzoo.errors import ClipError
from featzoo.media.transcripts.words import Word, words_of

CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d{1,9})?)"
TIMES = re.compile(rf"\s*{CLOCK}\s*-->\s*{CLOCK}")
# A time inside a line of WebVTT: the words after it start there.
STAMP = re.compile(rf"<{CLOCK}>")
# <i>, </font>, <v Ann>, <c.yellow>; not the signs in `a < b`. And SubStation's {\an8}.
TAG = re.compile(r"</?[A-Za-z][^<>]*>|</?>|\{\\[^{}]*\}")
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
# Marks of direction and width that are not seen, and would be words or parts of words.
UNSEEN = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
COMMENT = re.compile(r"(NOTE|STYLE|REGION)(\s|$)")
# A cue that repeats the line before it for at most this long, in seconds, only moves it up.
BLINK = 0.05
# Captions roll if this share of the cues repeats what the one before shows.
ROLLING = 1 / 3


class Cue(NamedTuple):
    """Text shown between two times in seconds: its lines, each with its words and their earliest start."""

    start: float
    end: float
    lines: tuple[tuple[tuple[str, float], ...], ...]


def read_captions(text: str, name: str) -> tuple[list[Word], list[str]]:
    """The words of captions, and what is to be noted of them.

    Raises:
        ClipError: If it has no cue, or a line of times that cannot be read.
    """
    cues = _cues(re.split(r"\r\n|\r|\n", text), name)
    if not cues and text.strip() and not text.startswith("WEBVTT"):
        raise ClipError("bad-transcript", f"{name}: no line of times such as 00:00:01,000 --> 00:00:02,000")
    # Parts of a stream that were joined have the cues at their edges twice.
    cues = [cue for one, cue in pairwise([None, *cues]) if cue is not None and cue != one and cue.lines]
    repeats = [0, *(_repeated(one, cue) for one, cue in pairwise(cues))]
    rolling = sum(_rolls(cue, repeated) for cue, repeated in zip(cues, repeats, strict=False))
    if not rolling or rolling < ROLLING * (len(cues) - 1):
        repeats = [0] * len(cues)
    words = [word for cue, repeated in zip(cues, repeats, strict=False) for word in _timed(cue, repeated)]
    return words, [f"rolling captions: {sum(repeats)} repeated words left out"] if any(repeats) else []


def _cues(lines: Sequence[str], name: str) -> list[Cue]:
    heads = []
    for number, line in enumerate(lines):
        found = TIMES.match(line)
        if found:
            heads.append((number, _seconds(*found.groups()[:3]), _seconds(*found.groups()[3:])))
        elif re.match(r"\s*[\d:.,]+\s*-->", line):
            raise ClipError("bad-transcript", f"{name}, line {number + 1}: '{line.strip()}' is not two times")
    indexed = bool(heads) and heads[0][0] > 0 and lines[heads[0][0] - 1].strip().isdecimal()
    cues = []
    for one, following in pairwise([*heads, None]):
        number, start, end = one or (0, 0.0, 0.0)
        last = len(lines) if following is None else _before_identifier(lines, following[0], indexed)
        shown = _payload(lines[number + 1 : last], webvtt=name.lower().endswith(".vtt"))
        cues.append(Cue(start, end, tuple(filter(None, _lines(shown, start)))))
    return cues


def _before_identifier(lines: Sequence[str], head: int, indexed: bool) -> int:
    """Where the text before a line of times ends: before the cue's index or identifier, if it has one."""
    above = lines[head - 1].strip()
    alone = head < 2 or not lines[head - 2].strip()
    return head - 1 if above and (alone or (indexed and above.isdecimal())) else head


def _payload(lines: Sequence[str], webvtt: bool) -> Iterator[str]:
    """The lines of a cue's text. In WebVTT an empty line ends it, and comments and style sheets may follow."""
    shown = False
    for number, line in enumerate(lines):
        after_empty = number > 0 and not lines[number - 1]
        if webvtt and ((shown and not line) or (after_empty and COMMENT.match(line))):
            return
        if line.strip():
            shown = True
            yield line


def _lines(shown: Iterable[str], start: float) -> Iterator[tuple[tuple[str, float], ...]]:
    since = start
    for line in shown:
        first, *rest = STAMP.split(line)
        words = [(word, since) for word in _plain(first).split()]
        for hours, minutes, seconds, piece in zip(*[iter(rest)] * 4, strict=True):
            since = _seconds(hours, minutes, seconds)
            words += [(word, since) for word in _plain(piece).split()]
        yield tuple(words)


def _timed(cue: Cue, repeated: int) -> Iterator[Word]:
    """The words of a cue but the first `repeated`; those between two stamps share the time between them."""
    words = [word for line in cue.lines for word in line][repeated:]
    stamps = sorted({since for _, since in words})
    for since, together in groupby(words, key=lambda word: word[1]):
        until = next((stamp for stamp in stamps if stamp > since), cue.end)
        yield from words_of(" ".join(text for text, _ in together), since, until)


def _plain(text: str) -> str:
    """A line without tags, entities and unseen marks."""
    return UNSEEN.sub("", html.unescape(TAG.sub("", BREAK.sub(" ", text))))


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))


def _repeated(one: Cue, cue: Cue) -> int:
    """The number of words at the start of a cue that the one before it shows already.

    Whole lines count, and a last line that the cue goes on with. They are compared without spaces: the stamps in a
    line of Chinese cut it into words, and the line that repeats it is uncut.
    """
    before = ["".join(word for word, _ in line) for line in one.lines]
    for count in range(min(len(before), len(cue.lines)), 0, -1):
        words = [word for line in cue.lines[:count] for word, _ in line]
        lines = ["".join(word for word, _ in line) for line in cue.lines[:count]]
        seen = list(accumulate(words))
        if lines[:-1] == before[-count:-1] and "".join(before[-count:]) in seen:
            return seen.index("".join(before[-count:])) + 1
    return 0


def _rolls(cue: Cue, repeated: int) -> bool:
    """Whether a cue that repeats words is one of rolling captions: it goes on with others, or blinks."""
    return bool(repeated) and (repeated < sum(map(len, cue.lines)) or cue.end - cue.start <= BLINK)

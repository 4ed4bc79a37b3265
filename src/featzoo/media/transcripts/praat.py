"""Praat's TextGrids, as long, short and chronological text files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from featzoo.errors import ClipError
from featzoo.media.transcripts.tiers import Tier, words_of_tiers
from featzoo.media.transcripts.words import Word

# Praat reads the strings, numbers and flags that stand free; all else in a text file is for people.
TOKEN = re.compile(
    r'(?<!\S)"(?P<text>(?:[^"]|"")*)"(?!\S)'
    r"|(?<!\S)(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)"
    r"|(?<!\S)(?P<flag><exists>|<absent>)(?!\S)"
    r"|(?<!\S)!.*"
)
CHRONOLOGICAL = "Praat chronological TextGrid text file"


def read_textgrid(text: str, name: str) -> tuple[list[Word], list[str]]:
    """The words of a TextGrid, without the marks of silence and noise; those of several speakers by time.

    Raises:
        ClipError: If it is not a TextGrid in text form, or none of its tiers is known to hold words.
    """
    return words_of_tiers(read_tiers(text, name), name), []


def read_tiers(text: str, name: str) -> list[Tier]:
    """The interval tiers of a TextGrid.

    Raises:
        ClipError: If it is not a TextGrid in text form.
    """
    tokens = _Tokens(text, name)
    if tokens.text() == CHRONOLOGICAL:
        return _chronological(tokens)
    if tokens.text() != "TextGrid":
        raise ClipError("bad-transcript", f"{name}: not a TextGrid that was saved as a text file")
    tokens.number(), tokens.number()
    if tokens.flag() == "<absent>":
        return []
    tiers = []
    for _ in range(int(tokens.number())):
        kind, tier = tokens.text(), Tier(tokens.text(), [])
        tokens.number(), tokens.number()
        for _ in range(int(tokens.number())):
            times = [tokens.number() for _ in range(2 if kind == "IntervalTier" else 1)]
            tier.intervals.append((times[0], times[-1], tokens.text()))
        if kind == "IntervalTier":
            tiers.append(tier)
    return tiers


def _chronological(tokens: _Tokens) -> list[Tier]:
    """The tiers of a file in which all intervals are in order of time, each with the number of its tier."""
    tokens.number(), tokens.number()
    kinds, tiers = [], []
    for _ in range(int(tokens.number())):
        kinds.append(tokens.text())
        tiers.append(Tier(tokens.text(), []))
        tokens.number(), tokens.number()
    while tokens.more():
        number = int(tokens.number()) - 1
        if not 0 <= number < len(tiers):
            raise ClipError("bad-transcript", f"{tokens.name}: an interval of tier {number + 1} of {len(tiers)}")
        times = [tokens.number() for _ in range(2 if kinds[number] == "IntervalTier" else 1)]
        tiers[number].intervals.append((times[0], times[-1], tokens.text()))
    return [tier for kind, tier in zip(kinds, tiers, strict=True) if kind == "IntervalTier"]


class _Tokens:
    """The strings, numbers and flags of a text file, each asked for by its kind."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._found: Iterator[re.Match[str]] = (match for match in TOKEN.finditer(text) if match.lastgroup)
        self._next = next(self._found, None)

    def more(self) -> bool:
        return self._next is not None

    def text(self) -> str:
        return self._take("text").replace('""', '"')

    def number(self) -> float:
        return float(self._take("number"))

    def flag(self) -> str:
        return self._take("flag")

    def _take(self, kind: str) -> str:
        match, self._next = self._next, next(self._found, None)
        if match is None or match.lastgroup != kind:
            line = match.string.count("\n", 0, match.start()) + 1 if match else "its end"
            got = match.group() if match else "nothing"
            raise ClipError("bad-transcript", f"{self.name}, line {line}: expected a {kind} of a TextGrid; got {got}")
        return match[kind]

"""Praat's TextGrids, as long, short and chronological text files, and which of their tiers hold words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from featzoo.errors import ClipError
from featzoo.media.transcripts.words import Word, words_of

# Praat reads the strings, numbers and flags that stand free; all else in a text file is for people.
TOKEN = re.compile(
    r'(?<!\S)"(?P<text>(?:[^"]|"")*)"(?!\S)'
    r"|(?<!\S)(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)"
    r"|(?<!\S)(?P<flag><exists>|<absent>)(?!\S)"
    r"|(?<!\S)!.*"
)
CHRONOLOGICAL = "Praat chronological TextGrid text file"
# Parts of the names of tiers.
OF_WORDS = {"word", "words", "wrd", "ort", "orthography"}
OF_UTTERANCES = {
    "ipu", "ipus", "phrase", "phrases", "sentence", "sentences", "speech", "text", "trans", "transcript",
    "transcription", "trn", "utt", "utterance", "utterances",
}  # fmt: skip
OF_NEITHER = {
    "comment", "comments", "emotion", "error", "errors", "gloss", "ipa", "kan", "lemma", "mau", "mute", "noise",
    "notes", "phon", "phone", "phoneme", "phonemes", "phones", "phonetic", "pos", "sampa", "seg", "segment",
    "segments", "syl", "syll", "syllable", "syllables", "tobi", "tone", "tones",
}  # fmt: skip
# What aligners put where nothing is said, or no word: MFA, P2FA, WebMAUS, and anything in <> or {}.
NO_WORD = re.compile(r"sp|sil|spn|silence|#|_|<[^<>]*>|\{[^{}]*\}", re.IGNORECASE)


class Tier(NamedTuple):
    """A tier of intervals: its name, and the intervals as (start, end, label)."""

    name: str
    intervals: list[tuple[float, float, str]]


def read_textgrid(text: str, name: str) -> tuple[list[Word], list[str]]:
    """The words of a TextGrid, without the marks of silence and noise; those of several speakers by time.

    Raises:
        ClipError: If it is not a TextGrid in text form, or none of its tiers is known to hold words.
    """
    words: list[Word] = []
    for tier in tiers_of_words(read_tiers(text, name), name):
        for start, end, label in tier.intervals:
            if not NO_WORD.fullmatch(label.strip()):
                words += words_of(label, start, end)
    return sorted(words, key=lambda word: word.start), []


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


def tiers_of_words(tiers: Sequence[Tier], name: str) -> Sequence[Tier]:
    """The tiers that hold the words, by their names: one, or one for each speaker.

    Raises:
        ClipError: If that is not certain.
    """
    rest = [tier for tier in tiers if not _parts(tier) & OF_NEITHER]
    chosen = (
        [tier for tier in rest if _parts(tier) & OF_WORDS]
        or [tier for tier in rest if "word" in tier.name.casefold()]
        or [tier for tier in rest if _parts(tier) & OF_UTTERANCES]
        or (rest if len(rest) == 1 else [])
    )
    names = ", ".join(f"'{tier.name}'" for tier in chosen or tiers)
    if not chosen:
        raise ClipError(
            "bad-transcript", f"{name}: none of its tiers ({names}) is called 'words': rename the right one"
        )
    for one, other in combinations(chosen, 2):
        times = [{(start, end) for start, end, label in tier.intervals if label.strip()} for tier in (one, other)]
        if 2 * len(times[0] & times[1]) > min(map(len, times)):
            raise ClipError("bad-transcript", f"{name}: the tiers {names} have the same times: rename all but one")
    return chosen


def _parts(tier: Tier) -> set[str]:
    """The words that the name of a tier is made of; WebMAUS calls its words ORT-MAU."""
    return set(re.split(r"[\W_]+", tier.name.casefold().replace("ort-mau", "ort")))


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

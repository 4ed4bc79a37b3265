"""Word: one word of a transcript and when it is spoken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple


class Word(NamedTuple):
    """One word of a transcript, its start and end in seconds; NaN where the time is not known."""

    text: str
    start: float = math.nan
    end: float = math.nan


def words_of(text: str, start: float = math.nan, end: float = math.nan) -> tuple[Word, ...]:
    """The words of a text; an interval, if given, is shared out by the words' length in letters."""
    parts = text.split()
    letters = sum(map(len, parts))
    # The first and last edge exactly as given.
    reached = [start, *(start + done * (end - start) / letters for done in accumulate(map(len, parts[:-1]))), end]
    return tuple(map(Word, parts, reached, reached[1:]))


def without_wrong_times(words: Iterable[Word]) -> tuple[tuple[Word, ...], int]:
    """The words, of which those with an impossible time have none; and how many these are.

    A time is impossible if it ends before it starts, starts before the recording or is infinite.
    """
    kept, wrong = [], 0
    for word in words:
        if word.end < word.start or word.start < 0 or math.isinf(word.start) or math.isinf(word.end):
            word, wrong = Word(word.text), wrong + 1
        kept.append(word)
    return tuple(kept), wrong


def cut_words(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """The words whose middle lies in a segment, with times from its start.

    A word whose time is not known goes with the word before it. There are none if no word has a time.
    """
    middles = [(w.start + w.end) / 2 if w.start <= w.end else w.start for w in words]
    at = next((middle for middle in middles if middle == middle), math.nan)
    kept = []
    for word, middle in zip(words, middles, strict=True):
        at = middle if middle == middle else at
        if start <= at < end:
            kept.append(Word(word.text, word.start - start, word.end - start))
    return tuple(kept)

"""Divides long texts into parts that fit into one answer, and estimates the tokens of texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from featzoo.augment.languages import LANGUAGES

# A sentence ends at a line's end, after closing punctuation followed by white space, or after that of Chinese and
# Japanese.
SENTENCE = re.compile(r".*?(?:\n+|[.!?…]+[\"'”’)\]]*\s+|[。！？]+[」』”’）]*\s*|\Z)", re.DOTALL)
WORD = re.compile(r"\S*\s*")


def tokens(text: str) -> float:
    """An estimate of a text's tokens: a quarter for each ASCII character, one for each other.

    This rule of thumb (OpenAI's: four characters of English per token) is used before the server has counted. It
    overestimates accented letters. It depends only on single characters, not on their neighbours.
    """
    plain = len(text.encode("ascii", "ignore"))
    return plain / 4 + (len(text) - plain)


def answer_tokens(text: str, languages: Sequence[str]) -> float:
    """An estimate of the tokens in the translations of an English text."""
    return sum(
        len(text) * LANGUAGES[code].length * (0.3 if LANGUAGES[code].length > 0.6 else 1.0) + 8 for code in languages
    )


def split(text: str, budget: float) -> list[str]:
    """Cut a text at ends of sentences into pieces of at most `budget` tokens each.

    A longer sentence is cut between words, a longer word anywhere.

    Args:
        text: Any text.
        budget: Maximum tokens, as estimated by `tokens`, 1 or more.

    Returns:
        The pieces without white space at their ends; empty for a text that is only white space.
    """
    pieces, current, size = [], "", 0.0
    for part in _parts(text, budget):
        cost = tokens(part)
        if size + cost > budget and current:
            pieces.append(current)
            current, size = "", 0.0
        current, size = current + part, size + cost
    return [piece.strip() for piece in [*pieces, current] if piece.strip()]


def join(pieces: Sequence[str], language: str) -> str:
    """The translations of a text's pieces as one text."""
    return (" " if LANGUAGES[language].spaced else "").join(piece.strip() for piece in pieces)


def _parts(text: str, budget: float) -> Iterator[str]:
    for sentence in SENTENCE.findall(text):
        if tokens(sentence) <= budget:
            yield sentence
            continue
        for word in WORD.findall(sentence):
            if tokens(word) <= budget:
                yield word
            else:
                yield from word

"""Long texts in pieces that a model can answer at once, and what texts cost in tokens, by estimate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from featzoo.augment.languages import LANGUAGES

# A sentence ends at a line's end, after closing marks with white space behind, or after those of Chinese and Japanese.
SENTENCE = re.compile(r".*?(?:\n+|[.!?…]+[\"'”’)\]]*\s+|[。！？]+[」』”’）]*\s*|\Z)", re.DOTALL)
WORD = re.compile(r"\S*\s*")


def tokens(text: str) -> float:
    """About how many tokens a text is: a quarter for each ASCII character, one for each other.

    A rule of thumb (OpenAI's: four characters of English), here before the server has counted; rather too many for
    accented letters. It grows by a text's characters alone, whatever they stand beside.
    """
    plain = len(text.encode("ascii", "ignore"))
    return plain / 4 + (len(text) - plain)


def answer_tokens(text: str, languages: Sequence[str]) -> float:
    """About how many tokens the translations of an English text are."""
    return sum(
        len(text) * LANGUAGES[code].length * (0.3 if LANGUAGES[code].length > 0.6 else 1.0) + 8 for code in languages
    )


def split(text: str, budget: float) -> list[str]:
    """Cut a text at ends of sentences into pieces of at most `budget` tokens each.

    A sentence that is longer is cut between words, a word that is longer anywhere.

    Args:
        text: Any.
        budget: In tokens of `tokens`, 1 or more.

    Returns:
        The pieces without white space at their ends; none of a text without any other character.
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

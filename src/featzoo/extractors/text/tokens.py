"""Splits a transcript's words into the tokens of word vectors: punctuation and contractions are separate tokens.

NLTK's tokenizer follows the Penn Treebank, as GloVe's training text did and spaCy's English does ("do" "n't", "film"
","). It consists of rules, without the model files and compiled dependencies of spaCy. BERT's splitting at every
punctuation mark ("don" "'" "t") would miss GloVe's "n't". The tokenizer expects single sentences, so it gets one word
at a time: otherwise a full stop inside a text would stay on its word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

from featzoo.weights.imports import require

Cleaning = Literal["none", "siamese"]
Tokenizer = Literal["treebank", "whitespace"]

# Punctuation around a link in transcripts and captions is not part of it.
LINK = re.compile(r"[a-z][a-z0-9+.-]*://\S+|www\.\S+|\S+@\S+\.\w+", re.IGNORECASE)


def tokens_of(word: str, known: Callable[[str], bool], tokenizer: Tokenizer, cleaning: Cleaning) -> list[str]:
    """The tokens of one word of a transcript, in order; empty if cleaning leaves nothing.

    Args:
        word: Without white space.
        known: Whether the vectors hold a token: a word that they hold unchanged is not split ("mr.", "u.s.").
        tokenizer: `treebank`, or `whitespace` to leave words whole.
        cleaning: `siamese` drops links, addresses, digits and special characters (see `cleaned`).
    """
    parts = cleaned(word).split() if cleaning == "siamese" else [word]
    tokens = [token for part in parts for token in _split(part, known, tokenizer)]
    return [t for t in tokens if any(map(str.isalpha, t))] if cleaning == "siamese" else tokens


def cleaned(word: str) -> str:
    """Letters and apostrophes, with white space for everything else; empty for a link or an e-mail address.

    Reference:
        Fodor, Saboundji, Lorincz, "Multimodal Sentiment and Personality Perception Under Speech", section on
        text: "special characters, digits, URLs and emails" are removed.
    """
    if LINK.search(word):
        return ""
    return "".join(c if c.isalpha() or unicodedata.category(c)[0] == "M" or c in "'’" else " " for c in word)


def straight(token: str) -> str:
    """The word with the straight apostrophe, the only one in word vectors."""
    return token.replace("’", "'")


def _split(word: str, known: Callable[[str], bool], tokenizer: Tokenizer) -> list[str]:
    if tokenizer == "whitespace" or word.isalpha() or known(word):
        return [word]
    tokens: list[str] = _treebank().tokenize(straight(word))
    # The Treebank writes opening and closing double quotes as two characters each; transcripts have one.
    return ['"' if token in ("``", "''") else token for token in tokens] if '"' in word else tokens


@cache
def _treebank() -> Any:
    return require("nltk.tokenize.destructive", "glove").NLTKWordTokenizer()

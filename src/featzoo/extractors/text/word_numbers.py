"""Words as numbers, for models that count them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from featzoo.errors import ClipError
from featzoo.extractors.contract import Extractor
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence

# scikit-learn's tokens, but a letter of a script that is written without spaces (Chinese, Japanese kana, Thai) is one.
SPACELESS = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
TOKEN = re.compile(rf"[{SPACELESS}]|(?:(?![{SPACELESS}])\w){{2,}}")


@dataclass(frozen=True)
class WordNumbers(Extractor):
    """One row per word, in lower case: a number from 0 to 2^31 - 1 that stands for it, the same everywhere.

    Words are runs of two or more letters, digits and underscores, as scikit-learn splits texts; in scripts without
    spaces each letter is one. The head `tfidf` counts them. Needs no model.

    Differences:
        Two words may share a number: among 100,000 words, about two pairs do.
    """

    name = "word-numbers"
    modality = "text"
    reads = ("words",)
    usual = ()  # only for heads that count words

    def extract(self, clip: Clip) -> FeatureSequence:
        """The numbers of the clip's words.

        Raises:
            ClipError: With reason `no-words`, if there are none.
        """
        rows, times = [], []
        for word in clip.spoken():
            numbers = [number_of(token) for token in tokens_of(word.text)]
            rows += numbers
            times += [(word.start, word.end)] * len(numbers)
        if not rows:
            raise ClipError("no-words", f"{clip.id}: the transcript has no word of two letters")
        return FeatureSequence(
            np.array(rows, dtype=np.int64)[:, None], np.array(times, np.float64).reshape(-1, 2), ("word",)
        )


def tokens_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return TOKEN.findall(text.lower())


def number_of(token: str) -> int:
    """The number that stands for a word: the first 31 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:4], "big") >> 1

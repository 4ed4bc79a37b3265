"""Turns English transcripts into written English: apostrophes, no fillers, a full stop.

Transcripts of CMU-MOSI and of some recognisers have no punctuation and are in capitals ("UM THEY DIDNT"), while
encoders were trained on written text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from featzoo.media.transcripts import Word

FILLERS = {"um", "uh", "uhm", "umm", "uhh", "er", "erm", "hm", "hmm", "mm"}
# Contractions without their apostrophe, by ending and stem. Those that are also words are left out: its, were, well,
# ill, hell, shell, wed, id, lets.
CONTRACTED = {
    "t": "ain aren can couldn didn doesn don hadn hasn haven isn mightn mustn needn shouldn wasn weren won wouldn",
    "ve": "could i might must should they we would you",
    "ll": "it that there they what who you",
    "re": "they you",
    "m": "i",
    "s": "he here how she that there what where who",
    "d": "he it they you",
}
APOSTROPHE = {start + end: len(start) for end, starts in CONTRACTED.items() for start in starts.split()}
PARTS = re.compile(r"^(\W*)(\w+)(\W*)$")


def written(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words without fillers, with their apostrophes, and a full stop if the last has no punctuation.

    A text that is all in capitals becomes lower case. A text that consists of fillers keeps them.

    Args:
        words: The words of an English text.
    """
    said = [word for word in words if _core(word.text) not in FILLERS] or list(words)
    shouted = not any(letter.islower() for word in said for letter in word.text)
    texts = [_contracted(word.text.lower() if shouted else word.text) for word in said]
    if texts and texts[-1][-1:].isalnum():
        texts[-1] += "."
    return tuple(word._replace(text=text) for word, text in zip(said, texts, strict=True))


def _core(text: str) -> str:
    """The word in lower case, without punctuation around it."""
    found = PARTS.match(text)
    return (found[2] if found else text).lower()


def _contracted(text: str) -> str:
    found = PARTS.match(text)
    place = APOSTROPHE.get(found[2].lower()) if found else None
    if not found or place is None:
        return text
    return f"{found[1]}{found[2][:place]}'{found[2][place:]}{found[3]}"

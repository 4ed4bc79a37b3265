"""Numbers, lists and texts of strangers in messages: `1 clip`, `2 clips`, `a, b, c and 4 more`, `a\\nb`."""

from __future__ import annotations

import re
from collections.abc import Iterable


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, as in `1 clip` and `2 clips`; `plural` is needed if it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def some(names: Iterable[object], most: int = 3) -> str:
    """The first names and the number of the others, as in `a, b, c and 4 more`."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


# Controls of a terminal, line breaks, marks that turn the direction of text, letters without a picture, and halves of
# surrogate pairs. Joiners, which names in Persian and Hindi need, are not among them.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """A text from a file with its controls escaped, as in `\\x1b` and `\\u202e`: a terminal shows them only."""
    return UNPRINTABLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    letter = found[0]
    if letter in SHORT:
        return SHORT[letter]
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

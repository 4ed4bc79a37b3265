"""Numbers and lists in messages: `1 clip`, `2 clips`, `a, b, c and 4 more`."""

from __future__ import annotations

from collections.abc import Iterable


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, as in `1 clip` and `2 clips`; `plural` is needed if it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def some(names: Iterable[object], most: int = 3) -> str:
    """The first names and the number of the others, as in `a, b, c and 4 more`."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more

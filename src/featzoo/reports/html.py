"""HTML from text that is not trusted: clip ids, transcripts and labels are always shown as text."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Control characters, lone surrogates and noncharacters, none of which may stand in an HTML file.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Characters that end a script element or a line of JavaScript, as JSON escapes.
_IN_SCRIPTS = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


class Html(str):
    """A piece of HTML. Any other string is text, and is escaped before it enters a page."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Text as HTML; characters that HTML cannot hold become U+FFFD."""
    return text if isinstance(text, Html) else Html(html.escape(printable(text)))


def printable(text: object) -> str:
    """Text without characters that HTML cannot hold, each replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", str(text))


def isolated(text: object) -> Html:
    """Text whose direction does not affect its surroundings: a right-to-left id does not turn its row around."""
    return Html(f'<bdi dir="auto">{escape(text)}</bdi>')


def join(parts: Iterable[object], between: str = "") -> Html:
    """Pieces of HTML or text in a row."""
    return Html(str(escape(between)).join(escape(part) for part in parts))


def element(tag: str, *content: object, css: str = "") -> Html:
    """An element of some pieces of HTML or text.

    Args:
        tag: Its name.
        *content: Its content.
        css: Its class.
    """
    attribute = f' class="{html.escape(css)}"' if css else ""
    return Html(f"<{tag}{attribute}>{join(content)}</{tag}>")


def table(head: Sequence[object], rows: Iterable[Sequence[object]], numbers_from: int = 1) -> Html:
    """A table that scrolls sideways within a narrow page.

    Args:
        head: Titles of the columns; empty for a table without titles.
        rows: One cell for each column; strings are escaped and isolated.
        numbers_from: The first column that is aligned to the right.
    """

    def cells(row: Sequence[object], tag: str) -> Html:
        made = []
        for number, cell in enumerate(row):
            content = cell if isinstance(cell, Html) else isolated(cell)
            made.append(element(tag, content, css="number" if number >= numbers_from else ""))
        return element("tr", *made)

    titles = element("thead", cells(head, "th")) if head else Html()
    body = element("tbody", *(cells(row, "td") for row in rows))
    return Html(f'<div class="scroll" tabindex="0"><table>{titles}{body}</table></div>')


def script_json(value: Any) -> Html:
    """A value as JSON that may stand in a script element. NaN is not allowed."""
    return Html(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPTS))

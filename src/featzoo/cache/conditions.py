"""Conditions on clips, in a part of SQL: `split = 'test' and emotion in ('angry', 'sad') and seconds > 2`.

A condition becomes an expression of pyarrow, which evaluates it; nothing that a condition says is run as a program.
NULL is as in SQL: a comparison with it is neither true nor false, and such rows are left out.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple, NoReturn

from featzoo.errors import InvalidOption, suggestion

TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|'(?P<text>(?:[^']|'')*)'|"(?P<quoted>(?:[^"]|"")+)"
    |(?P<word>[^\W\d][\w.-]*)|(?P<sign><=|>=|<>|!=|=|<|>|\(|\)|,))""",
    re.VERBOSE,
)
COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "<>": operator.ne, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
RESERVED = {"and", "or", "not", "in", "is", "null", "like", "between"}
# Longest condition in letters, and deepest nesting.
LONGEST, DEEPEST = 10_000, 50


class Token(NamedTuple):
    """A part of a condition: its kind (number, text, quoted, word, sign, or end), and what it says."""

    kind: str
    said: str


def tokens_of(text: str) -> list[Token]:
    """The parts of a condition, with one of kind `end` after the last.

    Raises:
        InvalidOption: If it is too long or has a part that is not understood.
    """
    if len(text) > LONGEST:
        raise InvalidOption(f"a condition may have {LONGEST:,} letters; this one has {len(text):,}")
    found, place, stop = [], 0, len(text.rstrip())
    while place < stop:
        match = TOKEN.match(text, place)
        if match is None:
            raise InvalidOption(f"the condition cannot be read from {text[place : place + 20].strip()!r} on")
        kind = str(match.lastgroup)
        quote = {"text": "'", "quoted": '"'}.get(kind)
        found.append(Token(kind, match[kind].replace(quote * 2, quote) if quote else match[kind]))
        place = match.end()
    return [*found, Token("end", "")]


def columns_of(text: str) -> list[str]:
    """The columns that a condition names, each once.

    Raises:
        InvalidOption: If it has a part that is not understood.
    """
    found = [
        token.said
        for token in tokens_of(text)
        if token.kind == "quoted" or (token.kind == "word" and token.said.lower() not in RESERVED)
    ]
    return list(dict.fromkeys(found))


def expression(text: str, types: Mapping[str, Any]) -> Any:
    """A condition as an expression for `pyarrow.Table.filter`.

    Args:
        text: The condition.
        types: Column to its Arrow type, which is a string type or float64.

    Raises:
        InvalidOption: If it is not a condition, names a column that does not exist, or compares text with a number.
    """
    return _Parser(text, types).whole()


class _Parser:
    def __init__(self, text: str, types: Mapping[str, Any]) -> None:
        self._tokens, self._types = tokens_of(text), types
        self._place = self._depth = 0

    def whole(self) -> Any:
        made = self._any()
        if self._tokens[self._place].kind != "end":
            self._refuse("and, or, or the end of the condition")
        return made

    def _refuse(self, wanted: str) -> NoReturn:
        token = self._tokens[self._place]
        found = "it ends" if token.kind == "end" else f"it has {token.said!r}"
        raise InvalidOption(f"the condition needs {wanted} where {found}, as in: split = 'test' and seconds > 2")

    def _next(self) -> Token:
        token = self._tokens[self._place]
        self._place += token.kind != "end"
        return token

    def _takes(self, *said: str) -> str:
        """The next word or sign in lower case if it is one of these, which is then passed; otherwise empty."""
        token = self._tokens[self._place]
        if token.kind in ("word", "sign") and token.said.lower() in said:
            return self._next().said.lower()
        return ""

    def _needs(self, said: str) -> None:
        if not self._takes(said):
            self._refuse(said)

    def _any(self) -> Any:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return reduce(operator.or_, parts)

    def _all(self) -> Any:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return reduce(operator.and_, parts)

    def _one(self) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            raise InvalidOption(f"the condition is nested more than {DEEPEST} deep")
        if self._takes("not"):
            made = ~self._one()
        elif self._takes("("):
            made = self._any()
            self._needs(")")
        else:
            made = self._comparison()
        self._depth -= 1
        return made

    def _comparison(self) -> Any:
        name, column = self._column()
        sign = self._takes(*COMPARED)
        if sign:
            return COMPARED[sign](column, self._value(name))
        if self._takes("is"):
            negative = self._takes("not")
            self._needs("null")
            return column.is_valid() if negative else column.is_null()
        negative = self._takes("not")
        word = self._takes("in", "like", "between")
        if not word:
            self._refuse("a comparison (=, <>, <, <=, >, >=, in, like, between, is null)")
        made = {"in": self._in, "like": self._like, "between": self._between}[word](name, column)
        return ~made if negative else made

    def _column(self) -> tuple[str, Any]:
        import pyarrow.compute as pc

        token = self._tokens[self._place]
        if token.kind not in ("word", "quoted") or (token.kind == "word" and token.said.lower() in RESERVED):
            self._refuse("the name of a column")
        name = self._next().said
        if name not in self._types:
            raise InvalidOption(
                f"the store has no column '{name}'{suggestion(name, self._types)}. Columns: {', '.join(self._types)}"
            )
        return name, pc.field(name)

    def _value(self, name: str) -> str | float:
        token = self._tokens[self._place]
        if token.kind not in ("number", "text"):
            self._refuse("a number or a text in single quotes")
        is_number = str(self._types[name]) == "double"
        if (token.kind == "number") != is_number:
            holds = "numbers: write them without quotes" if is_number else "text: put it in single quotes"
            raise InvalidOption(f"'{name}' cannot be compared with {token.said!r}: it holds {holds}")
        self._next()
        return float(token.said) if is_number else token.said

    def _in(self, name: str, column: Any) -> Any:
        self._needs("(")
        values = [self._value(name)]
        while self._takes(","):
            values.append(self._value(name))
        self._needs(")")
        return reduce(operator.or_, [column == value for value in values])

    def _like(self, name: str, column: Any) -> Any:
        import pyarrow.compute as pc

        pattern = self._value(name)
        if not isinstance(pattern, str):
            raise InvalidOption(f"'{name}' holds numbers, which LIKE does not compare")
        return pc.match_like(column, pattern)

    def _between(self, name: str, column: Any) -> Any:
        least = self._value(name)
        self._needs("and")
        return (column >= least) & (column <= self._value(name))

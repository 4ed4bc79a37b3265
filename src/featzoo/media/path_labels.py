"""Labels that are written in clips' names, such as `03a01Fa.wav` or `Actor_12/angry.wav`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from featzoo.errors import InvalidOption
from featzoo.media.clip import Clip
from featzoo.vocabulary import SPLITS, split_name

FIELD = re.compile(r"\{(?P<name>\w*)(?::(?P<width>\d+))?\}")


class PathPattern:
    """Named parts of clip ids.

    Args:
        pattern: `{speaker}_{emotion}_{take}.wav`; a field with a width, `{speaker:2}`, has exactly that many letters,
            and `{}` is a part that is not a label. A pattern with `(?P<name>...)` is a regular expression instead. A
            pattern without `/` is compared with the last part of an id.

    Raises:
        InvalidOption: If it has no named field, or fields that cannot be told apart.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        try:
            self._expression = re.compile(pattern if "(?P<" in pattern else _translated(pattern))
        except re.error as error:
            raise InvalidOption(f"'{pattern}' is not a regular expression: {error}") from error
        self.fields = tuple(self._expression.groupindex)
        if not self.fields:
            raise InvalidOption(
                f"'{pattern}' names no field: expected something like '{{speaker}}_{{emotion}}_{{}}.wav'"
            )

    def read(self, clip_id: str) -> dict[str, str] | None:
        """The fields of a clip's id that are not empty; None if the id does not match."""
        name = clip_id if "/" in self.pattern else clip_id.rpartition("/")[2]
        found = self._expression.fullmatch(name)
        return None if found is None else {key: value for key, value in found.groupdict().items() if value}


def _translated(pattern: str) -> str:
    """The regular expression of a pattern with fields."""
    parts, at, seen = [], 0, set[str]()
    fields = list(FIELD.finditer(pattern))
    for number, found in enumerate(fields):
        parts.append(re.escape(pattern[at : found.start()]))
        before, after = pattern[at : found.start()], pattern[found.end() :]
        at = found.end()
        if not found["width"] and number and not before and not fields[number - 1]["width"]:
            raise InvalidOption(
                f"'{pattern}': nothing separates {fields[number - 1][0]} from {found[0]}; give a width, such as "
                f"{{{found['name']}:2}}"
            )
        name, letters = found["name"], _letters(before, after, found["width"])
        if name in seen:
            parts.append(f"(?P={name})")
        else:
            parts.append(f"(?P<{name}>{letters})" if name else letters)
            seen |= {name} if name else set()
    return "".join(parts) + re.escape(pattern[at:])


def _letters(before: str, after: str, width: str | None) -> str:
    """A field: any letters but the separators beside it, so that no name can be read in two ways."""
    beside = re.escape("".join(sorted({*before[-1:], *after[:1]} - {"{"})))
    return f"[^/]{{{width}}}" if width else f"[^/{beside}]+"


def read_code_tables(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Column to code to name.

    Args:
        given: `emotion.W=anger`, or several codes of a column as `emotion.W=anger,F=happiness`; an empty name is no
            label.

    Raises:
        InvalidOption: If one has another form, or a code has two names.
    """
    tables: dict[str, dict[str, str]] = {}
    for text in given:
        column, dot, pairs = text.partition(".")
        for pair in pairs.split(","):
            code, equals, name = (part.strip() for part in pair.partition("="))
            if not (column and dot and code and equals):
                raise InvalidOption(
                    f"'{text}' is not a table of codes: expected COLUMN.CODE=NAME, such as emotion.W=anger"
                )
            if tables.setdefault(column, {}).setdefault(code, name) != name:
                raise InvalidOption(f"the code {column}.{code} has two names: '{tables[column][code]}' and '{name}'")
    return tables


def label_clips(
    clips: Sequence[Clip], pattern: PathPattern, tables: Mapping[str, Mapping[str, str]]
) -> tuple[list[Clip], list[str]]:
    """The clips whose ids match, with the fields as names, and the ids of the others.

    A field `split` is the clip's split; a number label of a field's name is replaced.

    Raises:
        InvalidOption: If a table's column is not a field, a code has no name, or a split is unknown.
    """
    for column in tables:
        if column not in pattern.fields:
            raise InvalidOption(f"a code table for '{column}', but the fields are {', '.join(pattern.fields)}")
    labelled, others = [], []
    for clip in clips:
        fields = pattern.read(clip.id)
        if fields is None:
            others.append(clip.id)
            continue
        named = {column: _decoded(clip.id, column, code, tables) for column, code in fields.items()}
        split = _split(clip, named.pop("split", ""))
        labels = {name: value for name, value in clip.labels.items() if name not in named}
        labelled.append(replace(clip, split=split, labels=labels, categories={**clip.categories, **named}))
    return labelled, others


def _decoded(clip_id: str, column: str, code: str, tables: Mapping[str, Mapping[str, str]]) -> str:
    table = tables.get(column)
    if table is None:
        return code
    if code not in table:
        known = ", ".join(table)
        raise InvalidOption(
            f"clip '{clip_id}': no name for {column} '{code}'; the table has {known}. Add {column}.{code}=NAME, or "
            f"{column}.{code}= for no label"
        )
    return table[code]


def _split(clip: Clip, given: str) -> str | None:
    if not given:
        return clip.split
    split = split_name(given)
    if split is None:
        raise InvalidOption(f"clip '{clip.id}': split '{given}' is none of {', '.join(SPLITS)}")
    return split

"""Splits, texts and labels of clips, from the rows of a table."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from featzoo.errors import InvalidClips
from featzoo.media.clip import Clip
from featzoo.media.tables import Row, Table
from featzoo.media.transcripts import words_of
from featzoo.vocabulary import SPLITS, split_name
from featzoo.wording import count

# Columns of a manifest that are not labels.
COLUMNS = ("id", "path", "start", "end", "text", "split")
# The same for MMSA's label.csv; `mode` is the split, and `annotation` repeats the label in words.
MMSA_COLUMNS = ("video_id", "clip_id", "text", "mode", "annotation")
# MMSA's columns, and what `feat import mmsa` calls its labels.
MMSA_LABELS = {
    "label": "sentiment",
    "label_T": "sentiment_text",
    "label_A": "sentiment_audio",
    "label_V": "sentiment_vision",
}


def described(clip: Clip, row: Row, table: Table) -> Clip:
    """The clip with the split, text and labels of its row.

    Raises:
        InvalidClips: If its split is not one.
    """
    given = row.text("split") or row.text("mode")
    split = split_name(given)
    if given and split is None:
        raise InvalidClips(f"{table.at(row)}: split '{given}' of '{clip.id}' is none of {', '.join(SPLITS)}")
    text = row.text("text")
    # The words of the transcript beside it have times: they stay if the table says the same.
    told = bool(text) and text.split() != [word.text for word in clip.words]
    mmsa = "video_id" in table.columns
    columns = [column for column in table.columns if column not in (MMSA_COLUMNS if mmsa else COLUMNS)]
    labels = {
        MMSA_LABELS.get(column, column) if mmsa else column: number
        for column in columns
        if column not in table.nominal and (number := table.number(row, column)) is not None
    }
    categories = {column: name for column in columns if column in table.nominal and (name := table.name(row, column))}
    words = words_of(text) if told else clip.words
    problem = "" if text else clip.problem
    return replace(clip, labels=labels, categories=categories, split=split, words=words, problem=problem)


def match(clips: Sequence[Clip], table: Table) -> tuple[Mapping[str, Row], list[str]]:
    """The row of each clip that has one, and the names in other rows; a row names a clip with or without its suffix.

    Names are compared in one Unicode form: macOS writes letters and accents apart, and spreadsheets do not.

    Raises:
        InvalidClips: If a row names several clips, two rows name one, or no row names any.
    """
    known: dict[str, list[str]] = {}
    for clip in clips:
        for name in {clip.id, _plain(clip.id), _plain(clip.id.rsplit(".", 1)[0])}:
            known.setdefault(name, []).append(clip.id)
    found: dict[str, Row] = {}
    others: list[str] = []
    for row in table.rows:
        name = row.text("id")
        if not name:
            raise InvalidClips(f"{table.at(row)}: no id")
        ids = known.get(name) or known.get(_plain(name)) or known.get(_plain(name.replace("\\", "/"))) or []
        ids = [name] if name in ids else ids
        if not ids:
            others.append(name)
            continue
        if len(ids) > 1:
            raise InvalidClips(f"{table.at(row)}: more than one clip is called '{name}': {', '.join(ids)}")
        if ids[0] in found:
            raise InvalidClips(f"{table.at(row)}: '{ids[0]}' is there twice, first in line {found[ids[0]].line}")
        found[ids[0]] = row
    if others and not found:
        raise InvalidClips(f"{table.path}: no clip is called '{others[0]}', and none of the other rows names one")
    return found, others


def account(table: Table, columns: Collection[str], said: str = "") -> list[str]:
    """Lines that say which labels a table has, and for each column how many values are left out."""
    labels, names, aside = [], [], []
    for column in table.columns:
        if column in columns:
            continue
        if column in table.nominal:
            names += [column] if any(table.name(row, column) for row in table.rows) else []
            continue
        wrong = [row for row in table.rows if not table.is_empty(row, column) and table.number(row, column) is None]
        if any(table.number(row, column) is not None for row in table.rows):
            labels.append(column)
        if wrong:
            example = f"{table.at(wrong[0]).rpartition(', ')[2]}: {str(wrong[0].cells[column])[:30]!r}"
            rows = count(len(wrong), "row")
            aside.append(f"{table.path.name}: '{column}' is not a number in {rows} ({example}): left out")
    kinds = {"labels": labels, "names": names}
    held = "; ".join(f"{kind} {', '.join(columns)}" for kind, columns in kinds.items() if columns) or "no labels"
    given = said or count(len(table.rows), "row")
    return [f"{table.path.name}: {given}, {held}", *aside]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)

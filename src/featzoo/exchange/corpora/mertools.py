"""MERTools' files for MOSI, MOSEI and SIMS: label.npz with the splits, and transcripts in two languages."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.errors import InvalidClips
from featzoo.exchange.pickles.unpickle import load_npz

SPLITS = {"train_corpus": "train", "val_corpus": "valid", "test_corpus": "test"}


class Labelled(NamedTuple):
    """A row of a label file: `video$_$utterance`, its split and its sentiment."""

    id: str
    split: str
    sentiment: float


def only(folder: Path, *patterns: str) -> Path | None:
    """The only file in a folder that matches one of the patterns; None if no file does.

    Raises:
        InvalidClips: If two do.
    """
    found = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    if len(found) > 1:
        raise InvalidClips(f"{folder} holds {found[0].name} and {found[1].name}: keep only one of them there")
    return found[0] if found else None


def clip_id(name: str) -> str:
    """`video_0001_0004` or `-3g5yACwYnA_10` as MMSA writes it: video and utterance, split before the last part."""
    video, _, number = name.rpartition("_")
    return f"{video}$_${number}" if video else name


def read_labels(path: Path) -> list[Labelled]:
    """The rows of a label.npz: train_corpus, val_corpus and test_corpus, each name to `{"emo": ..., "val": sentiment}`.

    Raises:
        InvalidClips: If it has another content.
    """
    content = load_npz(path)
    if not set(SPLITS) <= set(content) or not all(isinstance(content[part], Mapping) for part in SPLITS):
        raise InvalidClips(f"{path} holds {', '.join(content)}; a label.npz of MERTools has {', '.join(SPLITS)}")
    rows = []
    for part, split in SPLITS.items():
        for name, value in content[part].items():
            try:
                rows.append(Labelled(clip_id(str(name)), split, float(value["val"])))
            except (TypeError, KeyError, ValueError) as error:
                raise InvalidClips(f"{path}: {part} has no 'val' for '{name}': {error}") from error
    return rows


def read_transcripts(path: Path, language: str) -> dict[str, str]:
    """Clip id to text, from a table with the columns `name` and the language.

    Raises:
        InvalidClips: If a column is missing.
    """
    rows = read_table(path, "name", language)
    return {clip_id(row["name"]): row[language] for row in rows}


def read_table(path: Path, *columns: str) -> list[dict[str, Any]]:
    """The rows of a CSV table, which must have the columns; a missing cell is empty.

    Raises:
        InvalidClips: If it cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise InvalidClips(f"{path} has no column {', '.join(lacking)}; it has {reader.fieldnames}")
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidClips(f"cannot read {path}: {error}") from error

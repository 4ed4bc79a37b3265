"""Finds clips of different splits with the same content, which leak training data into test scores."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from featzoo.cache.clip_table import Record
from featzoo.media.clip import Clip

# Shorter texts of clips without media are often alike by chance.
LEAST_WORDS = 5


class Duplicate(NamedTuple):
    """Two clips whose media files have the same bytes and whose segments overlap, or that have the same text alone."""

    one: str
    split: str
    other: str
    other_split: str

    def __str__(self) -> str:
        return f"'{self.one}' ({self.split}) and '{self.other}' ({self.other_split})"


def across_splits(records: Mapping[str, Record]) -> list[Duplicate]:
    """Pairs of clips from different splits with the same content; segments that do not overlap do not count."""
    groups: dict[str, list[tuple[float, float, str, str]]] = defaultdict(list)
    for name, (clip, media) in records.items():
        if clip.split and (content := media or _text(clip)):
            groups[content].append((clip.start, math.inf if clip.end is None else clip.end, clip.split, name))
    found = []
    for spans in groups.values():
        furthest: dict[str, tuple[float, str]] = {}  # for each split, the latest end so far, and its clip
        for start, end, split, name in sorted(spans):
            others = [(until, other, whose) for other, (until, whose) in furthest.items() if other != split]
            found += [_pair((whose, other), (name, split)) for until, other, whose in others if until > start]
            furthest[split] = max((end, name), furthest.get(split, (0.0, "")))
    return sorted(found)


def _text(clip: Clip) -> str:
    """The text of a clip that has no media, if it is long enough to tell clips apart."""
    return f"text: {clip.text}" if clip.path is None and len(clip.words) >= LEAST_WORDS else ""


def _pair(*clips: tuple[str, str]) -> Duplicate:
    """Two clips with their splits; the train clip comes first."""
    one, other = sorted(clips, key=lambda clip: (clip[1] != "train", clip))
    return Duplicate(*one, *other)

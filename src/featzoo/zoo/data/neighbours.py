"""Clips that belong together: the utterances of one video, the languages of one text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featzoo.media.clip import Clip

ITSELF, PREVIOUS, NEXT = "itself", "previous", "next"


def member(clip: str) -> tuple[str, str]:
    """A clip id's group and its name there: `video$_$3` (MMSA's form) and `row/fr` are split before the last part."""
    group, mark, name = clip.rpartition("$_$")
    if not mark:
        group, _, name = clip.rpartition("/")
    return group, name


def siblings(of: str, clips: Mapping[str, Clip], ids: Iterable[str]) -> dict[str, str]:
    """The clip from which each clip's input is read.

    Neighbours are segments of one file, or clips whose ids have the same group (`member`), in the order of their
    start and then of their names, with numbers sorted by value. A whole file whose id has no group has no neighbours.

    Args:
        of: `itself`; `previous` or `next`, the neighbour; or the name of a sibling: for `row/fr` and
            `en` the clip `row/en`, for an id without a group the clip itself.
        clips: All clips that may be read, by id.
        ids: The requested clips.

    Returns:
        Id to id, without clips that lack the neighbour or sibling.
    """
    if of == ITSELF:
        return {i: i for i in ids}
    if of not in (PREVIOUS, NEXT):
        # A text outside a parallel set is its own sibling.
        named = {i: i[: len(i) - len(member(i)[1])] + of if member(i)[0] else i for i in ids}
        return {i: other for i, other in named.items() if other in clips}
    groups: dict[str, list[Clip]] = {}
    for clip in clips.values():
        if group := _group(clip):
            groups.setdefault(group, []).append(clip)
    found: dict[str, str] = {}
    for together in groups.values():
        order = [clip.id for clip in sorted(together, key=_place)]
        found.update((b, a) if of == PREVIOUS else (a, b) for a, b in pairwise(order))
    return {i: found[i] for i in ids if i in found}


def _group(clip: Clip) -> str:
    segment = clip.path is not None and (clip.start > 0 or clip.end is not None)
    return str(clip.path) if segment else member(clip.id)[0]


def _place(clip: Clip) -> tuple[float, list[tuple[int, str]]]:
    parts = re.split(r"(\d+)", clip.id)
    return clip.start, [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

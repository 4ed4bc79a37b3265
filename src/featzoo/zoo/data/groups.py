"""Clips that belong together by a column of names, such as their speaker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from featzoo.errors import InvalidClips, InvalidOption, suggestion
from featzoo.wording import count, some
from featzoo.zoo.split_rule import ALONE

if TYPE_CHECKING:
    from featzoo.media.clip import Clip


def default_column(clips: Iterable[Clip]) -> str:
    """`speaker` if every clip has one, else `clip`: single clips."""
    speakers = [clip.categories.get("speaker") for clip in clips]
    return "speaker" if speakers and all(speakers) else ALONE


def groups_of(clips: Mapping[str, Clip], by: str, needed: Iterable[str]) -> dict[str, list[str]]:
    """Name of each group to its clips, for the groups with a clip that is needed.

    Args:
        clips: Clips by id.
        by: The column, or `clip` for single clips.
        needed: Ids of the clips that must have a group, such as those with a label.

    Raises:
        InvalidClips: If a needed clip has no group.
        InvalidOption: If no clip has the column.
    """
    ids = set(needed)
    if by == ALONE:
        return {clip_id: [clip_id] for clip_id in clips if clip_id in ids}
    known = {column for clip in clips.values() for column in clip.categories}
    if by not in known:
        raise InvalidOption(
            f"no clip has a column of names '{by}'{suggestion(by, known)}. A labels.csv gives columns, and feat label "
            f"reads them from file names; '{ALONE}' splits single clips"
        )
    lacking = sorted(clip_id for clip_id in ids if not clips[clip_id].categories.get(by))
    if lacking:
        raise InvalidClips(f"{count(len(lacking), 'clip')} without a {by}: {some(lacking)}")
    found = defaultdict(list)
    for clip_id, clip in clips.items():
        if clip.categories.get(by):
            found[clip.categories[by]].append(clip_id)
    return {name: held for name, held in found.items() if not ids.isdisjoint(held)}

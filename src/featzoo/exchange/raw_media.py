"""Finds the media of published corpora in their distributed layout and links them to clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from featzoo.errors import InvalidClips
from featzoo.media.clip import Clip
from featzoo.media.discovery import SOUNDS, VIDEOS
from featzoo.wording import count, some


def link_media(clips: Sequence[Clip], folder: Path, parts: bool = False) -> tuple[list[Clip], list[str]]:
    """Clips `video$_$3` with the media that match their names, and notes on the result.

    The files may be at any depth of the folder: `video/3.mp4` (MMSA's Raw) or `video_3.mp4`, which are whole clips,
    else the recording `video.mp4`, of which the clip is the part from its start to its end. Video is preferred to
    audio.

    Args:
        clips: Clips with ids of this form; others are unchanged.
        folder: Folder of media.
        parts: Whether ids start with the name of their part, as MELD's `train_dia0$_$3`: the file is
            `dia0_utt3.mp4`, below a folder whose name holds `train`.

    Raises:
        InvalidClips: If the folder does not exist, or two files match one clip.
    """
    root = folder.resolve()
    files: dict[str, list[Path]] = {}
    for path in media_below(folder):
        above = path.relative_to(root.parent).parts[:-1]
        folders = _parts(above) if parts else {above[-1]}
        for key in [*(f"{name}/{path.stem}" for name in folders), path.stem]:
            files.setdefault(key, []).append(path)
    linked = [_linked(clip, files, parts) for clip in clips]
    without = [clip.id for clip in linked if clip.path is None]
    notes = [f"media: {len(linked) - len(without)} of {len(linked)} clips are linked to files below {folder}"]
    if without:
        notes.append(f"warning: {count(len(without), 'clip')} without a file there: {some(without)}")
    return linked, notes


def media_below(folder: Path) -> list[Path]:
    """All video and sound files below a folder as absolute paths, sorted, without hidden ones.

    Raises:
        InvalidClips: If the folder does not exist.
    """
    if not folder.is_dir():
        raise InvalidClips(f"the media folder does not exist: {folder}")
    root = folder.resolve()
    files = (path for path in root.rglob("*") if path.suffix.lower() in VIDEOS | SOUNDS)
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(root).parts))


def _parts(folders: Sequence[str]) -> set[str]:
    return {part for part in ("train", "dev", "test") for folder in folders if part in folder}


def _linked(clip: Clip, files: Mapping[str, list[Path]], parts: bool) -> Clip:
    video, _, number = clip.id.partition("$_$")
    if parts:
        part, _, dialogue = video.partition("_")
        cut = _one(clip, files.get(f"{part}/{dialogue}_utt{number}", []))
        return replace(clip, path=cut) if cut else clip
    cut = _one(clip, files.get(f"{video}/{number}", [])) or _one(clip, files.get(f"{video}_{number}", []))
    if cut:
        return replace(clip, path=cut, start=0.0, end=None)
    whole = _one(clip, files.get(video, [])) if clip.end is not None else None
    return replace(clip, path=whole) if whole else clip


def _one(clip: Clip, paths: Sequence[Path]) -> Path | None:
    found = sorted(paths, key=lambda path: path.suffix.lower() not in VIDEOS)
    alike = [path for path in found if (path.suffix.lower() in VIDEOS) == (found[0].suffix.lower() in VIDEOS)]
    if len(alike) > 1:
        raise InvalidClips(
            f"'{clip.id}' matches {alike[0]} and {alike[1]}: give the folder of one of them as the media folder"
        )
    return found[0] if found else None

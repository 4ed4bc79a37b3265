"""Media to transcripts beside them: what is to be done, each file whole or not at all, and an account of all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from featzoo.durable import write
from featzoo.errors import ClipError, InvalidClips, StoreError
from featzoo.media.clip import Clip
from featzoo.media.discovery import IMAGES, find_clips
from featzoo.media.transcripts import Neighbours, find_transcript, read_transcript
from featzoo.media.whisper import Passage, Whisper

State = Literal["written", "kept", "failed"]


@dataclass(frozen=True)
class Medium:
    """One recording.

    Attributes:
        path: Its file.
        clips: The clip that it is, or those that are segments of it.
        target: Where its transcript goes; the transcript is of the whole recording.
        existing: The transcript that it has, if any.
        encoding: Of transcripts that are not UTF-8; detected if None.
    """

    path: Path
    clips: tuple[Clip, ...]
    target: Path
    existing: Path | None
    encoding: str | None = None


class Media(NamedTuple):
    """The recordings of the sources, and what in these has no sound to transcribe."""

    found: list[Medium]
    left_aside: list[str]


class Outcome(NamedTuple):
    """What became of a recording.

    Attributes:
        path: Its file.
        state: `written`; `kept` if it had a transcript (or times) already; `failed`.
        words: How many words were written.
        detail: The reason and message of a failure; what to know of a transcript.
    """

    path: Path
    state: State
    words: int = 0
    detail: str = ""


def find_media(sources: Sequence[Path], to: Path | None = None, encoding: str | None = None) -> Media:
    """The recordings of folders, manifests and media files, each once.

    Args:
        sources: As `feat extract` takes them.
        to: The folder for transcripts, under the media's paths in their source; by default, they lie beside them.
        encoding: Of transcripts and tables that are not UTF-8 and have no byte order mark; detected if None.

    Raises:
        InvalidClips: If a source is not there, or two recordings would get one transcript.
    """
    found = find_clips(*sources, encoding=encoding)
    aside, clips = list(found.left_aside), dict[Path, list[Clip]]()
    for clip in found.clips:
        if clip.path is None or clip.path.suffix.lower() in IMAGES:
            aside.append(f"{clip.id} ({'an image' if clip.path else 'text alone'})")
        else:
            clips.setdefault(Path(os.path.abspath(clip.path)), []).append(clip)  # noqa: PTH100  (links are kept)
    media, targets, neighbours = [], dict[Path, Path](), Neighbours()
    for path, its in clips.items():
        existing = find_transcript(path, neighbours) if to is None else None
        target = path.with_name(path.name + ".json") if to is None else to / _inside(path, sources)
        if target in targets:
            raise InvalidClips(f"{path} and {targets[target]} would both get the transcript {target}")
        targets[target] = path
        if to is not None and target.is_file():
            existing = target
        media.append(Medium(path, tuple(its), target, existing, encoding))
    return Media(media, aside)


def _inside(path: Path, sources: Sequence[Path]) -> Path:
    """Path of a transcript in another folder: the medium's in its source, with several sources below its name."""
    name = path.name + ".json"
    for source in sources:
        root = Path(os.path.abspath(source if source.is_dir() else source.parent))  # noqa: PTH100
        if path.is_relative_to(root):
            below = path.relative_to(root).with_name(name)
            return Path(root.name) / below if len(sources) > 1 and source.is_dir() else below
    return Path(name)


def transcribe_all(
    media: Iterable[Medium],
    load: Callable[[], Whisper],
    *,
    align: bool = False,
    force: bool = False,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[Outcome]:
    """Write a transcript for each recording that has none; one bad file does not stop the rest.

    A run that was killed goes on where it was: files come whole or not at all, and those that are there are kept.

    Args:
        media: See `find_media`.
        load: Gives the model; called once, and not at all where there is nothing to do.
        align: Give times to the words of the transcripts that have none, in place of finding words.
        force: Also where there is a transcript (or times) already. A file of another form than JSON is never touched.
        on_progress: Told how many recordings are done, with the share of the one in work.

    Returns:
        One outcome for each recording.
    """
    outcomes: list[Outcome] = []
    model: Whisper | None = None
    for number, medium in enumerate(media):
        try:
            if _done(medium, align) and not force:
                outcome = Outcome(medium.path, "kept")
            else:
                passages = _passages(medium) if align else []
                _make_room(medium, align, force)
                model = model or load()
                tell = partial(_advance, on_progress, number)
                words = model.align(medium.path, passages) if align else model.transcribe(medium.path, tell)
                outcome = _write(medium, words)
        except ClipError as error:
            outcome = Outcome(medium.path, "failed", detail=f"{error.reason}: {error}")
        except MemoryError:
            outcome = Outcome(medium.path, "failed", detail="memory: its sound does not fit into memory; cut it up")
        outcomes.append(outcome)
        on_progress(number + 1)
    return outcomes


def _done(medium: Medium, align: bool) -> bool:
    """Whether there is a transcript already; to be aligned, one with times."""
    if align and not _elsewhere(medium):
        given = [clip.words for clip in medium.clips if clip.words]
        return bool(given) and all(math.isfinite(time) for words in given for word in words for time in word[1:])
    if medium.existing is not None:
        return not _fault(medium.existing, medium.encoding)
    return all(clip.words for clip in medium.clips) and not _elsewhere(medium)


def _elsewhere(medium: Medium) -> bool:
    """Whether transcripts go to a folder of their own, where those beside the media do not count."""
    return medium.target.parent != medium.path.parent


def _fault(transcript: Path, encoding: str | None) -> str:
    """Why a transcript cannot be read; empty where it can."""
    try:
        read_transcript(transcript, encoding)
    except ClipError as error:
        return str(error)
    return ""


def _make_room(medium: Medium, align: bool, force: bool) -> None:
    """Refuse, before any work, what would be overwritten or could not be written."""
    # JSON of something else is not a transcript, but would be overwritten by one.
    existing = medium.target if medium.target.is_file() and _fault(medium.target, None) else medium.existing
    if existing is not None:
        fault, ours = _fault(existing, medium.encoding), existing.suffix == ".json"
        if fault and (ours or not force):
            cure = "" if ours else ", or force the transcription"
            raise ClipError("bad-transcript", f"{fault}: move {existing.name} away{cure}")
        if align and ours and not force:
            raise ClipError(
                "transcript-exists", f"{existing.name} has other words, or no times, and is only replaced by force"
            )
    folder = medium.target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClipError("unwritable", f"cannot make {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise ClipError("unwritable", f"{folder} cannot be written: name another folder for the transcripts")


def _write(medium: Medium, document: dict[str, Any]) -> Outcome:
    existing = medium.existing
    target = existing if existing is not None and existing.suffix == ".json" else medium.target
    _save(target, document)
    first = target if _elsewhere(medium) else find_transcript(medium.path)
    hidden = (
        f"{first.name} comes before {target.name}: feat extract reads that one" if first and first != target else ""
    )
    return Outcome(medium.path, "written", len(read_transcript(target)), hidden)


def _passages(medium: Medium) -> list[Passage]:
    """What is said in a recording, by its clips' words, in order of time."""
    clips = sorted((clip for clip in medium.clips if clip.words), key=lambda clip: clip.start)
    if not clips:
        medium.clips[0].spoken()  # says why not
    return [Passage(tuple(word.text for word in clip.words), clip.start, clip.end) for clip in clips]


def _advance(on_progress: Callable[[float], None], done: int, share: float) -> None:
    on_progress(done + share)


def _save(target: Path, document: dict[str, Any]) -> None:
    try:
        write(target, json.dumps(document, ensure_ascii=False, indent=1, default=float))
    except StoreError as error:
        raise ClipError("unwritable", str(error)) from error

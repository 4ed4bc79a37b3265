"""Label Studio: a head's predictions as pre-annotations, for people to correct."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from featzoo.errors import StoreError
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.media.clip import Clip
from featzoo.media.discovery import IMAGES, SOUNDS
from featzoo.wording import count

MEDIA = "media"
TAGS = {"video": "Video", "audio": "Audio", "image": "Image", "text": "Text"}


@dataclass(frozen=True)
class Guess:
    """A head's prediction of one clip.

    Attributes:
        numbers: Name of each number to its value.
        choices: Name of a set of classes to those that apply.
        score: The probability of the least certain choice; None for numbers.
    """

    numbers: Mapping[str, float]
    choices: Mapping[str, Sequence[str]]
    score: float | None = None


def export_label_studio(
    clips: Sequence[Clip],
    guesses: Mapping[str, Guess],
    classes: Mapping[str, Sequence[str]],
    model: str,
    path: Path,
    dry_run: bool = False,
) -> list[str]:
    """Write tasks with predictions as Label Studio's JSON. Returns lines that say how to import them.

    Media are served by Label Studio's local file storage, from the folder that all media have in common.

    Args:
        clips: The clips with a guess.
        guesses: Clip id to its prediction.
        classes: Name of a set of classes to all of its classes.
        model: The name of the predictions' version.
        path: The file; an existing one is not overwritten.
        dry_run: Only report what would be written.

    Raises:
        StoreError: If clips are of different kinds of media, or the file exists or cannot be written.
    """
    kinds = {_kind(clip) for clip in clips}
    if len(kinds) != 1:
        held = ", ".join(sorted(kinds)) or "none"
        raise StoreError(f"one Label Studio project shows one kind of media, but the clips are {held}")
    (kind,) = kinds
    root = _common([clip.path.resolve() for clip in clips if clip.path])
    tasks = [_task(clip, guesses[clip.id], model, kind, root) for clip in clips]
    numbers = list(dict.fromkeys(name for guess in guesses.values() for name in guess.numbers))
    text = json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"
    holds = [f"{count(len(tasks), 'task')} with predictions of {model}", "the project's labeling interface:"]
    holds += _interface(kind, classes, numbers).split("\n")
    if root is not None:
        serve, place = "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED", "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
        holds.append(f"start Label Studio with {serve}=true {place}={root}")
    return deliver(Outgoing(path, holds, partial(_write, text)), dry_run)


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _kind(clip: Clip) -> str:
    """What Label Studio shows of a clip."""
    if not clip.path:
        return "text"
    suffix = clip.path.suffix.lower()
    return "audio" if suffix in SOUNDS else "image" if suffix in IMAGES else "video"


def _common(paths: Sequence[Path]) -> Path | None:
    return Path(os.path.commonpath([path.parent for path in paths])) if paths else None


def _task(clip: Clip, guess: Guess, model: str, kind: str, root: Path | None) -> dict[str, Any]:
    words = " ".join(word.text for word in clip.words)
    data: dict[str, Any] = {"id": clip.id, "text": words}
    if clip.path and root is not None:
        place = clip.path.resolve().relative_to(root).as_posix()
        data[MEDIA] = f"/data/local-files/?d={quote(place)}"
        if clip.start or clip.end is not None:
            data |= {"start": clip.start, "end": clip.end}
    else:
        data[MEDIA] = words
    result = [
        {"id": name, "from_name": name, "to_name": MEDIA, "type": "choices", "value": {"choices": list(chosen)}}
        for name, chosen in guess.choices.items()
    ]
    result += [
        {"id": name, "from_name": name, "to_name": MEDIA, "type": "number", "value": {"number": value}}
        for name, value in guess.numbers.items()
    ]
    prediction: dict[str, Any] = {"model_version": model, "result": result}
    if guess.score is not None:
        prediction["score"] = guess.score
    return {"data": data, "predictions": [prediction]}


def _interface(kind: str, classes: Mapping[str, Sequence[str]], numbers: Sequence[str]) -> str:
    """The labeling interface that shows the predictions."""
    lines = ["<View>", f'  <{TAGS[kind]} name="{MEDIA}" value="${MEDIA}"/>']
    if kind != "text":
        lines.append('  <Header value="$text"/>')
    for name, every in classes.items():
        lines.append(f'  <Choices name={quoteattr(name)} toName="{MEDIA}">')
        lines += [f"    <Choice value={quoteattr(one)}/>" for one in every]
        lines.append("  </Choices>")
    lines += [f'  <Number name={quoteattr(name)} toName="{MEDIA}"/>' for name in numbers]
    return "\n".join([*lines, "</View>"])

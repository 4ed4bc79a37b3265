"""RealPersonaChat: Japanese conversations of 233 people who answered a Big Five questionnaire."""

from __future__ import annotations

import gzip
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from featzoo.errors import InvalidClips
from featzoo.exchange.importing import Account, Arrival
from featzoo.exchange.texts.tables import bring_texts
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.untrusted import parse_json
from featzoo.vocabulary import TRAITS

PEOPLE = "interlocutors.json"


def import_realpersonachat(folder: Path, store: Path, dry_run: bool = False) -> Account:
    """Import RealPersonaChat: one clip `<person>/ja` with everything that a person says, split test.

    A label is 1 if the person's score is above the median of all people, which makes two classes of about equal
    size; the scores themselves, means of items from 1 to 7, are the labels `openness_score` and so on. The data set
    has no classes: the threshold is our choice.

    Args:
        folder: Folder of the distribution, with interlocutors.json, and dialogues as `dialogues/*.json` or
            `dialogues.jsonl.gz`, anywhere in it.
        store: The store; created if missing.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the folder has another format.
        StoreError: If the store has other texts for the same clips.
    """
    place = next(iter(sorted(folder.rglob(PEOPLE))), None)
    if place is None:
        raise InvalidClips(f"{folder} holds no {PEOPLE}: RealPersonaChat is imported from its own folder")
    people, refused = _scores(_json(place, place.read_bytes()))
    said: dict[str, list[str]] = defaultdict(list)
    count = 0
    for name, dialogue in _dialogues(folder):
        try:
            for one in dialogue["utterances"]:
                said[one["interlocutor_id"]].append(one["text"])
            count += 1
        except (KeyError, TypeError) as error:
            refused[name] = f"it is not a dialogue of RealPersonaChat: {type(error).__name__} {error}"
    cut = {trait: median(scores[trait] for scores in people.values()) for trait in TRAITS if people}
    clips = []
    for person, scores in people.items():
        if not (words := words_of("\n".join(said[person]))):
            refused[person] = "the person says nothing in the dialogues of this folder"
            continue
        labels = {trait: float(scores[trait] > cut[trait]) for trait in TRAITS}
        labels |= {f"{trait}_score": scores[trait] for trait in TRAITS}
        clips.append(Clip(id=f"{person}/ja", words=words, split="test", labels=labels))
    medians = ", ".join(f"{trait} {value:.2f}" for trait, value in cut.items())
    notes = [f"{count} dialogues; a label is 1 above the median of {len(people)} people: {medians}"]
    return bring_texts(Arrival([], clips, refused, notes), store, dry_run)


def _scores(people: Any) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Person to trait to score, and the people without scores."""
    found, refused = {}, {}
    if not isinstance(people, Mapping):
        raise InvalidClips(f"{PEOPLE} is not an object of people")
    for person, one in people.items():
        try:
            scores = {trait: float(one["personality"][f"BigFive_{trait.title()}"]) for trait in TRAITS}
            if not all(map(math.isfinite, scores.values())):
                raise ValueError("a score is not a finite number")
        except (KeyError, TypeError, ValueError) as error:
            refused[str(person)] = f"it has no Big Five scores: {type(error).__name__} {error}"
            continue
        found[str(person)] = scores
    return found, refused


def _dialogues(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.rglob("dialogues/*.json")):
        yield path.name, _json(path, path.read_bytes())
    for path in sorted(folder.rglob("dialogues.jsonl.gz")):
        try:
            with gzip.open(path, "rb") as file:
                for number, line in enumerate(file, start=1):
                    yield f"{path.name} line {number}", _json(path, line)
        except (OSError, EOFError) as error:
            raise InvalidClips(f"cannot read {path}: {error}") from error


def _json(path: Path, content: bytes) -> Any:
    try:
        return parse_json(content)
    except ValueError as error:
        raise InvalidClips(f"{path} is not JSON: {error}") from error

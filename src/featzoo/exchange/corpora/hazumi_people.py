"""The Big Five of Hazumi's participants, from the questionnaires (Japanese Ten-Item Personality Inventory)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featzoo.errors import InvalidClips
from featzoo.exchange.formats.xlsx import Sheet, read_xlsx
from featzoo.vocabulary import TRAITS
from featzoo.wording import count, some

Traits = dict[str, float]
SHEET = "性格特性"  # in the name of each sheet of the ten items
BY_OTHERS = "_by_others"
# Trait to the letters of its item and of its reversed item.
ITEMS = {
    "openness": ("E", "J"), "conscientiousness": ("C", "H"), "extraversion": ("A", "F"), "agreeableness": ("G", "B"),
    "neuroticism": ("D", "I"),
}  # fmt: skip
LOWEST, HIGHEST = 1.0, 7.0


def personality(folder: Path, people: Sequence[str]) -> tuple[dict[str, Traits], list[str]]:
    """Participant to traits from 0 to 1, their own view and, ending in `_by_others`, the mean of the third parties'.

    Args:
        folder: Folder with the workbooks `*questionnaires.xlsx` and `*3rdparty-personality.xlsx`.
        people: Participants.

    Returns:
        Traits by participant, and notes.

    Raises:
        InvalidClips: If a workbook cannot be read, or an answer is not from 1 to 7.
    """
    traits: dict[str, Traits] = {person: {} for person in people}
    notes = []
    for ending, path in _workbooks(folder).items():
        views = defaultdict(list)
        for name, sheet in read_xlsx(path).items():
            if SHEET in name:
                for person, items in _answers(sheet, path).items():
                    views[person].append(_traits(items))
        whose = "third parties" if ending else "participants"
        for person in people:
            if views[person]:
                mean = np.mean(views[person], axis=0)  # (5,)
                traits[person] |= {trait + ending: float(value) for trait, value in zip(TRAITS, mean, strict=True)}
        missing = [person for person in people if not views[person]]
        notes.append(f"personality by {whose}: {len(people) - len(missing)} of {count(len(people), 'participant')}")
        if missing:
            notes.append(f"warning: without an answer there: {some(missing)}")
    if not notes:
        notes.append(f"no personality: {folder} has no *questionnaires.xlsx and no *3rdparty-personality.xlsx")
    return traits, notes


def _workbooks(folder: Path) -> dict[str, Path]:
    """Ending of labels to the workbook with their answers."""
    found = {}
    for path in sorted(folder.glob("*.xlsx")):
        if "3rdparty" not in path.name:
            found[""] = path
        elif "personality" in path.name:
            found[BY_OTHERS] = path
    return found


def _answers(sheet: Sheet, path: Path) -> dict[str, dict[str, float]]:
    """Participant to the answers by the items' letters; rows above the items' names are titles."""
    letters: dict[str, str] = {}
    answers = {}
    for row in sheet:
        if not letters:
            found = {
                column: text[0] for column, text in row.items() if text[1:2] in (".", "．") and text[0] in "ABCDEFGHIJ"
            }
            letters = found if len(found) == 2 * len(ITEMS) else {}
            continue
        if person := row.get("A", "").strip():
            given = {letter: row[column] for column, letter in letters.items() if column in row}
            if len(given) == len(letters):
                answers[person] = {letter: _answer(text, person, path) for letter, text in given.items()}
    if not letters:
        raise InvalidClips(f"{path}: a sheet of '{SHEET}' has no row of the ten items, A. to J.")
    return answers


def _answer(text: str, person: str, path: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not LOWEST <= value <= HIGHEST:
        raise InvalidClips(f"{path}: an answer of {person} is '{text}'; answers are from {LOWEST:g} to {HIGHEST:g}")
    return value


def _traits(items: dict[str, float]) -> list[float]:
    """The five traits from 0 to 1, each the mean of its item and of the reversed one."""
    scores = ((items[plus] + LOWEST + HIGHEST - items[minus]) / 2 for plus, minus in (ITEMS[trait] for trait in TRAITS))
    return [(score - LOWEST) / (HIGHEST - LOWEST) for score in scores]

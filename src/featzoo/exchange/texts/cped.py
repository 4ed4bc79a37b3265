"""CPED: Chinese television dialogues, with the Big Five of their characters as high or low."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from featzoo.errors import InvalidClips
from featzoo.exchange.importing import Account, Arrival
from featzoo.exchange.texts.tables import bring_texts, read_table
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.vocabulary import TRAITS

COLUMNS = ("TV_ID", "Dialogue_ID", "Speaker", "Utterance", *map(str.title, TRAITS))
LEVELS = {"high": 1.0, "low": 0.0}
UNKNOWN = "unknown"


def import_cped(path: Path, store: Path, whole: bool = False, dry_run: bool = False) -> Account:
    """Import a part of CPED: a clip `<dialogue>-<character>/zh` of what a character says there, split test.

    Characters whose Big Five the annotators left unknown are left out.

    Args:
        path: train_split.csv, valid_split.csv or test_split.csv.
        store: The store; created if missing.
        whole: Whether a clip holds everything that a character says in the file, `<series>-<character>/zh`.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has another format.
        StoreError: If the store has other texts for the same clips.
    """
    columns, rows = read_table(path)
    if lacking := [name for name in COLUMNS if name not in columns]:
        raise InvalidClips(f"{path} is not a part of CPED: it has no column {', '.join(lacking)}")
    said: dict[str, list[str]] = defaultdict(list)
    labels: dict[str, dict[str, float]] = {}
    refused, unknown, people = {}, set(), set()
    for place, row in rows:
        levels = {trait: str(row[trait.title()]).strip().lower() for trait in TRAITS}
        person = f"{row['TV_ID']}-{row['Speaker']}"
        own = {trait: LEVELS[level] for trait, level in levels.items() if level in LEVELS}
        if odd := sorted({*levels.values()} - {*LEVELS, UNKNOWN}):
            refused[place] = f"a level is {odd[0]!r}, not high, low or unknown"
            continue
        if not own:
            unknown.add(person)
            continue
        name = person if whole else f"{row['Dialogue_ID']}-{row['Speaker']}"
        if labels.setdefault(name, own) != own:
            refused[place] = f"the levels of {row['Speaker']} are not those of an earlier row"
            continue
        people.add(person)
        said[name].append(str(row["Utterance"] or ""))
    clips = []
    for name, texts in said.items():
        if words := words_of("\n".join(texts)):
            clips.append(Clip(id=f"{name}/zh", words=words, split="test", labels=labels[name]))
        else:
            refused[name] = "the character's utterances are empty"
    notes = [f"{len(people)} characters; left out: {len(unknown)} whose Big Five are unknown"]
    return bring_texts(Arrival([], clips, refused, notes), store, dry_run)

"""The YouTube Personality data set: vlogs with impressions of the Big Five, words, and features of sound and motion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from featzoo.errors import InvalidClips
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of

SCORES = "YouTube-Personality-Personality_impression_scores.csv"
FEATURES = "YouTube-Personality-audiovisual_features.csv"
LABELS = {
    "Open": "openness",
    "Cons": "conscientiousness",
    "Extr": "extraversion",
    "Agr": "agreeableness",
    "Emot": "emotional_stability",
}
LOWEST, HIGHEST = 1.0, 7.0  # of the Ten-Item Personality Inventory
MOTION = "hogv."  # prefixes of the motion features; the others are audio features


def import_youtube_personality(folder: Path, store: Path, dry_run: bool = False) -> Account:
    """Import the YouTube Personality data set: 404 vlogs with words and five labels, without media.

    The impressions, 1 to 7, become 0 to 1: (score - 1) / 6, so that heads trained on First Impressions can be
    evaluated on them. The data set has no splits; every vlog gets split `test`. Clip ids are the data set's (VLOG1).
    Set `youtube-personality-sound` holds its 21 features of speaking and prosody, `youtube-personality-motion` its 4 of
    visual activity, one row a vlog. Transcripts, of the whole video, have no times.

    Args:
        folder: Folder with the two tables and the folder `transcripts`.
        store: The store; created if missing.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If a table is missing or differs from the distribution's.

    Reference:
        Biel, Gatica-Perez, "The YouTube Lens", IEEE Transactions on Multimedia 2013; Biel et al., "Hi YouTube!",
        ICMI 2013.
    """
    scores, features = (_table(folder / name) for name in (SCORES, FEATURES))
    clips = [_clip(folder, name, row) for name, row in scores.items()]
    silent = sum(not clip.words for clip in clips)
    notes = [
        f"note: impressions from {LOWEST:g} to {HIGHEST:g} became 0 to 1; all vlogs are in split test",
        f"{silent} vlogs have no words",
    ]
    columns = list(next(iter(features.values())))
    motion = [name for name in columns if name.startswith(MOTION)]
    sound = [name for name in columns if name not in motion]
    sets = [_set("sound", "audio", features, sound), _set("motion", "vision", features, motion)]
    return bring_in(Arrival(sets, clips, {}, notes), store, dry_run)


def _table(path: Path) -> dict[str, dict[str, str]]:
    """Vlog to its row of a table whose columns are separated by spaces."""
    if not path.is_file():
        raise InvalidClips(f"{path.parent} lacks {path.name}: YouTube Personality is imported from local files")
    header, *lines = (line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    if header[:1] != ["vlogId"] or any(len(line) != len(header) for line in lines) or not lines:
        raise InvalidClips(f"{path} is not a table with a column vlogId and spaces between the columns")
    return {line[0]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}


def _clip(folder: Path, name: str, row: Mapping[str, str]) -> Clip:
    if missing := [column for column in LABELS if column not in row]:
        raise InvalidClips(f"{folder / SCORES} lacks the columns {', '.join(missing)}")
    labels = {ours: _scaled(name, theirs, row[theirs]) for theirs, ours in LABELS.items()}
    path = folder / "transcripts" / f"{name}.txt"
    text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    return Clip(id=name, words=words_of(text), split="test", labels=labels)


def _scaled(name: str, column: str, value: str) -> float:
    try:
        score = float(value)
    except ValueError:
        score = math.nan
    if not LOWEST <= score <= HIGHEST:
        raise InvalidClips(f"{SCORES}: {column} of {name} is {value}; impressions are from {LOWEST:g} to {HIGHEST:g}")
    return (score - LOWEST) / (HIGHEST - LOWEST)


def _set(kind: str, modality: str, features: Mapping[str, Mapping[str, str]], names: list[str]) -> Incoming:
    provenance = {"source": FEATURES, "modality": modality}
    return Incoming(f"youtube-personality-{kind}", _entries(features, names), {"level": "vlog"}, provenance)


def _entries(features: Mapping[str, Mapping[str, str]], names: list[str]) -> Iterator[tuple[str, partial[Rows]]]:
    for vlog, row in features.items():
        yield vlog, partial(_row, row, names)


def _row(row: Mapping[str, str], names: list[str]) -> Rows:
    return Rows(np.array([[float(row[name]) for name in names]], dtype=np.float32), None, names)  # (1, D)

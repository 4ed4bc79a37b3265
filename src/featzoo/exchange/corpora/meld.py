"""MELD from local files: sentiment, emotion and speaker of the utterances of dialogues, words with times, media."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.mertools import read_table
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.raw_media import link_media
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.wording import count

PARTS = {"train": "train", "dev": "valid", "test": "test"}
SENTIMENT = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}
# In the order of MELD's README.
EMOTIONS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "StartTime", "EndTime")
TIME = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d+)")


def import_meld(folder: Path, store: Path, media: Path | None = None, dry_run: bool = False) -> Account:
    """Import MELD: clips with words, split, `sentiment` (-1, 0, 1), `emotion` (see `EMOTIONS`), `speaker` and `group`.

    Dialogues are numbered separately in each split, so utterance 3 of dialogue 12 is `train_dia12$_$3`: utterances of
    a dialogue are neighbours, and their `group` is `train_dia12`. The times of the tables are positions in episodes of
    a series, which are not distributed. Each clip is a separate file and starts at 0; a subtitle's duration is divided
    among its words.

    Args:
        folder: Folder with train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv, or some of them.
        store: The store; created if missing.
        media: MELD.Raw: train_splits/dia0_utt0.mp4, dev_splits_complete/..., output_repeated_splits_test/...
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If no such table exists, or it lacks a column.
    """
    tables = {part: folder / f"{part}_sent_emo.csv" for part in PARTS}
    tables = {part: path for part, path in tables.items() if path.is_file()}
    if not tables:
        raise InvalidClips(f"{folder} lacks train_sent_emo.csv: MELD is imported from local files")
    refused: dict[str, str] = {}
    clips = [clip for part, path in tables.items() for clip in _clips(part, path, refused)]
    untimed = sum(math.isnan(clip.words[0].start) for clip in clips if clip.words)
    notes = ["not imported: Season, Episode"]
    if untimed:
        notes.append(f"{count(untimed, 'clip')} with an end before the start in the table: the words get no times")
    if media:
        clips, said = link_media(clips, media, parts=True)
        notes += said
    return bring_in(Arrival([], clips, refused, notes), store, dry_run)


def _clips(part: str, path: Path, refused: dict[str, str]) -> Iterator[Clip]:
    for number, row in enumerate(read_table(path, *COLUMNS), start=2):
        try:
            yield _clip(part, row)
        except ValueError as error:
            refused[f"{path.name}, row {number}"] = str(error)


def _clip(part: str, row: Mapping[str, Any]) -> Clip:
    dialogue, utterance = (int(row[column]) for column in ("Dialogue_ID", "Utterance_ID"))
    sentiment, emotion = (str(row[column]).strip().lower() for column in ("Sentiment", "Emotion"))
    speaker = row["Speaker"].strip()
    if sentiment not in SENTIMENT or emotion not in EMOTIONS:
        raise ValueError(
            f"sentiment '{sentiment}', emotion '{emotion}': expected {', '.join(SENTIMENT)} and an emotion"
        )
    seconds = _seconds(row["EndTime"]) - _seconds(row["StartTime"])
    times = (0.0, seconds) if seconds > 0 else (math.nan, math.nan)
    return Clip(
        f"{part}_dia{dialogue}$_${utterance}",
        words=words_of(row["Utterance"], *times),
        split=PARTS[part],
        labels={"sentiment": SENTIMENT[sentiment]},
        categories={"emotion": emotion, "group": f"{part}_dia{dialogue}"} | ({"speaker": speaker} if speaker else {}),
    )


def _seconds(text: str) -> float:
    """Seconds of a time such as `00:16:16,059`; NaN for anything else."""
    match = TIME.fullmatch(str(text).strip())
    if match is None:
        return math.nan
    hours, minutes, seconds, rest = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{rest}")

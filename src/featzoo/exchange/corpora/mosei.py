"""CMU-MOSEI from local files: labels, splits, times of the segments, words, media."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import h5py

from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.mertools import Labelled, only, read_labels, read_table, read_transcripts
from featzoo.exchange.corpora.mosi import SPLITS
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.plain_hdf5 import group_in, read_numbers
from featzoo.exchange.raw_media import link_media
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.untrusted import parse_json
from featzoo.wording import count, some

# The columns of "All Labels".
LABELS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
CSD, FOLDS, TIMES = "CMU_MOSEI_Labels.csd", "standard_folds.json", "*CMU_MOSEI_Labels.csv"


class Segment(NamedTuple):
    """The time of an utterance in seconds, and its rounded sentiment if the table has it."""

    start: float
    end: float
    rounded: int | None = None


def import_mosei(folder: Path, store: Path, media: Path | None = None, dry_run: bool = False) -> Account:
    """Import CMU-MOSEI: clips `video$_$3` with words, split, times and `sentiment` in -3..3.

    Labels are those of the SDK's CMU_MOSEI_Labels.csd, with six emotions and times, whose splits are in
    standard_folds.json; or those of MERTools' label.npz, which has MMSA's clips and splits. The latter come with times
    if s3prl's CMU_MOSEI_Labels.csv is beside them: both list the utterances of a video in time order, and
    a video has no times if their number or a sentiment differs.

    Words are those of the SDK's Transcript/Segmented/Combined/*.txt or of a table transcription*.csv (name,english).

    Args:
        folder: Folder with these files.
        store: The store; created if missing.
        media: Recordings or cut clips, such as `Raw/<video>/<clip>.mp4`.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If a file is missing or has another content.
    """
    npz, table = only(folder, "*label.npz"), only(folder, TIMES)
    told = _transcribed(folder)
    if npz is None and not (folder / CSD).is_file():
        raise InvalidClips(f"{folder} lacks {CSD} and label.npz: CMU-MOSEI is imported from local files, see docs")
    refused: dict[str, str] = {}
    if npz is not None:
        clips, notes = _of_mertools(read_labels(npz), _times(table) if table else {})
        notes += _unlike_the_folds(clips, folder / FOLDS)
    else:
        clips, notes = _of_sdk(folder, told, refused), []
    texts = {name: text for name, (_, text) in told.items()}
    if found := only(folder, "*transcription*.csv"):
        texts |= read_transcripts(found, "english")
    clips = [replace(clip, words=words_of(texts.get(clip.id, ""))) for clip in clips]
    silent = sum(not clip.words for clip in clips)
    notes += (
        [f"warning: {count(silent, 'clip')} without words: see docs/how-to/datasets.md for transcripts"]
        if silent
        else []
    )
    if media:
        clips, said = link_media(clips, media)
        notes += said
    return bring_in(Arrival([], clips, refused, notes), store, dry_run)


def _of_mertools(rows: Sequence[Labelled], times: Mapping[str, Sequence[Segment]]) -> tuple[list[Clip], list[str]]:
    videos: dict[str, list[Labelled]] = {}
    for row in rows:
        videos.setdefault(row.id.partition("$_$")[0], []).append(row)
    clips, untimed = [], []
    for video, utterances in videos.items():
        ordered, segments = sorted(utterances, key=_number), times.get(video, ())
        agree = len(ordered) == len(segments) and all(map(_same, ordered, segments))
        untimed += [] if agree else [video]
        for utterance, segment in zip(ordered, segments if agree else [None] * len(ordered), strict=True):
            spoken = {"start": segment.start, "end": segment.end} if segment else {}
            labels = {"sentiment": utterance.sentiment}
            clips.append(Clip(utterance.id, split=utterance.split, labels=labels, **spoken))  # type: ignore[arg-type]
    timed = sum(clip.end is not None for clip in clips)
    notes = [f"{timed} of {count(len(clips), 'clip')} with times"]
    if times and untimed:
        notes.append(f"{count(len(untimed), 'video')} with other utterances in the table of times: {some(untimed)}")
    return clips, notes


def _unlike_the_folds(clips: Sequence[Clip], path: Path) -> list[str]:
    """Notes on differences from the SDK's standard folds, if they are present."""
    folds = _folds(path) if path.is_file() else {}
    videos = {clip.id.partition("$_$")[0]: clip.split for clip in clips} if folds else {}
    other = [video for video, split in videos.items() if folds.get(video) != split]
    return (
        [f"{len(other)} of {len(videos)} videos have another split in {path.name}: {', '.join(other[:5])}"]
        if other
        else []
    )


def _folds(path: Path) -> dict[str, str]:
    """Video to split."""
    try:
        folds = parse_json(path.read_text(encoding="utf-8"))
        return {video: SPLITS[fold] for fold, videos in folds.items() for video in videos}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InvalidClips(f"{path} is not the lists of videos of the standard folds: {error}") from error


def _number(row: Labelled) -> int:
    number = row.id.partition("$_$")[2]
    if not number.isdecimal():
        raise InvalidClips(f"'{row.id}' does not end in the number of an utterance")
    return int(number)


def _same(row: Labelled, segment: Segment) -> bool:
    """Whether the table's class is the label's: s3prl rounds away from 0."""
    away = math.copysign(math.ceil(abs(row.sentiment) - 1e-4), row.sentiment)
    return segment.rounded is None or int(away) == segment.rounded


def _times(table: Path) -> dict[str, list[Segment]]:
    """Video to its segments in time order; the table itself is sorted by the numbers as text."""
    videos: dict[str, list[Segment]] = {}
    for number, row in enumerate(read_table(table, "file", "start", "end", "label7"), start=2):
        try:
            segment = Segment(float(row["start"]), float(row["end"]), int(row["label7"]))
        except ValueError as error:
            raise InvalidClips(f"{table}, row {number}: {error}") from error
        videos.setdefault(row["file"], []).append(segment)
    # Some segments start half a second before their recording, according to the table.
    return {
        video: [segment._replace(start=max(segment.start, 0.0)) for segment in sorted(segments)]
        for video, segments in videos.items()
    }


def _of_sdk(folder: Path, told: Mapping[str, tuple[Segment, str]], refused: dict[str, str]) -> list[Clip]:
    """Clips of the SDK's label file; numbers are the transcript's if it has the segment, else the time order."""
    if not (folder / FOLDS).is_file():
        raise InvalidClips(f"{folder} lacks {FOLDS}: the splits of CMU-MOSEI, by video")
    split = _folds(folder / FOLDS)
    numbers = {(name.partition("$_$")[0], _place(segment)): name for name, (segment, _) in told.items()}
    clips = []
    for video, segments in _labelled(folder / CSD).items():
        for number, (segment, values) in enumerate(segments):
            name = numbers.get((video, _place(segment)), f"{video}$_${number}")
            if told and name not in told:
                refused[f"{video} at {segment.start:g} s"] = "the transcripts have no such segment"
                continue
            labels = dict(zip(LABELS, values, strict=True))
            start = max(segment.start, 0.0)
            clips.append(Clip(name, start=start, end=segment.end, split=split.get(video), labels=labels))
    return clips


def _place(segment: Segment) -> int:
    return round(segment.start * 100)


def _labelled(path: Path) -> dict[str, list[tuple[Segment, list[float]]]]:
    try:
        with h5py.File(path, "r", locking=False) as file:
            (root,) = file.keys()
            found = {}
            data = group_in(group_in(file, root), "data")
            for video in data:
                group = group_in(data, video)
                values, times = read_numbers(group, "features"), read_numbers(group, "intervals")
                if values.ndim != 2 or values.shape[1] != len(LABELS) or times.shape != (len(values), 2):
                    raise InvalidClips(f"{path}: '{video}' has labels of shape {values.shape}, not (n, {len(LABELS)})")
                rows = zip(times.tolist(), values.tolist(), strict=True)
                found[video] = sorted((Segment(start, end), list(row)) for (start, end), row in rows)
            return found
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidClips(f"{path} is not the SDK's label file: {error}") from error


def _transcribed(folder: Path) -> dict[str, tuple[Segment, str]]:
    """Clip id to segment and text, of the SDK's transcripts: `video___3___23.199___30.325___text`, a line a segment."""
    found = {}
    for path in sorted(folder.glob("**/Segmented/Combined/*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            parts = line.split("___", 4)
            if len(parts) != 5:
                continue  # a text that was broken over lines
            video, number, start, end, text = parts
            found[f"{video}$_${number}"] = (Segment(float(start), float(end)), text)
    return found

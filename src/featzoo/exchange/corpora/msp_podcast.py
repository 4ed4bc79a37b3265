"""MSP-Podcast from local files: consensus labels, partitions, speakers, transcripts and sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.mertools import read_table
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.raw_media import media_below
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.wording import count

EMOTIONS = {
    "A": "anger", "C": "contempt", "D": "disgust", "F": "fear", "H": "happiness", "N": "neutral", "O": "other",
    "S": "sadness", "U": "surprise",
}  # fmt: skip
ATTRIBUTES = {"EmoAct": "arousal", "EmoVal": "valence", "EmoDom": "dominance"}
SPLITS = {"Train": "train", "Development": "valid", "Test1": "test"}
TABLE = "labels_consensus.csv"


def import_msp_podcast(folder: Path, store: Path, media: Path | None = None, dry_run: bool = False) -> Account:
    """Import MSP-Podcast: `emotion`, `arousal`, `valence` and `dominance` (1 to 7), words, and its partitions.

    Train, Development and Test1 are the splits; clips of Test2 and Test3 have none, and every clip has its column
    `partition`. Clips without agreement (X) have no `emotion`. `group` is the podcast.

    Args:
        folder: The corpus with Labels/labels_consensus.csv, Audios/ and Transcripts/.
        store: The store; created if missing.
        media: Folder of the sound; the corpus's own if None.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the table is missing or lacks a column, or the partitions are in no file.
    """
    table = next(iter(sorted(folder.rglob(TABLE))), None)
    if table is None:
        raise InvalidClips(f"{folder} lacks Labels/{TABLE}: MSP-Podcast is imported from local files")
    rows = read_table(table, "FileName", "EmoClass", *ATTRIBUTES, "SpkrID", "Gender")
    partitions = _partitions(folder, table, rows)
    sound = {path.stem: path for path in media_below(media or folder)}
    texts = {path.stem: path for path in folder.rglob("Transcripts/*.txt")}
    refused: dict[str, str] = {}
    clips = list(_clips(rows, partitions, sound, texts, refused))
    return bring_in(Arrival([], clips, refused, list(_notes(clips, sound))), store, dry_run)


def _clips(
    rows: list[dict[str, Any]], partitions: Mapping[str, str], sound: Mapping[str, Path], texts: Mapping[str, Path],
    refused: dict[str, str],
) -> Iterator[Clip]:  # fmt: skip
    for row in rows:
        name = row["FileName"].strip().removesuffix(".wav")
        partition, emotion = partitions.get(name, ""), row["EmoClass"].strip()
        try:
            labels = {ours: float(row[theirs]) for theirs, ours in ATTRIBUTES.items()}
        except ValueError as error:
            refused[name] = f"{', '.join(ATTRIBUTES)} are not numbers: {error}"
            continue
        if emotion not in {*EMOTIONS, "X"}:
            refused[name] = f"EmoClass '{emotion}' is none of {', '.join(EMOTIONS)} and X"
            continue
        columns = {
            "emotion": EMOTIONS.get(emotion, ""),
            "speaker": _known(row["SpkrID"]),
            "gender": _known(row["Gender"]).lower(),
            "group": name.rpartition("_")[0],
            "language": "en",
            "partition": partition,
        }
        yield Clip(
            name,
            sound.get(name),
            words=words_of(_text(texts[name])) if name in texts else (),
            split=SPLITS.get(partition),
            labels=labels,
            categories={column: value for column, value in columns.items() if value},
        )


def _known(text: str) -> str:
    return "" if text.strip().lower() in ("unknown", "n/a", "nan") else text.strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidClips(f"cannot read {path}: {error}") from error


def _partitions(folder: Path, table: Path, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Clip to partition, from the column Split_Set or from Partitions.txt (`Train; MSP-PODCAST_0001_0008.wav`)."""
    if rows and "Split_Set" in rows[0]:
        return {row["FileName"].strip().removesuffix(".wav"): row["Split_Set"].strip() for row in rows}
    path = next(iter(sorted(folder.rglob("Partitions.txt"))), None)
    if path is None:
        raise InvalidClips(f"{table} has no column Split_Set, and {folder} holds no Partitions.txt")
    pairs = [line.partition(";") for line in _text(path).splitlines()]
    return {name.strip().removesuffix(".wav"): part.strip() for part, mark, name in pairs if mark}


def _notes(clips: list[Clip], sound: Mapping[str, Path]) -> Iterator[str]:
    emotions = Counter(clip.categories.get("emotion", "no agreement") for clip in clips)
    yield "emotion: " + ", ".join(f"{name} {number}" for name, number in sorted(emotions.items()))
    partitions = Counter(clip.categories.get("partition", "none") for clip in clips)
    yield "partition: " + ", ".join(f"{name} {number}" for name, number in sorted(partitions.items()))
    if nameless := sum("speaker" not in clip.categories for clip in clips):
        yield f"{count(nameless, 'clip')} without a known speaker"
    linked = {clip.id for clip in clips if clip.path}
    yield f"media: {len(linked)} of {count(len(clips), 'clip')} are linked to files"
    if len(linked) < len(clips):
        yield f"warning: {count(len(clips) - len(linked), 'clip')} without a file"
    if rest := [name for name in sound if name not in linked]:
        yield f"{count(len(rest), 'sound file')} without a row in {TABLE}, not imported (Test3 has no public labels)"
    yield "licence: an agreement with the University of Texas at Dallas, for academic or commercial use"
    yield "protocol: Train, Development and Test1, which share no speaker; report Test2 by its column partition"

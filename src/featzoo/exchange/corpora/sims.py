"""CH-SIMS and CH-SIMS v2 from local files: overall labels and labels of each modality, splits, words, media."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.mertools import only, read_labels, read_table, read_transcripts
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.raw_media import link_media
from featzoo.media.clip import Clip
from featzoo.media.labels import MMSA_LABELS
from featzoo.media.transcripts import words_of
from featzoo.vocabulary import split_name
from featzoo.wording import count

Language = Literal["chinese", "english"]


def import_sims(
    folder: Path, store: Path, media: Path | None = None, language: Language = "chinese", dry_run: bool = False
) -> Account:
    """Import CH-SIMS or CH-SIMS v2: clips with words, split and up to four labels in -1..1.

    The source is the distribution's table (label.csv or meta.csv: video_id, clip_id, text, label, label_T, label_A,
    label_V, mode), or MERTools' label.npz, which has only the overall label, with its transcripts. Clip ids are MMSA's
    `video_0001$_$0004`. Chinese is not divided into words: a text without spaces is one word.

    Args:
        folder: Folder with these files.
        store: The store; created if missing.
        media: The distribution's `Raw/<video>/<clip>.mp4`.
        language: Language of the words; English is MERTools' translation.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If a file is missing or has another content.
    """
    table = only(folder, "label.csv", "meta.csv")
    if table is not None and language != "chinese":
        raise InvalidClips(f"{table} holds Chinese texts; the English ones come with MERTools' label.npz")
    refused: dict[str, str] = {}
    clips = list(_of_table(table, refused) if table else _of_mertools(folder, language))
    notes = _notes(clips)
    if media:
        clips, said = link_media(clips, media)
        notes += said
    return bring_in(Arrival([], clips, refused, notes), store, dry_run)


def _of_table(table: Path, refused: dict[str, str]) -> Iterator[Clip]:
    for number, row in enumerate(read_table(table, "video_id", "clip_id", "text", "label", "mode"), start=2):
        name = f"{row['video_id']}$_${row['clip_id']}"
        try:
            labels = dict(_labels(row))
        except ValueError as error:
            refused[f"row {number} ({name})"] = str(error)
            continue
        # CH-SIMS v2 has clips without labels for semi-supervised training: they belong to no split.
        yield Clip(name, words=words_of(row["text"]), split=split_name(row["mode"]), labels=labels)


def _labels(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for column, name in MMSA_LABELS.items():
        text = str(row.get(column) or "").strip()
        if text:
            value = float(text)
            if not -1 <= value <= 1:
                raise ValueError(f"{column} is {value:g}; CH-SIMS' labels are -1 to 1")
            yield name, value


def _of_mertools(folder: Path, language: Language) -> Iterator[Clip]:
    npz, texts = only(folder, "*label.npz"), only(folder, "*transcription*.csv")
    if npz is None or texts is None:
        raise InvalidClips(
            f"{folder} has neither CH-SIMS' own table (label.csv or meta.csv) nor MERTools' label.npz and "
            "transcription-*.csv: see docs/how-to/datasets.md"
        )
    words = read_transcripts(texts, language)
    for row in read_labels(npz):
        yield Clip(row.id, words=words_of(words.get(row.id, "")), split=row.split, labels={"sentiment": row.sentiment})


def _notes(clips: list[Clip]) -> list[str]:
    lacking = Counter(name for clip in clips for name in MMSA_LABELS.values() if name not in clip.labels)
    notes = [f"{count(number, 'clip')} without the label {name}" for name, number in lacking.items()]
    silent = sum(not clip.words for clip in clips)
    return [*notes, f"{count(silent, 'clip')} without words"] if silent else notes

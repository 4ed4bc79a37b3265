"""ChaLearn First Impressions V2 from local files: apparent Big Five traits, transcripts and clips."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.exchange.pickles.unpickle import load_pickle
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of

# The distribution's names of its parts, and their splits.
PARTS = {"training": "train", "validation": "valid", "test": "test"}
# The column `neuroticism` holds the opposite: the annotators judged emotional stability, and high is stable.
LABELS = {
    "openness": "openness",
    "conscientiousness": "conscientiousness",
    "extraversion": "extraversion",
    "agreeableness": "agreeableness",
    "neuroticism": "emotional_stability",
    "interview": "interview",
}
STABILITY = "note: the column `neuroticism` of the distribution is emotional stability, and has this name here"


def import_first_impressions(folder: Path, store: Path, dry_run: bool = False, dev_share: float = 0.0) -> Account:
    """Import First Impressions V2: clips with split, six labels in 0..1, words, and links to the media.

    The labels come from `annotation_{training,validation,test}.pkl`; the words from `transcription_*.pkl` as
    distributed, or a table `metadata_{train,validation,test}.csv` with columns file_name and transcription; the clips
    from any folder below `folder`, by file name. Clip ids are file names, and `group` is the video that a clip is cut
    from. A table of 26 utterance-level audio features (`*_audio_*.csv`, librosa) becomes the set `librosa-26`.

    Args:
        folder: Folder of the distribution.
        store: The store; created if missing.
        dry_run: Only report what would be imported.
        dev_share: For a folder without the test split's annotations: this share of the train split's videos becomes
            the dev split, the same ones every time, and the distribution's validation split becomes test. 0 keeps the
            splits.

    Raises:
        InvalidClips: If no annotation file exists, or one has another content than the distribution's.
        InvalidOption: If the share is not in [0, 1), or the test split's annotations exist.
        RefusedPickle: If a pickle holds more than arrays and plain containers.
    """
    parts = {part: folder / f"annotation_{part}.pkl" for part in PARTS}
    parts = {part: path for part, path in parts.items() if path.is_file()}
    if not parts:
        raise InvalidClips(f"{folder} lacks annotation_training.pkl: First Impressions is imported from local files")
    media = {path.name: path for path in folder.rglob("*.mp4")}
    clips = [clip for part, path in parts.items() for clip in _clips(folder, part, path, media)]
    silent = sum(not clip.words for clip in clips)
    notes = [STABILITY, f"{sum(clip.path is not None for clip in clips)} clips have media, {silent} have no words"]
    if dev_share:
        if "test" in parts:
            raise InvalidOption(f"dev-share {dev_share:g}: {parts['test'].name} is there, so validation can be dev")
        clips, note = _inner_dev(clips, dev_share)
        notes.append(note)
    return bring_in(Arrival(list(_audio(folder, clips)), clips, {}, notes), store, dry_run)


def _clips(folder: Path, part: str, path: Path, media: Mapping[str, Path]) -> Iterator[Clip]:
    traits = load_pickle(path)
    if not isinstance(traits, Mapping) or not {"openness", "neuroticism"} <= set(traits):
        raise InvalidClips(f"{path} is not a table of traits: it holds no 'openness' and 'neuroticism'")
    texts = _texts(folder, part)
    for name in traits["openness"]:
        labels = {
            ours: float(traits[theirs][name]) for theirs, ours in LABELS.items() if name in traits.get(theirs, {})
        }
        clip = Clip(
            id=name, path=media.get(name), words=words_of(texts.get(name, "")), split=PARTS[part], labels=labels
        )
        yield replace(clip, categories={"group": _video(clip.id)})


def _inner_dev(clips: Sequence[Clip], share: float) -> tuple[list[Clip], str]:
    """The clips with some of train's videos as dev and validation as test, and a note about it."""
    if not 0 < share < 1:
        raise InvalidOption(f"dev-share is a share of the train split's videos, such as 0.1; got {share:g}")
    videos = {_video(clip.id) for clip in clips if clip.split == "train"}
    # By digest, so the choice does not depend on the order of the file or of the names.
    drawn = set(sorted(videos, key=lambda name: hashlib.sha256(name.encode()).digest())[: round(share * len(videos))])
    made = [
        replace(clip, split="test" if clip.split == "valid" else "valid" if _video(clip.id) in drawn else "train")
        for clip in clips
    ]
    seen = {_video(clip.id) for clip in made if clip.split == "train"}
    test = [clip for clip in made if clip.split == "test"]
    also = sum(_video(clip.id) in seen for clip in test)
    return made, (
        f"note: dev is {len(drawn)} of the train split's {len(videos)} videos, test the distribution's validation "
        f"split; {also} of its {len(test)} clips are from videos that also have clips in train"
    )


def _video(name: str) -> str:
    """The YouTube id: `J4GQm9j0JZ0` of `J4GQm9j0JZ0.003.mp4`."""
    return name.rsplit(".", 2)[0]


def _texts(folder: Path, part: str) -> Mapping[str, str]:
    pickled = folder / f"transcription_{part}.pkl"
    if pickled.is_file():
        found: Any = load_pickle(pickled)
        return {str(name): _utf8(str(text)) for name, text in found.items()}
    table = folder / f"metadata_{'train' if part == 'training' else part}.csv"
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {row["file_name"]: row["transcription"] for row in csv.DictReader(file)}


def _utf8(text: str) -> str:
    """Python 2's bytes were read as Latin-1; the distribution's are UTF-8."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _audio(folder: Path, clips: list[Clip]) -> Iterator[Incoming]:
    known = {clip.id.removesuffix(".mp4"): clip.id for clip in clips}
    tables = sorted(folder.glob("*_audio_*.csv"))
    rows: list[tuple[str, Any]] = []
    for table in tables:
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                clip_id = known.get(row["filename"], row["filename"])
                names = [key for key in row if key != "filename" and not key.startswith("Value")]
                rows.append((clip_id, partial(_row, row, names)))
    if rows:
        source = {"source": ", ".join(table.name for table in tables), "modality": "audio"}
        yield Incoming("librosa-26", rows, {"level": "utterance mean"}, source)


def _row(row: Mapping[str, str], names: list[str]) -> Rows:
    return Rows(np.array([[float(row[name]) for name in names]], dtype=np.float32), None, names)  # (1, 26)

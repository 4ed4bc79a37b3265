"""CREMA-D from local files: the acted emotion of the file names, and the emotions that raters voted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from featzoo.exchange.corpora.acted_speech import CREMA_D
from featzoo.exchange.corpora.file_names import find_named, terms
from featzoo.exchange.corpora.mertools import read_table
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.wording import count

# What raters heard or saw, as the responses number it, and the summary's column of its votes.
STIMULI = {"voice": ("1", "VoiceVote"), "face": ("2", "FaceVote"), "multimodal": ("3", "MultiModalVote")}
EMOTIONS = {"A": "anger", "D": "disgust", "F": "fear", "H": "happiness", "N": "neutral", "S": "sadness"}

Votes = Mapping[str, Mapping[str, str]]


def import_crema_d(folder: Path, store: Path, media: Path | None = None, dry_run: bool = False) -> Account:
    """Import CREMA-D: `emotion` as acted, and as raters voted from the voice, the face and both.

    The votes are `emotion_voice`, `emotion_face` and `emotion_multimodal`; a clip whose votes are tied has no label.
    They are read from summaryTable.csv, or counted in finishedResponses.csv. VideoDemographics.csv gives the gender.

    Args:
        folder: The corpus: tables and media at any depth.
        store: The store; created if missing.
        media: Folder of the media to link, such as AudioWAV; the corpus's own if None, where videos are preferred.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If no file has a name of this corpus, or a table lacks a column.
    """
    clips, notes = find_named(CREMA_D, media or folder, store)
    votes, source = _votes(folder)
    genders = _genders(folder)
    labelled = []
    for clip in clips:
        columns = {**clip.categories, **votes.get(clip.file.stem, {})}
        gender = genders.get(columns["speaker"])
        labelled.append(replace(clip, categories=columns | ({"gender": gender} if gender else {})))
    notes.append(source)
    if votes:
        for stimulus in STIMULI:
            tied = sum(f"emotion_{stimulus}" not in clip.categories for clip in labelled)
            notes.append(f"emotion_{stimulus}: {count(tied, 'clip')} without a label (votes are tied or missing)")
    return bring_in(Arrival([], labelled, {}, [*notes, *terms(CREMA_D)]), store, dry_run)


def _votes(folder: Path) -> tuple[Votes, str]:
    """Clip to column to emotion, and a note on where the votes were found."""
    if path := next(iter(sorted(folder.rglob("summaryTable.csv"))), None):
        return _summary(path), f"votes: {path.name}"
    if path := next(iter(sorted(folder.rglob("finishedResponses.csv"))), None):
        return _responses(path), f"votes: counted in {path.name}"
    return {}, f"warning: no votes, because {folder} holds no summaryTable.csv and no finishedResponses.csv"


def _summary(path: Path) -> Votes:
    # The column is FileName in the table, and fileName in its description.
    columns = [column for _, column in STIMULI.values()]
    rows = read_table(path, "FileName", *columns)
    return {
        row["FileName"]: {
            f"emotion_{stimulus}": EMOTIONS[row[column].strip()]
            for stimulus, (_, column) in STIMULI.items()
            if row[column].strip() in EMOTIONS  # A:D is a tie
        }
        for row in rows
    }


def _responses(path: Path) -> Votes:
    """The votes for each clip, counted; a tie of the first two gives none."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in read_table(path, "queryType", "clipName", "respEmo"):
        if row["respEmo"] in EMOTIONS:
            counts.setdefault((row["clipName"], row["queryType"]), Counter())[row["respEmo"]] += 1
    votes: dict[str, dict[str, str]] = {}
    for (clip, kind), answers in counts.items():
        stimulus = next((name for name, (number, _) in STIMULI.items() if number == kind), None)
        (first, most), *rest = answers.most_common(2)
        if stimulus and (not rest or rest[0][1] < most):
            votes.setdefault(clip, {})[f"emotion_{stimulus}"] = EMOTIONS[first]
    return votes


def _genders(folder: Path) -> dict[str, str]:
    path = next(iter(sorted(folder.rglob("VideoDemographics.csv"))), None)
    rows = read_table(path, "ActorID", "Sex") if path else []
    return {row["ActorID"].strip(): row["Sex"].strip().lower() for row in rows}

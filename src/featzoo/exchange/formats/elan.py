"""ELAN's annotation files (.eaf), in and out: utterances as clips, with their words and labels."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

from featzoo.cache.store import FeatureStore
from featzoo.errors import ClipError, MissingFeatures
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.file_matching import files_of
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.media.clip import Clip
from featzoo.media.discovery import MEDIA
from featzoo.media.transcripts.elan import read_eaf_tiers
from featzoo.media.transcripts.encoding import UnknownEncoding, decode
from featzoo.media.transcripts.tiers import Tier, tiers_of_words, words_of_tiers
from featzoo.media.transcripts.words import Word
from featzoo.weights.imports import require
from featzoo.wording import count

UTTERANCES, WORDS = "utterances", "words"
# Start and end in the recording, seconds, and text.
Row = tuple[float, float, str]


def import_elan(place: Path, store_path: Path, dry_run: bool = False) -> Account:
    """Put annotated recordings into a store: each utterance is a clip, a segment of its recording.

    The utterances are the annotations of the tiers that hold the words (see `tiers_of_words`); of tiers of single
    words, those that follow each other without a gap of a second. A clip is called `file/tier/001`. A tier of numbers
    gives labels of its name: those whose middle lies in the utterance, averaged.

    Args:
        place: A file, or a folder that is searched for .eaf.
        store_path: Made if it is not there.
        dry_run: Whether only to say what would come in.

    Raises:
        InvalidClips: If no file can be read.
    """
    clips: list[Clip] = []
    refused: dict[str, str] = {}
    for path in files_of(place, (".eaf",)):
        try:
            clips += _clips(path)
        except (ClipError, UnknownEncoding, OSError) as error:
            refused[path.name] = str(error)
    return bring_in(Arrival([], clips, refused), store_path, dry_run)


def _clips(path: Path) -> Iterator[Clip]:
    text = decode(path.read_bytes())
    tiers = read_eaf_tiers(text, path.name)
    media = _media(text, path)
    labels = {tier.name: found for tier in tiers if (found := _numbers(tier))}
    spoken = [tier for tier in tiers if tier.name not in labels]
    for tier in tiers_of_words(spoken, path.name):
        timed = [row for row in tier.intervals if row[2].strip() and row[0] < row[1]]
        for number, together in enumerate(_utterances(timed), start=1):
            start, end = together[0][0], together[-1][1]
            words = words_of_tiers([Tier(WORDS, together)], path.name)
            cut = tuple(Word(word.text, word.start - start, word.end - start) for word in words)
            inside = {name: [v for at, v in found if start <= at < end] for name, found in labels.items()}
            means = {name: math.fsum(values) / len(values) for name, values in inside.items() if values}
            yield Clip(f"{path.stem}/{tier.name}/{number:03d}", media, start, end, words=cut, labels=means)


def _utterances(rows: list[tuple[float, float, str]]) -> Iterator[list[tuple[float, float, str]]]:
    """Each annotation of several words, and runs of those of one word."""
    single = sum(len(text.split()) == 1 for _, _, text in rows) > len(rows) / 2
    together: list[tuple[float, float, str]] = []
    for row in sorted(rows):
        if together and not (single and row[0] - together[-1][1] < 1):
            yield together
            together = []
        together.append(row)
    if together:
        yield together


def _numbers(tier: Tier) -> list[tuple[float, float]]:
    """The middle and value of each annotation, if all of them are numbers; else nothing."""
    rows = [row for row in tier.intervals if row[2].strip()]
    if not all(re.fullmatch(r"\s*[-+]?\d+(?:[.,]\d+)?\s*", text) for _, _, text in rows):
        return []
    return [((start + end) / 2, float(text.replace(",", "."))) for start, end, text in rows]


def _media(text: str, path: Path) -> Path | None:
    """The recording that a file names, or the one beside it."""
    for linked in ElementTree.fromstring(text).iter("MEDIA_DESCRIPTOR"):  # noqa: S314  (read before, without entities)
        for key in ("RELATIVE_MEDIA_URL", "MEDIA_URL"):
            found = path.parent / unquote(urlparse(linked.get(key, "")).path)
            if found.is_file():
                return found
    beside = (path.with_suffix(suffix) for suffix in sorted(MEDIA))
    return next((found for found in beside if found.is_file()), None)


def export_elan(store_path: Path, path: Path, dry_run: bool = False) -> list[str]:
    """Write a folder of one .eaf for each recording in a store: utterances, timed words and labels as tiers.

    Args:
        store_path: The store.
        path: The folder; an existing one is not overwritten.
        dry_run: Whether only to say what would be written.

    Raises:
        MissingFeatures: If the store has no clip with a recording and words or labels.
        MissingPackage: If pympi-ling is not installed.
        StoreError: If the folder exists or cannot be written.
    """
    recordings: dict[Path, list[Clip]] = defaultdict(list)
    for clip in FeatureStore(store_path).clips().values():
        if clip.path and (clip.words or clip.labels):
            recordings[clip.path].append(clip)
    if not recordings:
        raise MissingFeatures(f"{store_path} has no clip with a recording and words or labels")
    holds = [f"{count(len(recordings), 'recording')}, {count(sum(map(len, recordings.values())), 'clip')}"]
    tiers = {media: _tiers(sorted(clips, key=lambda clip: clip.start)) for media, clips in recordings.items()}
    return export_tiers(tiers, path, holds, dry_run)


def export_tiers(
    recordings: Mapping[Path, Mapping[str, Sequence[Row]]], path: Path, holds: list[str], dry_run: bool = False
) -> list[str]:
    """Write a folder of one .eaf for each recording.

    Args:
        recordings: Media file to name of a tier to its annotations. Those that overlap are put on tiers of their own.
        path: The folder; an existing one is not overwritten.
        holds: Lines that say what is written.
        dry_run: Whether only to say what would be written.

    Raises:
        MissingPackage: If pympi-ling is not installed.
        StoreError: If the folder exists or cannot be written.
    """
    require("pympi", "elan")
    return deliver(Outgoing(path, holds, partial(_write, recordings)), dry_run)


def _write(recordings: Mapping[Path, Mapping[str, Sequence[Row]]], folder: Path) -> None:
    folder.mkdir()
    for media, tiers in recordings.items():
        name = f"{media.stem}.eaf"
        if (folder / name).exists():
            name = f"{media.name}.eaf"
        _annotations(media, tiers).to_file(str(folder / name))


def _tiers(clips: Sequence[Clip]) -> dict[str, list[Row]]:
    """Utterances, timed words and labels of the clips of a recording."""
    words = [Word(w.text, clip.start + w.start, clip.start + w.end) for clip in clips for w in clip.words]
    last = max((word.end for word in words if word.end == word.end), default=0.0)
    rows = {
        UTTERANCES: [(c.start, _end(c, last), c.text) for c in clips],
        WORDS: [(w.start, w.end, w.text) for w in words],
    }
    for label in dict.fromkeys(label for clip in clips for label in clip.labels):
        rows[label] = [(c.start, _end(c, last), f"{c.labels[label]:g}") for c in clips if label in c.labels]
    for label in dict.fromkeys(label for clip in clips for label in clip.categories):
        rows[label] = [(c.start, _end(c, last), c.categories[label]) for c in clips if c.categories.get(label)]
    return rows


def _annotations(media: Path, tiers: Mapping[str, Sequence[Row]]) -> Any:
    made = require("pympi", "elan").Elan.Eaf(author="featzoo")
    made.add_linked_file(str(media.absolute()), mimetype="")
    for name, given in tiers.items():
        for lane, placed in enumerate(_lanes(given)):
            tier = name if not lane else f"{name} {lane + 1}"
            made.add_tier(tier)
            for start, end, text in placed:
                made.add_annotation(tier, start, end, text)
    made.remove_tier("default")
    return made


def _end(clip: Clip, last: float) -> float:
    """Where a clip ends; a whole recording, of which only the words are known, with the last word."""
    return clip.end if clip.end is not None else max(last, clip.start + 1.0)


def _lanes(rows: Iterable[Row]) -> list[list[tuple[int, int, str]]]:
    """Annotations in milliseconds, in as many tiers as it takes that none overlap."""
    lanes: list[list[tuple[int, int, str]]] = []
    for start, end, text in sorted(row for row in rows if row[0] < row[1] and row[2]):
        since, until = round(1000 * start), max(round(1000 * end), round(1000 * start) + 1)
        lane = next((lane for lane in lanes if lane[-1][1] <= since), None)
        if lane is None:
            lanes.append(lane := [])
        lane.append((since, until, text))
    return lanes

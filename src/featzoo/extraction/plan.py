"""The plan of a run: which clips are missing, stale, cached or known to fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.source import source_digest
from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError
from featzoo.extractors.contract import FILE, Extractor, make_extractor
from featzoo.media.clip import Clip, file_beside
from featzoo.media.discovery import IMAGES, SOUNDS

NO_WORDS = "no clip has a transcript (.txt, .srt, .vtt, .TextGrid, .eaf or .json)"

State = Literal["missing", "stale", "cached", "failed"]


@dataclass(frozen=True)
class Plan:
    """The state of every clip for each extractor of a run, and why.

    Attributes:
        extractors: The extractors to run.
        clips: The clips to extract.
        media: Digests of the media files that could be read.
        states: By feature-set key and clip id: missing, stale, cached or failed, and the reason.
        sources: By feature-set key and clip id: the digest of what the features are made from.
    """

    extractors: list[Extractor]
    clips: list[Clip]
    media: Mapping[Path, str]
    states: Mapping[str, Mapping[str, tuple[State, str]]]
    sources: Mapping[str, Mapping[str, str]]


def runnable(requests: Iterable[str], clips: Sequence[Clip]) -> tuple[list[Extractor], dict[str, list[str]]]:
    """The extractors that can run on these clips; and those that cannot, by the reason and what to type."""
    extractors: list[Extractor] = []
    left_out: dict[str, list[str]] = {}
    for request in requests:
        try:
            extractor = make_extractor(request)
            extractor.prepare()
        except FeatzooError as error:
            left_out.setdefault(str(error), []).append(request)
            continue
        reason = _pointless(extractor, clips)
        if reason:
            left_out.setdefault(reason, []).append(request)
        else:
            extractors.append(extractor)
    return extractors, left_out


def _pointless(extractor: Extractor, clips: Sequence[Clip]) -> str:
    """Why no clip can give these features, judging by file names and transcripts only; empty if one may."""
    suffixes = {clip.path.suffix.lower() for clip in clips if clip.path}
    if "words" in extractor.reads and not any(clip.words or clip.problem for clip in clips):
        return NO_WORDS
    if "video" in extractor.reads and suffixes <= SOUNDS:
        return "all clips are sound files"
    if "audio" in extractor.reads and suffixes <= IMAGES:
        return "all clips are images"
    for suffix in _suffixes([extractor]):
        if not any(clip.path and file_beside(clip.path, suffix) for clip in clips):
            return f"no clip has a file *{suffix} beside it"
    return ""


def _suffixes(extractors: Iterable[Extractor]) -> list[str]:
    """The suffixes of the files beside the media that extractors read."""
    reads = {each for extractor in extractors for each in extractor.reads}
    return sorted(each.removeprefix(FILE) for each in reads if each.startswith(FILE))


def _with_files(store: FeatureStore, suffixes: Sequence[str], clips: Sequence[Clip]) -> list[Clip]:
    """The clips with the digests of the files beside their media; "" for one that is missing."""
    if not suffixes:
        return list(clips)
    places = {
        (clip.id, suffix): file_beside(clip.path, suffix) if clip.path else None
        for clip in clips
        for suffix in suffixes
    }
    digests = store.contents.of(place for place in places.values() if place)
    found = {key: digests.get(place, "") if place else "" for key, place in places.items()}
    return [replace(c, files={**c.files, **{suffix: found[c.id, suffix] for suffix in suffixes}}) for c in clips]


def make_plan(store: FeatureStore | None, extractors: Sequence[Extractor], clips: Sequence[Clip]) -> Plan:
    """Find what is missing, stale, cached or known to fail; reads only media files whose digest is not known."""
    if store is not None:
        clips = _with_files(store, _suffixes(extractors), clips)
        media = store.contents.of(clip.path for clip in clips if clip.path)
        store.contents.save()
    else:
        media = {}
    states: dict[str, dict[str, tuple[State, str]]] = {}
    sources: dict[str, dict[str, str]] = {}
    for extractor in extractors:
        found = store.find(extractor.key) if store is not None else None
        if found is not None:
            found.index.refresh()
        key = extractor.key
        sources[key] = {c.id: source_digest(c, media.get(c.path, "") if c.path else "", extractor.reads) for c in clips}
        states[key] = {c.id: _state(found, c, sources[key][c.id]) for c in clips}
    return Plan(list(extractors), list(clips), media, states, sources)


def _state(found: FeatureSet | None, clip: Clip, source: str) -> tuple[State, str]:
    if found is None:
        return "missing", ""
    if found.holds(clip.id, source):
        return "cached", ""
    failure = found.failure(clip.id)
    if failure is not None and failure.source == source and failure.lasting:
        return "failed", f"{failure.reason}: {failure.message}"
    if found.holds(clip.id):
        return "stale", "its media, segment, words or files have changed"
    return "missing", f"failed before ({failure.reason})" if failure else ""

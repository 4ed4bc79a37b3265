"""Pools a feature set onto the intervals of words, or of another set, into a new set with one row per word."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from featzoo.alignment import HOWS, How
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.shard import Entry
from featzoo.cache.store import BUFFER_BYTES, FeatureStore
from featzoo.errors import ClipError, InvalidOption
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence

WORDS = "words"


@dataclass
class Aligned:
    """The outcome for the clips of a set.

    Attributes:
        key: The new set.
        stored: Clips that were pooled now.
        cached: Clips that were pooled before, from the same features and intervals.
        stale: Clips whose features are older than their media or words.
        refused: Clip to the reason why it cannot be pooled, which is also recorded as a failure.
    """

    key: str
    stored: int = 0
    cached: int = 0
    stale: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def align_set(store: FeatureStore, request: str, onto: str = WORDS, how: How = "mean") -> Aligned:
    """Pool every clip of a feature set onto the clips' words, or onto the rows of another set.

    The new set is named after both (`egemaps.on-words`), and its key depends on their keys. A clip
    is pooled again when its stored features or the intervals have changed.

    Args:
        store: A feature store.
        request: The set to pool.
        onto: `words` for the clips' own transcripts (unless the store holds a set of that name), or a set.
        how: See `featzoo.alignment.pool`.

    Raises:
        MissingFeatures: If the store does not hold the set.
        InvalidOption: If `how` is unknown.
        StoreError: If the store cannot be written.
    """
    _check(how)
    features = store[request]
    other = store.find(onto) if onto == WORDS else store[onto]
    target = _open(store, features, other, how)
    clips = store.clips()
    done, waiting, size = Aligned(target.key), [], 0
    for clip_id in features.ids():
        done.stale += _is_stale(store, features, clip_id)
        try:
            intervals = _intervals(clip_id, clips, other)
            source = _source(features.place(clip_id).digest, intervals)
            if target.holds(clip_id, source):
                done.cached += 1
                continue
            entry = Entry(clip_id, source, _timed(features, clip_id).pool(intervals, how), features.notes(clip_id))
        except ClipError as error:
            done.refused[clip_id] = f"{error.reason}: {error}"
            target.fail(clip_id, "", error.reason, str(error))
            continue
        waiting.append(entry)
        size += entry.sequence.features.nbytes
        done.stored += 1
        if size >= BUFFER_BYTES:
            target.write(waiting)
            waiting, size = [], 0
    if waiting:
        target.write(waiting)
    return done


def _is_stale(store: FeatureStore, features: FeatureSet, clip_id: str) -> bool:
    current = store.source(clip_id, features.reads) if features.reads else None
    return current is not None and not features.holds(clip_id, current)


def _timed(features: FeatureSet, clip_id: str) -> FeatureSequence:
    """A clip's features.

    Raises:
        ClipError: If no times of its rows are known.
    """
    sequence = features[clip_id]
    if np.isnan(sequence.intervals).any(axis=1).all():
        raise ClipError("no-times", f"the rows of {features.key} have no times")
    return sequence


def _check(how: str) -> None:
    if how not in HOWS:
        raise InvalidOption(f"pooling must be one of {', '.join(HOWS)}; got '{how}'")


def _open(store: FeatureStore, features: FeatureSet, other: FeatureSet | None, how: How) -> FeatureSet:
    spec = {
        "extractor": "align",
        "version": 1,
        "reads": [],  # each clip's source records its inputs, which are stored features and not media
        "options": {"how": how, "onto": other.name if other else WORDS},
        "digests": {"features": features.digest, "onto": other.digest if other else ""},
    }
    provenance = {**features.provenance, "features": features.key, "onto": other.key if other else WORDS}
    provenance.pop("created", None)
    return store.open_set(f"{features.name}.on-{other.name if other else WORDS}", spec, provenance)


def _intervals(clip_id: str, clips: Mapping[str, Clip], other: FeatureSet | None) -> Array:
    """(W, 2) seconds.

    Raises:
        ClipError: If the clip has no words, or all times are unknown.
    """
    if other is not None:
        if clip_id not in other:
            raise ClipError("no-words", f"{other.key} has no '{clip_id}'")
        intervals = np.asarray(other[clip_id].intervals)
    else:
        words = clips[clip_id].words if clip_id in clips else ()
        if not words:
            raise ClipError("no-words", f"'{clip_id}' has no transcript in this store")
        intervals = np.array([(word.start, word.end) for word in words], dtype=np.float64)
        # Imported words may end before they start: such a time counts as unknown.
        intervals[intervals[:, 1] < intervals[:, 0]] = np.nan
    if np.isnan(intervals).any(axis=1).all():
        raise ClipError("no-times", f"the times of the words of '{clip_id}' are unknown")
    return intervals


def _source(digest: str, intervals: Array) -> str:
    """Digest of the inputs of a clip's rows: its stored features, and the intervals."""
    return hashlib.sha256(digest.encode() + np.ascontiguousarray(intervals, dtype="<f8").tobytes()).hexdigest()

"""What a store holds, as a report shows it: coverage, gaps, durations and clips far from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from featzoo.cache.duplicates import Duplicate, across_splits
from featzoo.cache.failures import Failure
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import StoreError
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence

# Values of a clip that are read at most: of longer ones, every n-th row.
VALUES = 50_000
# Outliers are sought among at least this many clips.
ENOUGH = 10
# Robust deviations from the median score at which a clip is an outlier (Iglewicz and Hoaglin use 3.5 for one number).
FAR = 5.0
# Deviations of one column count up to this, so that a single column does not decide alone.
MOST = 20.0


class Outlier(NamedTuple):
    """A clip whose means in one feature set are far from those of the other clips.

    Attributes:
        clip: Its id.
        key: The feature set.
        score: Distance from the typical clip, in robust deviations.
        column: The column that differs most.
        value: The clip's mean of that column.
        usual: The 5th and 95th percentile of all clips' means.
    """

    clip: str
    key: str
    score: float
    column: str
    value: float
    usual: tuple[float, float]


@dataclass(frozen=True)
class SetFacts:
    """One feature set.

    Attributes:
        key: Its key.
        options: Its options in one line.
        stored: Ids of the clips that it holds.
        failures: Of the clips that it lacks.
        missing: Number of clips that are neither stored nor failed.
        other: Number of stored clips that the catalogue does not name.
        notes: Kind of note to the clips that have it.
        faceless: Clips with no face in any frame; empty if the set does not tell.
        unobserved: Share of values that are NaN, by column.
        outliers: Clips far from the others, farthest first.
        unreadable: Clips that cannot be read, with the reason.
    """

    key: str
    options: str
    stored: Sequence[str]
    failures: Sequence[Failure]
    missing: int
    other: int
    notes: Mapping[str, Sequence[str]]
    faceless: Sequence[str]
    unobserved: Mapping[str, float]
    outliers: Sequence[Outlier]
    unreadable: Mapping[str, str]

    @property
    def share_unobserved(self) -> float:
        """Share of all values that are NaN; 0 for an empty set."""
        return float(np.mean(list(self.unobserved.values()))) if self.unobserved else 0.0


@dataclass(frozen=True)
class StoreFacts:
    """A store.

    Attributes:
        clips: By id.
        sets: Its feature sets.
        seconds: Clip to its duration, where it is known from its segment or from the times of its features.
        duplicates: Clips of different splits with the same content.
    """

    clips: Mapping[str, Clip]
    sets: Sequence[SetFacts]
    seconds: Mapping[str, float]
    duplicates: Sequence[Duplicate]

    def noted(self, kind: str) -> list[str]:
        """The clips that have a note of this kind in any set."""
        return sorted({clip for one in self.sets for clip in one.notes.get(kind, ())})


def store_facts(store: FeatureStore) -> StoreFacts:
    """Everything that the report on a store needs; each stored clip is read once."""
    clips = dict(store.clips())
    if not clips:  # features that were added by a program, without a catalogue
        clips = {name: Clip(name) for one in store.sets() for name in one.ids()}
    seconds = {name: clip.end - clip.start for name, clip in clips.items() if clip.end is not None}
    ends: dict[str, float] = {}
    sets = [_set_facts(one, clips, ends) for one in store.sets()]
    return StoreFacts(clips, sets, ends | seconds, across_splits(store.records()))


def _set_facts(found: FeatureSet, clips: Mapping[str, Clip], ends: dict[str, float]) -> SetFacts:
    stored = [name for name in found.ids() if name in clips]
    failures = [failure for failure in found.failures() if failure.clip in clips]
    lacking = clips.keys() - set(stored) - {failure.clip for failure in failures}
    means: dict[str, Array] = {}
    unreadable: dict[str, str] = {}
    faceless = []
    counts = np.zeros((2, 0))  # NaN values and all values, by column
    for name in stored:
        try:
            sequence = found[name]
        except StoreError as error:
            unreadable[name] = str(error)
            continue
        _keep_end(ends, name, sequence)
        values = _rows(sequence)
        if values is None:
            continue
        gaps = np.isnan(values)
        if counts.shape[1] == 0:
            counts = np.zeros((2, values.shape[1]))
        counts += [gaps.sum(axis=0), np.full(values.shape[1], len(values))]
        means[name] = np.where(gaps, 0, values).sum(axis=0) / np.where(gaps.all(axis=0), np.nan, (~gaps).sum(axis=0))
        if _shows_no_face(found, sequence.names, values, gaps):
            faceless.append(name)
    unobserved = counts[0] / np.maximum(counts[1], 1)
    return SetFacts(
        found.key, found.describe(), stored, failures, len(lacking), len(found) - len(stored), found.noted(), faceless,
        dict(zip(found.names, unobserved.tolist(), strict=False)), _outliers(found, means), unreadable,
    )  # fmt: skip


def _keep_end(ends: dict[str, float], name: str, sequence: FeatureSequence) -> None:
    last = float(sequence.intervals[-1, 1]) if len(sequence) else np.nan
    if last == last:
        ends[name] = max(last, ends.get(name, 0.0))


def _rows(sequence: FeatureSequence) -> Array | None:
    """(T, D) float64 values, or every n-th row of many; None of pictures, token ids and empty sequences."""
    features = sequence.features
    if features.ndim != 2 or features.dtype.kind != "f" or not features.size:
        return None
    rows: Array = features[:: max(1, features.size // VALUES)].astype(np.float64)
    return rows


def _shows_no_face(found: FeatureSet, names: Sequence[str], values: Array, gaps: Array) -> bool:
    """Whether a set that looks for faces found none in a clip."""
    kind = found.name.split(".")[0]
    if kind == "faces" and "present" in names:
        return not bool((values[:, list(names).index("present")] > 0).any())
    cropped = kind == "action-units" or found.options.get("crop") == "face"
    return cropped and bool(gaps.all())


def _outliers(found: FeatureSet, means: Mapping[str, Array]) -> list[Outlier]:
    """The clips whose means are far from the median of all clips, measured in median absolute deviations."""
    if len(means) < ENOUGH:
        return []
    ids, table = list(means), np.stack(list(means.values()))  # (N, D)
    seen = ~np.isnan(table).all(axis=0)
    table, names = table[:, seen], [name for name, is_seen in zip(found.names, seen.tolist(), strict=True) if is_seen]
    centre = np.nanmedian(table, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(table - centre), axis=0)
    useful = spread > 0
    if not useful.any():
        return []
    table, names = table[:, useful], [name for name, is_useful in zip(names, useful.tolist(), strict=True) if is_useful]
    deviations = np.nan_to_num(np.abs(table - centre[useful]) / spread[useful])
    scores = np.sqrt((deviations.clip(0, MOST) ** 2).mean(axis=1))
    middle = float(np.median(scores))
    width = 1.4826 * float(np.median(np.abs(scores - middle)))
    far = [row for row in np.argsort(-scores).tolist() if width > 0 and scores[row] > middle + FAR * width]
    low, high = np.nanpercentile(table, [5, 95], axis=0)
    chosen = []
    for row in far:
        worst = int(deviations[row].argmax())
        usual = (float(low[worst]), float(high[worst]))
        chosen.append(Outlier(ids[row], found.key, float(scores[row]), names[worst], float(table[row, worst]), usual))
    return chosen


def reasons(facts: StoreFacts) -> Counter[str]:
    """Reason to the number of failures in all sets, the most frequent first."""
    return Counter(failure.reason for one in facts.sets for failure in one.failures)

"""Writes pickles of `{split: {modality: (N, T, D), ...}}` for MMSA and MulT."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import MissingFeatures, StoreError
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.vocabulary import SPLITS, split_name
from featzoo.wording import count


class Chosen(NamedTuple):
    """The content of a pickle.

    Attributes:
        sets: Modality to feature set.
        clips: train, valid and test to clips that have all sets and labels, by id.
        left_out: Reason to the number of clips that are left out.
        longest: Modality to the maximum rows of a clip, at least 1.
        unobserved: Modality to the number of NaN values.
    """

    sets: dict[str, FeatureSet]
    clips: dict[str, list[Clip]]
    left_out: Counter[str]
    longest: dict[str, int]
    unobserved: dict[str, int]

    def lines(self) -> Iterator[str]:
        """A description as text."""
        total = sum(map(len, self.clips.values()))
        yield f"clips: {total} ({', '.join(f'{len(clips)} {split}' for split, clips in self.clips.items())})"
        for key, found in self.sets.items():
            width = int(np.prod(_row(found)))
            yield f"{key}: {found.key}, {width} columns, clips of up to {self.longest[key]} rows"
            if self.unobserved[key]:
                yield f"    {self.unobserved[key]} values that were not observed (NaN) are written as 0"
        yield from (f"left out: {count(number, 'clip')} {reason}" for reason, number in self.left_out.items())


def choose(store: FeatureStore, requests: Mapping[str, str], labels: Sequence[str]) -> Chosen:
    """The clips that have a split, the labels and all of the feature sets; every row is read, for NaN.

    Raises:
        MissingFeatures: If the store lacks a set, or no clip has all sets.
        StoreError: If a clip's split is not train, valid or test.
    """
    sets = {key: store[request] for key, request in requests.items()}
    clips: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    left_out: Counter[str] = Counter()
    for _, clip in sorted(store.clips().items()):
        lacking = [f"without the label '{label}'" for label in labels if label not in clip.labels]
        lacking += [f"that {found.key} does not hold" for found in sets.values() if clip.id not in found]
        if clip.split is None or lacking:
            left_out[lacking[0] if clip.split is not None else "without a split"] += 1
        elif (split := split_name(clip.split)) is None:
            raise StoreError(f"clip '{clip.id}' is in the split '{clip.split}'; train, valid and test can be written")
        else:
            clips[split].append(clip)
    if not any(clips.values()):
        reasons = ", ".join(f"{clips} {reason}" for reason, clips in left_out.items()) or "the store has no clips"
        raise MissingFeatures(
            f"no clip of {store.path} can be written: {reasons}. A manifest gives splits and labels: "
            f"feat extract manifest.csv -o {store.path}"
        )
    longest, unobserved = dict.fromkeys(sets, 1), dict.fromkeys(sets, 0)
    for key, found in sets.items():
        for clip in (clip for chosen in clips.values() for clip in chosen):
            rows = found[clip.id].features
            longest[key] = max(longest[key], len(rows))
            unobserved[key] += int(np.isnan(rows).sum())
    return Chosen(sets, clips, left_out, longest, unobserved)


def _row(found: FeatureSet) -> tuple[int, ...]:
    kind = found.kind
    return kind[2] if kind is not None else (0,)


def lengths(chosen: Chosen, split: str, key: str) -> list[int]:
    """Rows of each clip; 1 (a row of zeros) for a clip without rows, the minimum for packed sequences."""
    return [max(len(chosen.sets[key][clip.id]), 1) for clip in chosen.clips[split]]


def padded(chosen: Chosen, split: str, key: str, in_front: bool = False) -> Array:
    """(N, T, D) float32 of one split, T the longest of all splits, with zeros for NaN and padding."""
    found, clips, steps = chosen.sets[key], chosen.clips[split], chosen.longest[key]
    width = int(np.prod(_row(found)))
    filled = np.zeros((len(clips), steps, width), np.float32)  # (N, T, D)
    for number, clip in enumerate(clips):
        rows = found[clip.id].features
        where = slice(steps - len(rows), steps) if in_front else slice(0, len(rows))
        filled[number, where] = np.nan_to_num(rows.reshape(len(rows), width), nan=0.0)  # (T, D)
    return filled


@dataclass(frozen=True)
class Later:
    """An array that is made only when it is written, so that one is in memory at a time."""

    make: Callable[[], Array]


class _Pickler(pickle.Pickler):
    """Module names that exist in every NumPy version: `numpy._core`, which NumPy 2 writes, is unknown to older ones."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Later):
            value = value.make()
        if type(value) is np.ndarray:
            return np.ndarray, ((0,), "b"), value.__reduce__()[2]
        return NotImplemented


def write_pickle(content: Any, path: Path) -> None:
    """Write arrays and plain containers so that Python 3.4 and NumPy of any version can read them."""
    with path.open("wb") as file:
        pickler = _Pickler(file, protocol=4)
        pickler.fast = True  # otherwise the bytes of every array stay in memory until the end
        pickler.dump(content)

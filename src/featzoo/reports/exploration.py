"""How the clips of a store are spread over classes and groups, and how far their features differ between classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption, MissingFeatures, suggestion
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.vocabulary import GROUPS

# A column with more names than this is not one of classes.
MOST_CLASSES = 50


@dataclass(frozen=True)
class Exploration:
    """Clips with a class and features.

    Attributes:
        key: The feature set.
        column: The column of classes.
        ids: N clip ids.
        classes: C names.
        truth: (N,) class numbers.
        groups: Column of names, such as `speaker`, to the N names of the clips; empty where a clip has none.
        seconds: (N,) durations; NaN where unknown.
        means: (N, D) means of each clip's features over its steps; NaN where never observed.
        names: D columns.
    """

    key: str
    column: str
    ids: Sequence[str]
    classes: Sequence[str]
    truth: Array
    groups: Mapping[str, Sequence[str]]
    seconds: Array
    means: Array
    names: Sequence[str]

    @cached_property
    def effects(self) -> Array:
        """(D,) eta squared: the share of a column's variance that lies between the classes' means."""
        return eta_squared(self.means, self.truth)

    def effects_of(self, column: str) -> Array:
        """(D,) eta squared of the names in another column."""
        return eta_squared(self.means, np.unique(self.groups[column], return_inverse=True)[1])

    @cached_property
    def differences(self) -> Array:
        """(C, D) Cohen's d of each class against all others."""
        return np.stack([cohens_d(self.means, self.truth == number) for number in range(len(self.classes))])

    @cached_property
    def order(self) -> list[int]:
        """Columns by `effects`, the largest first; undefined ones are last."""
        places: list[int] = np.argsort(-np.nan_to_num(self.effects, nan=-1.0), kind="stable").tolist()
        return places

    def counts(self) -> list[list[str]]:
        """Rows of text: a header, and each class with its clips, names of groups and durations."""
        rows = [[self.column, "clips", *self.groups, "seconds", "median", "shortest", "longest"]]
        for number, name in [*enumerate(self.classes), (None, "all")]:
            held = np.ones(len(self.ids), bool) if number is None else self.truth == number
            known = self.seconds[held][~np.isnan(self.seconds[held])]
            spans = [known.sum(), np.median(known), known.min(), known.max()] if len(known) else [np.nan] * 4
            shown = ["-" if np.isnan(value) else f"{value:.2f}" for value in spans]
            rows.append([name, str(held.sum()), *(self._cell(column, held) for column in self.groups), *shown])
        return rows

    def _cell(self, column: str, held: Array) -> str:
        """Counts of a few names, as in `f: 12, m: 9`, or their number."""
        counts = Counter(name or "(none)" for name, is_held in zip(self.groups[column], held, strict=True) if is_held)
        if column not in GROUPS and len(set(self.groups[column])) <= 4:
            return ", ".join(f"{name}: {counts[name]}" for name in sorted(counts))
        return str(len(counts))

    def cross_table(self, column: str) -> list[list[str]]:
        """Rows of text: a header, and each name of a column with its number of clips of each class."""
        rows = [[column, *self.classes]]
        names = np.array(self.groups[column])
        for name in sorted(set(names)):
            counts = np.bincount(self.truth[names == name], minlength=len(self.classes))
            rows.append([name or "(none)", *(str(number) for number in counts)])
        return rows

    def effect_table(self) -> list[list[str]]:
        """Rows of text: a header, and each column with its eta squared and each class's Cohen's d."""
        others = [column for column in ("speaker",) if column in self.groups]
        rows = [["column", "eta_squared", *(f"eta_squared_{column}" for column in others),
                 *(f"d_{name}" for name in self.classes)]]  # fmt: skip
        shares = [self.effects, *(self.effects_of(column) for column in others)]
        for place in self.order:
            values = [*(share[place] for share in shares), *self.differences[:, place]]
            rows.append([self.names[place], *(f"{value:.4f}" for value in values)])
        return rows

    def components(self) -> tuple[Array, Array]:
        """(N, 2) first principal components of the standardised means, and the (2,) shares of variance."""
        mean, std = np.nanmean(self.means, axis=0), np.nanstd(self.means, axis=0)
        useful = std > 1e-9 * np.abs(mean)
        standard = np.nan_to_num((self.means[:, useful] - mean[useful]) / std[useful])
        left, size, _ = np.linalg.svd(standard - standard.mean(axis=0), full_matrices=False)
        return left[:, :2] * size[:2], size[:2] ** 2 / (size**2).sum()


def explore(store: FeatureStore, column: str = "", request: str = "") -> Exploration:
    """Read the clips that have a class and features.

    Args:
        store: A feature store.
        column: The column of classes; by default `emotion`, or the only column of names that is not one of groups.
        request: The feature set; by default the first that holds sequences of numbers of these clips.

    Raises:
        InvalidOption: If no clip has the column, or it has a single name or too many.
        MissingFeatures: If no feature set holds at least two of the clips.
    """
    clips = store.clips()
    column = column or _default_column(clips)
    labelled = {name: clip for name, clip in clips.items() if clip.categories.get(column)}
    classes = sorted({clip.categories[column] for clip in labelled.values()})
    if not 2 <= len(classes) <= MOST_CLASSES:
        known = {each for clip in clips.values() for each in clip.categories}
        raise InvalidOption(
            f"the clips of {store.path} have {len(classes)} names in the column '{column}'"
            f"{suggestion(column, known)}: expected 2 to {MOST_CLASSES} classes"
        )
    found = store[request] if request else _default_set(store, labelled)
    ids = [name for name in sorted(labelled) if name in found]
    if len(ids) < 2:
        raise MissingFeatures(f"{found.key} holds {len(ids)} of the {len(labelled)} clips with a name in '{column}'")
    sequences = [found[name] for name in ids]
    others = sorted({each for name in ids for each in labelled[name].categories} - {column})
    return Exploration(
        found.key, column, ids, classes,
        np.array([classes.index(labelled[name].categories[column]) for name in ids]),
        {each: [labelled[name].categories.get(each, "") for name in ids] for each in others},
        np.array([_seconds(labelled[name], one) for name, one in zip(ids, sequences, strict=True)]),
        np.stack([_mean(one) for one in sequences]), found.names,
    )  # fmt: skip


def eta_squared(values: Array, numbers: Array) -> Array:
    """(D,) shares of the variance of each column that lie between the means of groups; NaN for a constant column.

    Args:
        values: (N, D), NaN where not observed.
        numbers: (N,) numbers of groups.
    """
    seen = ~np.isnan(values)
    mean = np.where(seen, values, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)  # (D,)
    gap = np.where(seen, values - mean, 0.0)  # (N, D)
    between = np.zeros(values.shape[1])
    for number in np.unique(numbers):
        held = numbers == number
        between += gap[held].sum(axis=0) ** 2 / np.maximum(seen[held].sum(axis=0), 1)
    total = (gap**2).sum(axis=0)
    shares: Array = np.divide(between, total, out=np.full(len(total), np.nan), where=total > 1e-12 * mean**2)
    return shares


def cohens_d(values: Array, held: Array) -> Array:
    """(D,) differences of the means of some rows and of the others, in pooled standard deviations; NaN if undefined.

    Args:
        values: (N, D), NaN where not observed.
        held: (N,) bool, the rows.
    """
    parts = []
    for rows in (values[held], values[~held]):
        seen = ~np.isnan(rows)
        count = seen.sum(axis=0)
        mean = np.where(seen, rows, 0).sum(axis=0) / np.maximum(count, 1)
        parts.append((count, mean, np.where(seen, rows - mean, 0.0)))
    (count, mean, gap), (others, other_mean, other_gap) = parts
    freedom = count + others - 2
    spread = np.sqrt(((gap**2).sum(axis=0) + (other_gap**2).sum(axis=0)) / np.maximum(freedom, 1))
    defined = (count > 0) & (others > 0) & (freedom > 0) & (spread > 1e-9 * np.abs(mean))
    found: Array = np.divide(mean - other_mean, spread, out=np.full(len(mean), np.nan), where=defined)
    return found


def _default_column(clips: Mapping[str, Clip]) -> str:
    known = sorted({name for clip in clips.values() for name in clip.categories} - set(GROUPS))
    if "emotion" in known or len(known) == 1:
        return "emotion" if "emotion" in known else known[0]
    listed = f"choose one of {', '.join(known)}" if known else "feat label reads them from file names"
    raise InvalidOption(f"the column of classes is not known: {listed}")


def _default_set(store: FeatureStore, clips: Mapping[str, Clip]) -> FeatureSet:
    for found in store.sets():
        first = next((name for name in found.ids() if name in clips), None)
        if first is not None and found[first].features.ndim == 2 and found[first].features.dtype.kind == "f":
            return found
    raise MissingFeatures(f"{store.path} holds no features of clips with a class: feat extract makes them")


def _seconds(clip: Clip, sequence: FeatureSequence) -> float:
    if clip.end is not None:
        return clip.end - clip.start
    return float(np.nanmax(sequence.intervals[:, 1])) if len(sequence) and sequence.timed else float("nan")


def _mean(sequence: FeatureSequence) -> Array:
    features = np.asarray(sequence.features, dtype=np.float64)
    seen = ~np.isnan(features)
    count = seen.sum(axis=0)
    mean: Array = np.where(seen, features, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
    return mean

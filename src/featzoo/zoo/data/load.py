"""Loads splits from a feature store: the choice of clips, features and labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from featzoo.errors import InvalidClips, InvalidOption, MissingFeatures, suggestion
from featzoo.vocabulary import GROUPS, SPLITS, split_name
from featzoo.zoo.data.feature_choice import Chosen, choose
from featzoo.zoo.data.folds import with_splits
from featzoo.zoo.data.labels import targets_of, with_classes
from featzoo.zoo.data.neighbours import member, siblings
from featzoo.zoo.data.split import Array, Counts, Split, Statistics, statistics_of
from featzoo.zoo.input_spec import InputSpec, holds_token_ids
from featzoo.zoo.recipe import Input, Recipe

if TYPE_CHECKING:
    from featzoo.cache.store import FeatureStore
    from featzoo.media.clip import Clip


def load_split(
    store: FeatureStore,
    recipe: Recipe,
    split: str,
    chosen: Mapping[str, Chosen] | None = None,
    statistics: Statistics | None = None,
) -> Split:
    """One split of the store's clips, with the features and labels of a recipe.

    Args:
        store: A feature store.
        recipe: The recipe.
        split: train, valid (also called dev or val) or test.
        chosen: The result of `choose`, which is called by default.
        statistics: Statistics of the train split. Without them the split must be train, and they are computed.

    Raises:
        MissingFeatures: If the store holds no clip of the split with features and labels.
        InvalidOption: If a label's name is unknown, or another split than train has no statistics.
        InvalidClips: If a label is out of the target's range, or a feature is infinite.
    """
    split = split_name(split) or split
    chosen = choose(store, recipe) if chosen is None else chosen
    every = with_splits(store.clips(), recipe)
    clips = _of_split(every, split)
    recipe = with_classes(recipe, every)
    targets, without = targets_of(clips, recipe, split == "train")
    held = _held(recipe, chosen, clips)
    ids, left_out = _usable(recipe, targets, held)
    if not ids:
        raise MissingFeatures(_nothing(recipe, split, len(clips), without, left_out), list(left_out))
    features = _features(recipe, chosen, held, ids)
    specs = {role: one.spec for role, one in chosen.items()}
    statistics = statistics or _statistics(recipe, split, features, specs)
    counts = Counts(
        clips=len(ids),
        without_target=without,
        left_out=left_out,
        missing=_missing(features),
        unobserved={role: n for role, arrays in features.items() if (n := _unobserved(arrays))},
        unlabelled=sum(math.isnan(targets[i][0]) for i in ids),
    )
    truth = np.array([targets[i] for i in ids])
    return Split(split, ids, features, truth, specs, statistics, counts, groups=_groups(clips, ids, recipe.split.by))


def load_clips(
    store: FeatureStore, recipe: Recipe, ids: Sequence[str], chosen: Mapping[str, Chosen], statistics: Statistics
) -> Split:
    """Clips to predict, of any split; labels are not read.

    Args:
        store: A feature store.
        recipe: The recipe.
        ids: Ids of clips; those that lack a required input are left out.
        chosen: Role to the set that it reads.
        statistics: Statistics of the train split.

    Returns:
        A split whose targets are NaN.
    """
    held = _held(recipe, chosen, store.clips())
    kept, _ = _usable(recipe, ids, held)
    features = _features(recipe, chosen, held, kept)
    targets = np.full((len(kept), 1 if recipe.target.kind == "class" else len(recipe.target.columns)), np.nan)
    specs = {role: one.spec for role, one in chosen.items()}
    return Split("given", kept, features, targets, specs, statistics, Counts(len(kept), missing=_missing(features)))


def _features(
    recipe: Recipe, chosen: Mapping[str, Chosen], held: Mapping[str, Mapping[str, str]], ids: Sequence[str]
) -> dict[str, list[Array | None]]:
    return {
        role: [_read(one, held[role][i], recipe.inputs[role]) if i in held[role] else None for i in ids]
        for role, one in chosen.items()
    }


def _held(recipe: Recipe, chosen: Mapping[str, Chosen], clips: Mapping[str, Clip]) -> dict[str, dict[str, str]]:
    """Role to clip id to the clip whose features it reads, of those that the store holds."""
    held: dict[str, dict[str, str]] = {}
    for role, one in chosen.items():
        there = set(one.features.ids()) if one.features is not None else set()
        found = siblings(recipe.inputs[role].of, clips, clips) if there else {}
        held[role] = {i: other for i, other in found.items() if other in there}
    return held


def _usable(
    recipe: Recipe, ids: Iterable[str], held: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The clips that have every required input, and the number of the others by the first input that they lack."""
    required = [role for role in held if recipe.inputs[role].required]
    lacks = {i: next((role for role in required if i not in held[role]), "") for i in ids}
    return tuple(i for i, role in lacks.items() if not role), dict(Counter(filter(None, lacks.values())))


def _statistics(
    recipe: Recipe, split: str, features: Mapping[str, list[Array | None]], specs: Mapping[str, InputSpec]
) -> Statistics:
    """The statistics of the train split's standardised inputs."""
    if split != "train":
        raise InvalidOption(f"the {split} split is standardised by the train split's statistics: pass them")
    standardised = {role: spec for role, spec in specs.items() if recipe.inputs[role].standardise}
    to_range = {role for role in standardised if recipe.inputs[role].standardise == "range"}
    return statistics_of(features, standardised, to_range)


def _of_split(clips: Mapping[str, Clip], split: str) -> dict[str, Clip]:
    if split not in SPLITS:
        raise InvalidOption(f"no split '{split}'{suggestion(split, SPLITS)}")
    named = Counter(split_name(clip.split) or clip.split for clip in clips.values())
    found = {i: clip for i, clip in sorted(clips.items()) if split_name(clip.split) == split}
    if not found:
        there = ", ".join(f"{name or 'without a split'}: {n}" for name, n in named.items()) or "none"
        raise MissingFeatures(
            f"the store holds no {split} clip (clips: {there}). `zoo split` makes splits, by speaker for example; a "
            "column `split` of labels.csv or of a manifest (train, valid, test) gives published ones; or train in "
            "folds, which need none"
        )
    return found


def chooses(dev: Split, recipe: Recipe) -> Split:
    """The dev clips on which the epoch is chosen: those in the target's languages.

    Raises:
        MissingFeatures: If there are none.
    """
    languages = recipe.target.languages
    if not languages:
        return dev
    rows = [row for row, clip in enumerate(dev.ids) if member(clip)[1] in languages]
    if not rows:
        wanted = " or ".join(languages)
        raise MissingFeatures(f"no {dev.name} clip in {wanted} (target.languages): expected ids such as row/en")
    features = {role: [arrays[row] for row in rows] for role, arrays in dev.features.items()}
    groups = {column: tuple(names[row] for row in rows) for column, names in dev.groups.items()}
    ids = tuple(dev.ids[row] for row in rows)
    return replace(dev, ids=ids, features=features, targets=dev.targets[rows], groups=groups)


def fitted_targets(dev: Split, recipe: Recipe) -> Array:
    """Dev's (N, K) targets, NaN for clips on which the epoch is not chosen, so that nothing is fitted to them."""
    if not recipe.target.languages:
        return dev.targets
    seen = np.isin(dev.ids, chooses(dev, recipe).ids)
    found: Array = np.where(seen[:, None], dev.targets, np.nan)
    return found


def _groups(clips: Mapping[str, Clip], ids: Sequence[str], by: str) -> dict[str, tuple[str, ...]]:
    """The columns of groups that every clip has, such as its speaker, and `by`, by which the recipe splits."""
    columns = dict.fromkeys((*GROUPS, by))
    found = {column: tuple(clips[i].categories.get(column, "") for i in ids) for column in columns}
    return {column: names for column, names in found.items() if all(names)}


def _nothing(recipe: Recipe, split: str, clips: int, without: int, left_out: Mapping[str, int]) -> str:
    lacks = [f"{without} lack a label"] if without else []
    lacks += [f"{n} lack {role}" for role, n in left_out.items()]
    return f"recipe {recipe.name}: none of the {clips} {split} clips can be used: {', '.join(lacks)}"


def _read(one: Chosen, clip: str, wanted: Input) -> Array | None:
    """A clip's (T, D), still memory-mapped if nothing has to change; None without steps."""
    if one.features is None:
        return None
    array = one.features[clip].features
    array = array.reshape(len(array), math.prod(array.shape[1:]))  # (T, D)
    if array.shape[1] != one.spec.width:
        raise InvalidClips(f"clip '{clip}' has {array.shape[1]} columns in {one.key}, others {one.spec.width}")
    if array.dtype.kind == "f" and np.isinf(array).any():
        raise InvalidClips(f"clip '{clip}' has infinite values in {one.key}: write NaN for 'not observed'")
    if wanted.rows == "first":
        array = array[:1]
    if len(array) > wanted.max_steps:
        array = shorten(array, wanted.max_steps, wanted.longer)
    return array if len(array) else None


def shorten(array: Array, steps: int, how: str) -> Array:
    """(T, D) to (steps, D), T > steps: the first steps, or means over equal spans (ignoring NaN).

    Truncated token ids keep their last one, the separator that encoders expect.
    """
    if holds_token_ids(array.dtype, array.shape[1]):
        return np.concatenate([array[: steps - 1], array[-1:]])  # (steps, D)
    if how == "cut":
        return array[:steps]
    starts = np.arange(steps) * len(array) // steps
    seen = ~np.isnan(array)
    total = np.add.reduceat(np.where(seen, array, 0.0), starts, axis=0, dtype=np.float64)  # (steps, D)
    count = np.add.reduceat(seen, starts, axis=0, dtype=np.int64)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean.astype(array.dtype if array.dtype.kind == "f" else np.float32)


def _missing(features: Mapping[str, list[Array | None]]) -> dict[str, int]:
    """Role to the number of clips that lack it."""
    return {role: n for role, arrays in features.items() if (n := sum(a is None for a in arrays))}


def _unobserved(arrays: list[Array | None]) -> int:
    return sum(int(np.isnan(a).sum()) for a in arrays if a is not None and a.dtype.kind == "f")

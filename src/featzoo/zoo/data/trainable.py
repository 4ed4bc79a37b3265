"""What a store lacks for a recipe. Free of torch, so that a command can refuse before it loads a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featzoo.errors import StoreError
from featzoo.vocabulary import split_name
from featzoo.weights.imports import check
from featzoo.zoo.data.feature_choice import choose
from featzoo.zoo.recipe import Recipe, find_recipe

if TYPE_CHECKING:
    from featzoo.cache.store import FeatureStore
    from featzoo.media.clip import Clip


def check_training(name: str | Path, store: Path, changes: Mapping[str, Any]) -> None:
    """Refuse a training that the recipe or the store's feature sets do not allow.

    Args:
        name: A recipe, or the path of one.
        store: The feature store.
        changes: Dotted recipe field to value.

    Raises:
        FeatzooError: If there is no such recipe, store or feature set, or no torch.
    """
    recipe = find_recipe(name, changes)
    check("torch", "zoo")
    from featzoo.cache.store import FeatureStore  # NumPy and h5py: half a second

    choose(FeatureStore(store), recipe)


def lacking(store: FeatureStore, recipe: Recipe, clips: Mapping[str, Clip]) -> list[str]:
    """The roles, labels and splits that a store lacks for a recipe; empty if the recipe can be trained.

    Args:
        store: A feature store.
        recipe: The recipe to train.
        clips: The store's clips.
    """
    roles = [
        role
        for role, wanted in recipe.inputs.items()
        if wanted.features and not any(_holds(store, request) for request in wanted.features)
    ]
    of_class = recipe.target.kind == "class"
    labels = {name for clip in clips.values() for name in (*clip.labels, *(clip.categories if of_class else ()))}
    splits = {split_name(clip.split) for clip in clips.values()}
    return [
        *roles,
        *(f"label {name}" for name in recipe.target.columns if name not in labels),
        *(f"{name} clips" for name in _needed_splits(recipe) if name not in splits),
    ]


def _needed_splits(recipe: Recipe) -> tuple[str, ...]:
    """The splits that the store's clips must have."""
    if not recipe.split.published:
        return ()
    return ("train", "valid") if recipe.split.dev else ("train",)


def _holds(store: FeatureStore, request: str) -> bool:
    try:
        found = store.find(request)
    except StoreError:  # several sets match
        return True
    return found is not None and bool(found.ids())

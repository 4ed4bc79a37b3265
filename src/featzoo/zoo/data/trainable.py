"""Finds the roles, labels and splits that a store lacks for a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from featzoo.errors import StoreError
from featzoo.vocabulary import split_name
from featzoo.zoo.recipe import Recipe

if TYPE_CHECKING:
    from featzoo.cache.store import FeatureStore
    from featzoo.media.clip import Clip


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
    labels = {name for clip in clips.values() for name in clip.labels}
    splits = {split_name(clip.split) for clip in clips.values()}
    return [
        *roles,
        *(f"label {name}" for name in recipe.target.columns if name not in labels),
        *(f"{name} clips" for name in ("train", "valid") if name not in splits),
    ]


def _holds(store: FeatureStore, request: str) -> bool:
    try:
        found = store.find(request)
    except StoreError:  # several sets match
        return True
    return found is not None and bool(found.ids())

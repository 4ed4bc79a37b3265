"""A store without its test clips, on which recipes are tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from featzoo.cache.clip_table import Record
from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption
from featzoo.vocabulary import split_name
from featzoo.zoo.data.folds import with_groups, with_splits
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.split_rule import SplitRule


class DevelopmentStore(FeatureStore):
    """A feature store that has only the clips of train and dev, so that nothing that reads clips can see test.

    Args:
        path: The folder of the store.
        splits: Clip id to `train` or `valid`; other clips do not exist.
    """

    def __init__(self, path: Path, splits: Mapping[str, str]) -> None:
        super().__init__(path)
        self._splits = splits

    def __reduce__(self) -> tuple[type[DevelopmentStore], tuple[Path, Mapping[str, str]]]:
        return (DevelopmentStore, (self.path, self._splits))

    @cached_property
    def _kept(self) -> dict[str, Record]:
        every = super().records()
        return {
            name: Record(replace(every[name].clip, split=split), every[name].media)
            for name, split in self._splits.items()
        }

    def records(self) -> Mapping[str, Record]:
        """The records of the clips of train and dev."""
        return self._kept


def development_stores(path: Path, recipe: Recipe, folds: int = 0) -> list[DevelopmentStore]:
    """The stores on which a recipe is scored: one with the recipe's dev split, or one for each inner fold.

    Args:
        path: The folder of the store.
        recipe: The recipe, whose split rule tells train, dev and test clips.
        folds: Number of inner folds of the clips of train and dev together, by the groups of the recipe's splits. 0
            uses the dev split.

    Raises:
        InvalidOption: If there is no dev clip and no fold, or there are too few groups.
    """
    clips = with_splits(FeatureStore(path).clips(), recipe)
    splits = {name: split_name(clip.split) or "" for name, clip in clips.items()}
    held = {name: split for name, split in splits.items() if split in ("train", "valid")}
    if not folds:
        if "valid" not in held.values():
            raise InvalidOption(f"{path} has no dev clip for recipe {recipe.name}: score on inner folds instead")
        return [DevelopmentStore(path, held)]
    known = DevelopmentStore(path, held).clips()
    by = with_groups(replace(recipe, split=replace(recipe.split, folds=folds)), known).split.by
    stores = []
    for fold in range(1, folds + 1):
        rule = SplitRule(by=by, folds=folds, fold=fold, dev=0.0, seed=recipe.split.seed)
        inner = with_splits(known, replace(recipe, split=rule))
        parts = {name: "valid" if clip.split == "test" else "train" for name, clip in inner.items() if clip.split}
        stores.append(DevelopmentStore(path, parts))
    return stores

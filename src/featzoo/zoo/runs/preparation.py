"""What a training starts from: its splits, and an untrained head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption, MissingFeatures
from featzoo.zoo.data.feature_choice import Chosen
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.split import Split
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import Head, find_head, make_head
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.training.class_weights import objective_of
from featzoo.zoo.training.loop import seed_everything


def load_splits(
    store: FeatureStore, recipe: Recipe, chosen: Mapping[str, Chosen], others: Sequence[str] = ("valid", "test")
) -> dict[str, Split]:
    """The train split, and those of `others` that the store has with labels.

    Raises:
        MissingFeatures: If there is no train split, none of the others, or no dev split for a head that needs it.
        InvalidOption: If the recipe makes no dev split for a head that needs it.
    """
    fitted = issubclass(find_head(recipe.head), FittedHead)
    if not fitted and not recipe.split.published and not recipe.split.dev:
        raise InvalidOption(
            f"head {recipe.head} chooses its epoch on dev (valid) clips, of which split.dev = 0 makes none: set "
            "split.dev above 0"
        )
    train_split = load_split(store, recipe, "train", chosen)
    splits, refusals = {"train": train_split}, []
    for name in others:
        try:
            splits[name] = load_split(store, recipe, name, chosen, train_split.statistics)
        except MissingFeatures as error:
            if name == "valid" and not fitted:
                raise
            refusals.append(error)
    if len(splits) == 1:
        raise refusals[0]
    return splits


def new_head(recipe: Recipe, train_split: Split) -> Head:
    """An untrained head; its weights depend on the recipe's seed alone.

    Raises:
        InvalidOption: If options or learning rates are not those of the head.
    """
    seed_everything(recipe.training.seed)
    outputs, objective = len(recipe.target.outputs), objective_of(recipe.target, train_split.labels)
    head = make_head(recipe.head, recipe.options, train_split.specs, outputs, objective=objective)
    for stage in head.stages:  # raises now, not after an hour, if a learning rate is missing
        head.parameter_groups(stage, recipe.training.learning_rates)
    return head

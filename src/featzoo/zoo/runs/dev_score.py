"""The score of a recipe on dev, without a run folder and without a test split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from featzoo.zoo.data.development import DevelopmentStore
from featzoo.zoo.data.feature_choice import choose
from featzoo.zoo.data.labels import with_classes
from featzoo.zoo.data.load import chooses
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.runs.preparation import load_splits, new_head
from featzoo.zoo.split_rule import SplitRule
from featzoo.zoo.training.checkpoint import Epoch
from featzoo.zoo.training.epoch_choice import EpochScore, criterion_of
from featzoo.zoo.training.evaluation import evaluate, evaluation_batch
from featzoo.zoo.training.fitting import fit
from featzoo.zoo.training.loop import accelerator_on, train

# Criteria whose higher values are better.
HIGHER = ("BA", "UAR")


class DevScore(NamedTuple):
    """The best dev score of a training.

    Attributes:
        name: Name of the criterion: `MAE`, `loss`, `BA` or `UAR`.
        score: Its value.
        epochs: Number of epochs that were run.
    """

    name: str
    score: float
    epochs: int

    @property
    def cost(self) -> float:
        """The value to minimise."""
        return -self.score if self.name in HIGHER else self.score


def score_on_dev(
    recipe: Recipe,
    store: DevelopmentStore,
    device: str,
    on_epoch: Callable[[Epoch, bool], None] = lambda epoch, one: None,
) -> DevScore:
    """Train a recipe and score its best epoch on dev.

    Args:
        recipe: The recipe; its split rule is ignored, because the store has made the splits.
        store: The clips of train and dev.
        device: auto, cpu, cuda, cuda:N or mps.
        on_epoch: Called after each epoch, also with whether the head has only one stage; what it raises ends the
            training.

    Raises:
        FeatzooError: If the recipe cannot be trained, or diverges.
    """
    by, recipe = recipe.split.by, replace(recipe, split=SplitRule())
    chosen = choose(store, recipe)
    recipe = with_classes(recipe, store.clips())
    splits = load_splits(store, recipe, chosen, ("valid",))
    dev, settings = chooses(splits["valid"], recipe), recipe.training
    accelerator = accelerator_on(device, settings.precision)
    head, criterion = new_head(recipe, splits["train"]), criterion_of(recipe.target.metrics)
    if isinstance(head, FittedHead):
        fit(head, splits["train"], settings.batch_size, settings.seed, by)
        head.to(accelerator.device)
        size = evaluation_batch(settings.batch_size, accelerator.device)
        losses, prediction = evaluate(head, dev, size, accelerator.device, head.stages[-1])
        found: EpochScore = criterion(dev, prediction, losses["total"])
        return DevScore(found.name, found.score, 0)
    one = len(head.stages) == 1
    trained = train(
        head, splits["train"], dev, settings, accelerator, lambda epoch: on_epoch(epoch, one), criterion=criterion
    )
    best = trained.best or trained.epochs[-1]
    return DevScore(best.chosen_by, best.score, len(trained.epochs))

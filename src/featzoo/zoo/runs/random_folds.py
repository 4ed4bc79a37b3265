"""How much better random folds look than folds by speaker, with the same features and head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from featzoo.cache.store import FeatureStore
from featzoo.zoo.data.feature_choice import Chosen
from featzoo.zoo.data.folds import fold_names
from featzoo.zoo.data.load import load_split
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import make_head
from featzoo.zoo.metrics.targets import target_metrics
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.split_rule import ALONE, SplitRule
from featzoo.zoo.training.class_weights import objective_of
from featzoo.zoo.training.evaluation import evaluate
from featzoo.zoo.training.fitting import fit

FOLDS = 5


def random_and_grouped(
    store: FeatureStore, recipe: Recipe, chosen: Mapping[str, Chosen], by: str = "speaker"
) -> dict[str, float]:
    """The score of the head `linear`, with a fixed penalty, in five random folds and in five folds by groups.

    Args:
        store: A feature store.
        recipe: Whose inputs and target are used; its classes are named.
        chosen: Role to the set that it reads.
        by: Column of the groups.

    Returns:
        `clip` and `by` to the unweighted average recall of classes, or the mean absolute error of numbers.
    """
    return {each: _score(store, recipe, chosen, each) for each in (ALONE, by)}


def _score(store: FeatureStore, recipe: Recipe, chosen: Mapping[str, Chosen], by: str) -> float:
    groups = fold_names(store.clips(), replace(recipe, split=SplitRule(by=by, folds="leave-one-out")))
    folds = min(FOLDS, len(groups))
    predicted, truth = [], []
    for fold in range(1, folds + 1):
        rule = SplitRule(by=by, folds=folds, fold=fold, dev=0.0)
        one = replace(recipe, split=rule)
        train = load_split(store, one, "train", chosen)
        test = load_split(store, one, "test", chosen, train.statistics)
        objective, outputs = objective_of(one.target, train.labels), len(one.target.outputs)
        head = make_head("linear", {"penalties": [0.01]}, train.specs, outputs, objective=objective)
        if isinstance(head, FittedHead):
            fit(head, train, one.training.batch_size, one.training.seed, by)
        predicted.append(evaluate(head, test, one.training.batch_size, torch.device("cpu"), head.stages[-1])[1])
        truth.append(test.targets)
    found = target_metrics(recipe.target.metrics, np.concatenate(predicted), np.concatenate(truth), one.target.outputs)
    return found["uar" if recipe.target.kind == "class" else "mae"]

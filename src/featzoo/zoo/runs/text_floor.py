"""TF-IDF of the clips' texts with a linear model: the floor of every run that reads texts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from featzoo.errors import FeatzooError
from featzoo.extractors.text.word_numbers import number_of, tokens_of
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.zoo.data.split import Split, Statistics
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import target_metrics
from featzoo.zoo.objective import Objective
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.training.fitting import fit

# Fewer choices than the head `tfidf` has, so that the floor costs seconds: C is seldom near the ends.
OPTIONS = {"penalties": (1.0, 10.0), "folds": 3}
LONGEST = 8192  # words of a text that are read
BATCH = 32
NAME = "tfidf"
TEXTS = {"text", "words"}  # roles
LEAST = 20  # train texts
MOST = 30_000  # train clips times outputs: some ten seconds


def text_floors(
    recipe: Recipe, splits: Mapping[str, Split], clips: Mapping[str, Clip]
) -> dict[str, dict[str, Metrics]]:
    """Split to the metrics of `TF-IDF`, for a head that reads texts; empty for others, and for very few or many texts.

    Args:
        recipe: The recipe.
        splits: train, and others.
        clips: The store's clips.
    """
    read = {role for role, spec in splits["train"].specs.items() if spec.given}
    train, target = splits["train"], recipe.target
    if not read & TEXTS or recipe.head == NAME or len(train) * len(target.outputs) > MOST:
        return {}
    texts = {i: clips[i].text for split in splits.values() for i in split.ids if i in clips}
    if sum(bool(texts.get(i)) for i in train.ids) < LEAST:
        return {}
    found = tfidf_floor(recipe, splits, texts)
    return {
        name: {
            "TF-IDF": target_metrics(
                target.metrics, pred, splits[name].targets, target.outputs, train.labels, splits[name].ids
            )
        }
        for name, pred in found.items()
    }


def tfidf_floor(recipe: Recipe, splits: Mapping[str, Split], texts: Mapping[str, str]) -> dict[str, Array]:
    """Predictions of the head `tfidf`, fitted to the train split's texts.

    Args:
        recipe: The recipe.
        splits: train, and others.
        texts: Clip id to its text.

    Returns:
        Split to (N, K) numbers or probabilities, without train; empty if the texts are too few.
    """
    read = {name: _words(split, texts) for name, split in splits.items()}
    objective = Objective(recipe.target.predicts)
    head = make_head(NAME, OPTIONS, read["train"].specs, len(recipe.target.outputs), objective=objective)
    if not isinstance(head, FittedHead):  # another package has taken the name
        return {}
    try:
        fit(head, read["train"], BATCH, 0, recipe.split.by)
    except FeatzooError:  # no word is in enough texts
        return {}
    return {name: _predicted(head, split) for name, split in read.items() if name != "train"}


def _words(split: Split, texts: Mapping[str, str]) -> Split:
    """The same clips with the numbers of their words as the only input."""
    words: list[Array | None] = []
    for clip in split.ids:
        numbers = [number_of(token) for token in tokens_of(texts.get(clip, ""))[:LONGEST]]
        words.append(np.array(numbers, dtype=np.int64)[:, None] if numbers else None)
    spec = {"text": InputSpec(1, ids=True)}
    return Split(split.name, split.ids, {"text": words}, split.targets, spec, Statistics({}, {}), split.counts,
                 groups=split.groups)  # fmt: skip


@torch.no_grad()
def _predicted(head: FittedHead, split: Split) -> Array:
    starts = range(0, len(split), BATCH)
    batches = (split.batch(range(start, min(start + BATCH, len(split)))) for start in starts)
    found = torch.cat([head.objective.values(head(batch.inputs)["prediction"]) for batch in batches])
    predicted: Array = found.double().numpy()
    return predicted

"""Simple predictors that a head must beat, fitted beside every run: linear models of each input alone, and a stack."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.zoo.data.split import Split
from featzoo.zoo.head import find_head
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import target_metrics
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.runs.linear_floor import fitted, stacked
from featzoo.zoo.runs.text_floor import text_floors

# Larger inputs have no floor, so that it costs a few seconds at most: pictures, or sequences of hundreds of megabytes.
LARGEST_WIDTH = 4096
LARGEST_BYTES = 1 << 28
# Of wider inputs the mean over time is read, without the deviation.
WIDE = 128

Predictions = dict[str, Array]  # split to (N, K) numbers or probabilities


def floors(
    recipe: Recipe, splits: Mapping[str, Split], clips: Mapping[str, Clip] | None = None
) -> dict[str, dict[str, Metrics]]:
    """The metrics of every floor on dev and test.

    `<input> alone` is ridge regression (logistic regression of classes) on the input's mean and standard deviation over
    time; `text length` reads only the number of steps of the input `text`; `linear stack` is a linear model of their
    predictions, fitted on dev and so scored on test alone. Token ids give only the length. A head that reads texts also
    has TF-IDF beside it, see `text_floors`.

    The penalty is the one with the best dev score; without a dev split, the last fifth of train chooses it.

    Args:
        recipe: The recipe.
        splits: train, and dev (`valid`) and test as far as they exist.
        clips: The store's clips, whose texts TF-IDF reads.

    Returns:
        Split to name to metrics.
    """
    found = predictions_of_inputs(recipe, splits)
    if len(found) > 1 and "valid" in splits and "test" in splits:
        found["linear stack"] = stacked(recipe.target.predicts, found, splits["valid"].targets)
    kind, columns, train = recipe.target.metrics, recipe.target.outputs, splits["train"].labels
    if kind == "binary":  # its metrics are of probabilities; a regression may leave 0 to 1
        found = {floor: {name: each.clip(0, 1) for name, each in given.items()} for floor, given in found.items()}
    of_texts = text_floors(recipe, splits, clips or {})
    return {
        name: {
            floor: target_metrics(kind, predicted[name], split.targets, columns, train, split.ids)
            for floor, predicted in found.items()
            if name in predicted
        }
        | of_texts.get(name, {})
        for name, split in splits.items()
        if name != "train"
    }


def predictions_of_inputs(recipe: Recipe, splits: Mapping[str, Split]) -> dict[str, Predictions]:
    """Predictions of dev and test by a linear model of each input alone, and of the text's length."""
    inputs: dict[str, dict[str, Array]] = {}
    for role, wanted in find_head(recipe.head).roles.items():
        spec = splits["train"].specs.get(role)
        if spec is None or not spec.given or wanted.for_losses:
            continue
        if role == "text":
            inputs["text length"] = {name: _lengths(split, role) for name, split in splits.items()}
        if not spec.ids and spec.width <= LARGEST_WIDTH and _bytes(splits, role) <= LARGEST_BYTES:
            inputs[f"{role} alone"] = {name: pooled(split, role) for name, split in splits.items()}
    targets = {name: split.targets for name, split in splits.items()}
    kind, outputs = recipe.target.predicts, len(recipe.target.outputs)
    return {name: fitted(kind, outputs, each, targets) for name, each in inputs.items()}


def pooled(split: Split, role: str) -> Array:
    """A role's mean over time, and its standard deviation if it is not wide: (N, D) or (N, 2D), NaN if not observed."""
    width, arrays = split.specs[role].width, split.features[role]
    out = np.full((len(arrays), width if width > WIDE else 2 * width), np.nan)
    for row, array in enumerate(arrays):
        if array is None:
            continue
        seen = ~np.isnan(array) if array.dtype.kind == "f" else np.ones(array.shape, dtype=bool)
        count = np.maximum(seen.sum(axis=0), 1)
        mean = np.where(seen, array, 0.0).sum(axis=0, dtype=np.float64) / count  # (D,)
        gap = np.where(seen, array - mean, 0.0)
        both = np.concatenate([mean, np.sqrt((gap**2).sum(axis=0) / count)])  # (2D,)
        out[row] = np.where(np.tile(seen.any(axis=0), 2), both, np.nan)[: out.shape[1]]
    return out


def _lengths(split: Split, role: str) -> Array:
    """(N, 2): the number of steps and its logarithm."""
    steps = np.array([0 if array is None else len(array) for array in split.features[role]], dtype=np.float64)
    return np.stack([steps, np.log1p(steps)], axis=1)


def _bytes(splits: Mapping[str, Split], role: str) -> int:
    return sum(array.nbytes for split in splits.values() for array in split.features[role] if array is not None)

"""Linear models for the floors: ridge and logistic regression, with a penalty chosen on dev, and stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from featzoo.sequence import Array
from featzoo.zoo.target import Kind

PENALTIES = tuple(10.0**power for power in range(-1, 6))  # of ridge, for standardised columns
INVERSE_PENALTIES = (0.001, 0.01, 0.1, 1.0)  # of logistic regression
COMPONENTS = 100  # logistic regression reads this many principal components
TINY = 1e-10
SMALL = 1e-3  # a penalty of the stack, as a share of the predictions' variance


class Rotated(NamedTuple):
    """Standardised columns, expressed by the principal directions of the clips that fit the model.

    Attributes:
        mean: (W,).
        std: (W,); infinite for a constant column.
        directions: (W, R).
        sizes: (R,) sums of squares along the directions, from the largest.
    """

    mean: Array
    std: Array
    directions: Array
    sizes: Array

    def of(self, columns: Array) -> Array:
        """(N, W) columns, NaN for the mean, to (N, R)."""
        rotated: Array = np.nan_to_num((columns - self.mean) / self.std) @ self.directions
        return rotated


def fitted(kind: Kind, outputs: int, columns: Mapping[str, Array], targets: Mapping[str, Array]) -> dict[str, Array]:
    """Predictions of every split but train, by a model that is fitted to train.

    Args:
        kind: What the targets are, see `Objective.kind`.
        outputs: K.
        columns: Split to (N, W) columns; NaN where not observed.
        targets: Split to (N, K) targets, or (N, 1) class numbers.

    Returns:
        Split to (N, K) numbers, or probabilities of classes.
    """
    labelled = ~np.isnan(targets["train"]).any(axis=1)
    x, y = columns["train"][labelled], targets["train"][labelled]
    if "valid" in columns:
        rows = ~np.isnan(targets["valid"]).any(axis=1)
        dev_x, dev_y = columns["valid"][rows], targets["valid"][rows]
    else:
        cut = max(1, 4 * len(x) // 5)
        x, dev_x, y, dev_y = x[:cut], x[cut:], y[:cut], y[cut:]
    rotation = rotated(x)
    others = {name: rotation.of(each) for name, each in columns.items() if name != "train"}
    x, dev_x = rotation.of(x), rotation.of(dev_x)
    if kind == "numbers":
        return _ridge(rotation.sizes, (x, y), (dev_x, dev_y), others)
    parts = {"": dev_x[:, :COMPONENTS], **{name: each[:, :COMPONENTS] for name, each in others.items()}}
    found = [_logistic(x[:, :COMPONENTS], truth, held, parts) for truth, held in zip(y.T, dev_y.T, strict=True)]
    if kind == "classes":
        return {name: np.stack([_of_one(each, name) for each in found], axis=1) for name in others}
    classes, probabilities = found[0]
    spread = {name: np.zeros((len(each), outputs)) for name, each in others.items()}
    for name, each in spread.items():
        each[:, classes.astype(np.int64)] = probabilities[name]
    return spread


def rotated(columns: Array) -> Rotated:
    """The rotation of (N, W) columns: through the smaller of the two products of the columns with themselves."""
    seen = ~np.isnan(columns)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, columns, 0.0).sum(axis=0) / count  # (W,)
    gap = np.where(seen, columns - mean, 0.0)  # (N, W)
    std = np.sqrt((gap**2).sum(axis=0) / count)
    std = np.where(std > 1e-6 * np.abs(mean), std, np.inf)  # rounding errors of constant columns
    standard = gap / std
    wide = standard.shape[1] > len(standard)
    sizes, vectors = np.linalg.eigh(standard @ standard.T if wide else standard.T @ standard)
    order = np.argsort(sizes)[::-1]
    order = order[sizes[order] > TINY * max(float(sizes.max(initial=0.0)), TINY)]
    sizes, vectors = sizes[order], vectors[:, order]
    directions = standard.T @ vectors / np.sqrt(sizes) if wide else vectors
    return Rotated(mean, std, directions, sizes)


def _ridge(
    sizes: Array, train: tuple[Array, Array], dev: tuple[Array, Array], others: Mapping[str, Array]
) -> dict[str, Array]:
    """Ridge regression of rotated columns, whose products are the (R,) `sizes`."""
    (x, y), (dev_x, dev_y) = train, dev
    mean = y.mean(axis=0)
    product = x.T @ (y - mean)  # (R, K)
    weights = [product / (sizes[:, None] + penalty) for penalty in PENALTIES]
    errors = [np.abs(dev_x @ weight + mean - dev_y).mean() if len(dev_x) else 0.0 for weight in weights]
    best = weights[int(np.argmin(errors))]
    return {name: each @ best + mean for name, each in others.items()}


def _logistic(x: Array, y: Array, dev_y: Array, parts: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    """The C classes, and their (N, C) probabilities for each part; the part "" is dev, which chooses the penalty."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score

    classes = np.unique(y)
    if len(classes) == 1 or not x.shape[1]:
        share = np.array([(y == each).mean() for each in classes])
        return classes, {name: np.tile(share, (len(part), 1)) for name, part in parts.items()}
    scale = x.std(axis=0).max()
    models = [
        LogisticRegression(C=c, class_weight="balanced", max_iter=300).fit(x / scale, y) for c in INVERSE_PENALTIES
    ]
    predicted = [model.predict(parts[""] / scale) if len(dev_y) else y[:0] for model in models]
    scores = [recall_score(dev_y, each, average="macro", zero_division=0) if len(dev_y) else 0.0 for each in predicted]
    best = models[int(np.argmax(scores))]
    return best.classes_, {name: best.predict_proba(part / scale) for name, part in parts.items()}


def _of_one(found: tuple[Array, dict[str, Array]], name: str) -> Array:
    """The probability that a label of 0 or 1 is 1."""
    classes, probabilities = found
    if len(classes) == 1:
        return np.full(len(probabilities[name]), classes[0])
    return probabilities[name][:, 1]


def stacked(kind: Kind, found: Mapping[str, Mapping[str, Array]], dev: Array) -> dict[str, Array]:
    """Test predictions of a linear model of other predictions, fitted on dev: least squares with a small penalty.

    For classes, their mean probability.

    Args:
        kind: What the targets are.
        found: Predictor to split to (N, K) predictions.
        dev: (N, K) dev targets.
    """
    if kind != "numbers":
        mean: Array = np.mean([each["test"] for each in found.values()], axis=0)
        return {"test": mean}
    columns = [
        stack_of(
            [each["valid"][:, k] for each in found.values()], dev[:, k], [each["test"][:, k] for each in found.values()]
        )
        for k in range(dev.shape[1])
    ]
    return {"test": np.stack(columns, axis=1)}


def stack_of(dev: Sequence[Array], truth: Array, test: Sequence[Array]) -> Array:
    """One target's stack: the (M,) test predictions of a ridge regression of P predictors on N dev clips."""
    mean, weight, centre = stack_weights(np.stack(dev, axis=1), truth)
    stacked: Array = (np.stack(test, axis=1) - mean) @ weight + centre
    return stacked


def stack_weights(predicted: Array, truth: Array, penalty: float = SMALL) -> tuple[Array, Array, float]:
    """Ridge regression of one target from P predictions of it.

    Args:
        predicted: (N, P).
        truth: (N,); NaN where not known.
        penalty: Share of the predictions' variance.

    Returns:
        The mean of each prediction (P,), the weights (P,) and the mean of the target.
    """
    rows = ~np.isnan(truth)
    mean, centre = predicted[rows].mean(axis=0), float(truth[rows].mean())
    gap = predicted[rows] - mean
    squares = gap.T @ gap + penalty * len(gap) * gap.var() * np.eye(gap.shape[1])  # (P, P); 0 if no prediction varies
    weight: Array = np.linalg.lstsq(squares, gap.T @ (truth[rows] - centre), rcond=None)[0]
    return mean, weight, centre

"""Linear models of pooled features, with the penalty chosen by grouped cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from featzoo.sequence import Array
from featzoo.zoo.heads.pooled.inner_folds import Part, held_out_score, inner_folds, weights_of_classes
from featzoo.zoo.objective import Objective

# Makes an estimator of scikit-learn from C and the weights of its classes.
Maker = Callable[[float, dict[float, float] | None], Any]
# The score of a class that no train clip has: its probability is 0.
NEVER = -1e4


class LinearFit(NamedTuple):
    """A fitted linear model.

    Attributes:
        weight: (R, W): of each target or class, or of each pair of classes in the order of `combinations`.
        bias: (R,).
        chosen: Chosen C of each problem: one for `class`, one for each target otherwise.
        scores: For each problem, the score of each C: unweighted average recall of classes, or minus the mean absolute
            error of numbers.
    """

    weight: Array
    bias: Array
    chosen: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class LinearFitter:
    """Fits linear models to standardised features.

    Attributes:
        objective: What the targets are.
        outputs: K.
        make: Makes the estimator.
        penalties: Values of C to choose from.
        folds: Number of folds that choose C.
        seed: Seed of the folds.
        pairwise: Whether the estimator separates each pair of classes, as an SVC does.
    """

    objective: Objective
    outputs: int
    make: Maker
    penalties: Sequence[float]
    folds: int
    seed: int
    pairwise: bool = False

    def fit(self, features: Array, targets: Array, groups: Sequence[str]) -> LinearFit:
        """Choose C for each problem, and fit all clips with it.

        Args:
            features: (N, W), of mean 0.
            targets: (N, K), or (N, 1) class numbers.
            groups: N names; clips with one name are in the same fold.
        """
        # A linear model with an L2 penalty depends on the features only through their products, which a rotation keeps.
        _, size, directions = np.linalg.svd(features, full_matrices=False)
        kept = directions[size > 1e-10 * size.max(initial=1e-300)]  # (R, W)
        rotated = features @ kept.T  # (N, R)
        weights, biases, chosen, scores = [], [], [], []
        for number, truth in enumerate(targets.T):
            class_weights = weights_of_classes(self.objective, number)
            parts = list(inner_folds(self.objective, truth, groups, self.folds, self.seed))
            found = tuple(self._score(rotated, truth, parts, c, class_weights) for c in self.penalties) if parts else ()
            best = self.penalties[int(np.argmax(found)) if found else len(self.penalties) // 2]
            weight, bias = self._weights(_fitted(self.make(best, class_weights), rotated, truth), truth)
            weights.append(weight @ kept)  # (R, W) of a class, else (1, W)
            biases.append(bias)
            chosen.append(float(best))
            scores.append(found)
        return LinearFit(np.concatenate(weights), np.concatenate(biases), tuple(chosen), tuple(scores))

    def _score(
        self, features: Array, truth: Array, parts: Sequence[Part], c: float,
        class_weights: dict[float, float] | None,
    ) -> float:  # fmt: skip
        """The score of the predictions of all folds together."""
        pred = np.empty(len(truth))
        for fit, held in parts:
            pred[held] = _fitted(self.make(c, class_weights), features[fit], truth[fit]).predict(features[held])
        return held_out_score(self.objective, pred, truth)

    def _weights(self, model: Any, truth: Array) -> tuple[Array, Array]:
        """Weights and biases of all classes or their pairs, or those of one target."""
        if self.objective.of_numbers:
            return np.reshape(model.coef_, (1, -1)), np.reshape(model.intercept_, (1,))
        coef, intercept = np.asarray(model.coef_), np.asarray(model.intercept_)
        if self.objective.kind == "classes":
            return coef, intercept
        there = model.classes_.astype(np.int64).tolist()
        if self.pairwise:
            return _of_pairs(there, coef, intercept, self.outputs)
        if len(there) == 2:  # scores whose softmax is the sigmoid of the only one
            coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
        weight, bias = np.zeros((self.outputs, coef.shape[1])), np.full(self.outputs, NEVER)
        weight[there], bias[there] = coef, intercept
        return weight, bias


def _of_pairs(there: Sequence[int], coef: Array, intercept: Array, outputs: int) -> tuple[Array, Array]:
    """Weights and biases of all pairs; a positive score is for the first class. Absent classes lose to the others."""
    if len(there) == 2:  # scikit-learn's only score is for the second class
        coef, intercept = -coef, -intercept
    rows = {pair: row for row, pair in enumerate(combinations(there, 2))}
    pairs = list(combinations(range(outputs), 2))
    weight, bias = np.zeros((len(pairs), coef.shape[1])), np.zeros(len(pairs))
    for place, (one, other) in enumerate(pairs):
        if (one, other) in rows:
            weight[place], bias[place] = coef[rows[one, other]], intercept[rows[one, other]]
        else:
            bias[place] = NEVER * ((other in there) - (one in there))
    return weight, bias


class _OneClass:
    """The model of clips that all have one class."""

    def __init__(self, width: int, truth: float) -> None:
        self.classes_ = np.array([truth])
        self.coef_, self.intercept_ = np.zeros((1, width)), np.array([-NEVER if truth else NEVER])

    def predict(self, features: Array) -> Array:
        """That class."""
        return np.full(len(features), self.classes_[0])


def _fitted(model: Any, features: Array, truth: Array) -> Any:
    """The model, fitted; its class weights are those of the classes that the clips have."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    there = set(np.unique(truth))
    if hasattr(model, "class_weight"):
        if len(there) == 1:
            return _OneClass(features.shape[1], float(truth[0]))
        if model.class_weight:
            model.class_weight = {k: weight for k, weight in model.class_weight.items() if k in there}
    if isinstance(model, LinearSVC):
        # So many columns can separate the classes, and the primal form then takes ten times as long as the dual one.
        model.dual = 3 * features.shape[1] > len(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, truth)

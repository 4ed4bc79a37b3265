"""TF-IDF and a linear model of scikit-learn, with the penalty chosen by grouped cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import FeatzooError
from featzoo.sequence import Array


class Vocabulary(NamedTuple):
    """The n-grams that are counted.

    Attributes:
        grams: (V,) int64, sorted.
        counts: (N, V) sparse counts in the train texts.
        idf: (V,) inverse document frequencies, smoothed as scikit-learn does.
    """

    grams: Array
    counts: Any
    idf: Array


def vocabulary_of(grams: Array, least: int, most: int) -> Vocabulary:
    """The n-grams of train texts that enough of them have.

    Args:
        grams: (N, G) int64 n-grams of N texts, -1 in padding.
        least: Number of texts that must have an n-gram.
        most: Number of n-grams; of more, the most frequent are kept.

    Raises:
        FeatzooError: If there are none.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    each = [np.unique(row[row >= 0], return_counts=True) for row in grams]
    known, texts = np.unique(np.concatenate([found for found, _ in each]), return_counts=True)
    if len(kept := np.flatnonzero(texts >= least)) == 0:
        raise FeatzooError(f"no word is in {least} of the {len(grams)} train texts: lower options.least_texts")
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-texts[kept], kind="stable")[:most]])
    known = known[kept]
    columns = [np.searchsorted(known, found).clip(max=len(known) - 1) for found, _ in each]
    there = [known[column] == found for column, (found, _) in zip(columns, each, strict=True)]
    starts = np.cumsum([0, *(int(one.sum()) for one in there)])
    data = np.concatenate([count[one] for one, (_, count) in zip(there, each, strict=True)]).astype(np.float64)
    indices = np.concatenate([column[one] for one, column in zip(there, columns, strict=True)])
    counts = csr_matrix((data, indices, starts), shape=(len(grams), len(known)))
    return Vocabulary(known, counts, TfidfTransformer(sublinear_tf=True).fit(counts).idf_)


class Fit(NamedTuple):
    """A fitted model.

    Attributes:
        weight: (K, V).
        bias: (K,).
        chosen: C of each problem: one of a class, else one for each target.
    """

    weight: Array
    bias: Array
    chosen: tuple[float, ...]


def fit_targets(
    features: Any, targets: Array, outputs: int, make: Callable[[float], Any], penalties: Sequence[float],
    folds: Sequence[tuple[Array, Array]], of_class: bool,
) -> Fit:  # fmt: skip
    """Fit each target, and choose its C by the loss of held-out texts.

    Args:
        features: (N, V) sparse.
        targets: (N, K), or (N, 1) class numbers.
        outputs: K.
        make: Makes the estimator from C; a classifier has `predict_proba`.
        penalties: Values of C.
        folds: Rows to fit and rows to score.
        of_class: Whether targets are class numbers.
    """
    weights, biases, chosen = [], [], []
    for truth in targets.T:
        losses = [sum(_loss(make(c), features, truth, *fold) for fold in folds) for c in penalties]
        best = penalties[int(np.argmin(losses)) if folds else len(penalties) // 2]
        weight, bias = _weights(make(best), features, truth, outputs if of_class else 0)
        weights.append(weight)
        biases.append(bias)
        chosen.append(float(best))
    return Fit(np.concatenate(weights), np.concatenate(biases), tuple(chosen))


def _loss(model: Any, features: Any, truth: Array, fit: Array, held: Array) -> float:
    """The sum of the held-out texts' cross entropies, or absolute errors of numbers."""
    if not hasattr(model, "predict_proba"):
        return float(np.abs(_fitted(model, features[fit], truth[fit]).predict(features[held]) - truth[held]).sum())
    seen = np.unique(truth[fit])
    if len(seen) < 2:
        return 0.0  # the same for every C
    given = np.full((len(held), int(truth.max()) + 1), 1e-6)  # for a class that is not in `fit`
    given[:, seen.astype(int)] = _fitted(model, features[fit], truth[fit]).predict_proba(features[held])
    right = given[np.arange(len(held)), truth[held].astype(int)]
    return float(-np.log(right.clip(min=1e-6)).sum())


def _weights(model: Any, features: Any, truth: Array, classes: int) -> tuple[Array, Array]:
    """(1, V) and (1,) of a number or of a label 0 or 1; (K, V) and (K,) scores of K classes."""
    width, seen = features.shape[1], np.unique(truth)
    if hasattr(model, "predict_proba") and len(seen) == 1:  # certain, as far as train texts say
        bias = np.full(max(classes, 1), -10.0)
        bias[int(seen[0]) if classes else 0] = 10.0 if classes or seen[0] else -10.0
        return np.zeros((max(classes, 1), width)), bias
    model = _fitted(model, features, truth)
    coef, intercept = np.reshape(model.coef_, (-1, width)), np.reshape(model.intercept_, -1)
    if not classes:
        return coef, intercept
    if len(seen) == 2:  # scores whose softmax is the sigmoid of the only one
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    weight, bias = np.zeros((classes, width)), np.full(classes, -1e4)
    weight[seen.astype(int)], bias[seen.astype(int)] = coef, intercept
    return weight, bias


def _fitted(model: Any, features: Any, truth: Array) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, truth)

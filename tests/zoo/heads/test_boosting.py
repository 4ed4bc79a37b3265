"""Boosted trees, compared with the predictions of scikit-learn's own models."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from featzoo.errors import InvalidOption
from featzoo.zoo.head import make_head
from featzoo.zoo.heads.pooled.boosting import BINS
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.objective import Objective
from zoo.heads.test_pooled import data, predict

SMALL = {"pooling": "mean", "rounds": 8, "step": 4, "leaves": [5], "least": 3, "folds": 2}
THEIRS = {"max_leaf_nodes": 5, "min_samples_leaf": 3, "l2_regularization": 1.0, "max_bins": BINS,
          "early_stopping": False}  # fmt: skip


def gaps(features, seed=0):
    holed = features.copy()
    holed[np.random.default_rng(seed).random(features.shape) < 0.2] = np.nan
    return holed


def fitted(features, targets, kind, outputs, weights=(), groups=None, **options):
    head = make_head("boosting", SMALL | options, {"audio": InputSpec(features.shape[1])}, outputs,
                     objective=Objective(kind, tuple(weights))).eval()  # fmt: skip
    groups = groups or ["one"] * len(features)  # a single group: nothing is chosen
    head.fit(features.astype(np.float64), np.asarray(targets, dtype=float), groups, 0)
    return head


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_have_the_probabilities_of_scikit_learn(classes):
    features, truth = data(classes=classes)
    new = gaps(data(classes=classes, seed=1)[0])
    for train in (features, gaps(features)):
        head = fitted(train, truth[:, None], "class", classes)
        theirs = HistGradientBoostingClassifier(max_iter=8, **THEIRS).fit(train, truth)
        np.testing.assert_allclose(predict(head, new), theirs.predict_proba(new), atol=1e-5)


def test_weights_of_classes_reach_the_solver():
    features, truth = data(classes=3)
    weights = np.array([1.0, 4.0, 0.5])
    theirs = HistGradientBoostingClassifier(max_iter=8, **THEIRS).fit(features, truth, weights[truth])
    head = fitted(features, truth[:, None], "class", 3, weights)
    np.testing.assert_allclose(predict(head, features), theirs.predict_proba(features), atol=1e-5)


def test_numbers_and_several_classes_are_separate_problems():
    features, truth = data()
    numbers = np.stack([features[:, 0], features[:, 1] - features[:, 2]], axis=1).astype(np.float64)
    head = fitted(features, numbers, "numbers", 2)
    for k in range(2):
        theirs = HistGradientBoostingRegressor(max_iter=8, **THEIRS).fit(features, numbers[:, k])
        np.testing.assert_allclose(predict(head, features)[:, k], theirs.predict(features), rtol=1e-5)
    both = np.stack([truth > 1, truth % 2], axis=1).astype(float)
    head = fitted(features, both, "classes", 2)
    for k in range(2):
        theirs = HistGradientBoostingClassifier(max_iter=8, **THEIRS).fit(features, both[:, k])
        np.testing.assert_allclose(predict(head, features)[:, k], theirs.predict_proba(features)[:, 1], atol=1e-5)


def test_a_class_that_no_train_clip_has_is_never_predicted():
    features, truth = data(classes=3)
    found = predict(fitted(features, np.array([0, 2, 4])[truth][:, None], "class", 5), features)
    assert set(found.argmax(axis=1)) == {0, 2, 4}
    found = predict(fitted(features, np.array([1, 3])[truth % 2][:, None], "class", 5), features)
    assert set(found.argmax(axis=1)) == {1, 3}
    alone = predict(fitted(features, np.full((60, 1), 3), "class", 5), features)
    assert set(alone.argmax(axis=1)) == {3}


def test_leaves_and_rounds_are_chosen_by_held_out_groups():
    """One step in one feature is learnt by the smallest trees in the fewest rounds; more of both are not taken."""
    features, _ = data()
    truth = (features[:, 0] > np.median(features[:, 0]))[:, None].astype(float)
    groups = [str(number % 10) for number in range(60)]
    choices = fitted(features, truth, "class", 2, groups=groups, leaves=[2, 6]).choices
    assert choices["chosen"] == [{"leaves": 2, "rounds": 4}]
    assert choices["rounds"] == [4, 8]
    assert np.shape(choices["scores"]) == (1, 2, 2)


def test_options_that_make_no_trees_are_refused():
    for wrong in ({"leaves": [1]}, {"rounds": 0}, {"rate": 0.0}):
        with pytest.raises(InvalidOption, match="must be"):
            make_head("boosting", wrong, {"audio": InputSpec(3)}, 2, objective=Objective("class"))

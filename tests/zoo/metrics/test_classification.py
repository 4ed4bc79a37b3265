"""Metrics of classes against scikit-learn, and calibration against a loop over bins."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from featzoo.zoo.metrics.classification import Classified, class_metrics, entropy
from featzoo.zoo.metrics.tables import format_metrics, shown
from featzoo.zoo.metrics.targets import constant_metrics, measure_of

NAMES = ("anger", "joy", "neutral", "sadness")


def drawn(seed, clips, classes=4):
    rng = np.random.default_rng(seed)
    pred = rng.dirichlet(np.ones(classes), size=clips)
    return pred, rng.integers(0, classes, size=clips)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
@pytest.mark.filterwarnings("ignore")
def test_metrics_are_those_of_scikit_learn(seed, clips):
    pred, truth = drawn(seed, clips)
    claimed, ours = pred.argmax(axis=1), class_metrics(pred, truth, NAMES)
    assert ours["uar"] == pytest.approx(sklearn.balanced_accuracy_score(truth, claimed))
    assert ours["acc"] == pytest.approx(sklearn.accuracy_score(truth, claimed))
    assert ours["f1_macro"] == pytest.approx(sklearn.f1_score(truth, claimed, average="macro"))
    assert ours["f1_weighted"] == pytest.approx(sklearn.f1_score(truth, claimed, average="weighted"))
    theirs = sklearn.precision_recall_fscore_support(truth, claimed, labels=range(4), zero_division=np.nan)
    for kind, values in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        assert [ours[f"{name}.{kind}"] for name in NAMES] == pytest.approx(values, nan_ok=True)
    confusion = sklearn.confusion_matrix(truth, claimed, labels=range(4))
    assert np.array_equal(Classified.of(pred, truth, NAMES).confusion(), confusion)


@pytest.mark.parametrize("shares", [[1.0, 0.0], [0.5, 0.5], [0.25] * 4, [0.1, 0.2, 0.7]])
def test_entropy_is_that_of_scipy_in_nats(shares):
    assert entropy([shares, shares]) == pytest.approx([scipy.stats.entropy(shares)] * 2)
    assert str(entropy([1.0, 0.0])) == "0.0"


def test_calibration_error_is_the_weighted_gap_of_each_bin():
    pred, truth = drawn(3, 500)
    gaps = []
    for low in np.arange(15) / 15:
        inside = [(p.max(), p.argmax() == t) for p, t in zip(pred, truth, strict=True) if low < p.max() <= low + 1 / 15]
        if inside:
            sure, right = np.array(inside, dtype=float).T
            gaps.append(len(inside) * abs(sure.mean() - right.mean()))
    assert class_metrics(pred, truth, NAMES)["ece"] == pytest.approx(sum(gaps) / 500)


def test_a_certain_and_right_prediction_is_calibrated():
    found = class_metrics(np.eye(4), np.arange(4), NAMES)
    assert (found["uar"], found["ece"]) == (1.0, 0.0)


def test_some_rows_have_the_metrics_of_a_copy_of_them():
    pred, truth = drawn(5, 60)
    rows = np.random.default_rng(0).integers(0, 60, size=60)
    some = measure_of("class", pred, truth[:, None], NAMES)(rows)
    assert some == pytest.approx(class_metrics(pred[rows], truth[rows], NAMES), nan_ok=True)


def test_the_constant_is_the_largest_class_of_train():
    truth = np.array([[0.0], [1.0], [1.0], [3.0]])
    (name, found), *others = constant_metrics("class", np.array([[3.0], [1.0], [3.0]]), truth, NAMES).items()
    assert not others
    assert name == "all sadness"
    assert (found["acc"], found["uar"]) == (0.25, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("pred", "truth"),
    [([[0.5, 0.5]], [2]), ([[0.5, 1.5]], [0]), ([[0.5, 0.5]], [0.5]), (np.empty((0, 2)), []), ([[1.0]], [0])],
)
def test_what_is_not_a_probability_or_a_class_is_refused(pred, truth):
    with pytest.raises(ValueError, match="predictions are"):
        Classified.of(pred, truth, NAMES[:2])


def test_the_table_has_a_row_for_each_class():
    pred, truth = drawn(1, 30)
    found = class_metrics(pred, truth, NAMES)
    assert shown(found) == ["uar", "acc", "f1_macro", "f1_weighted", "ece"]
    last = format_metrics(found, {}).splitlines()[-5:]
    assert last[0].split() == ["class", "precision", "recall", "f1", "support"]
    assert [line.split()[0] for line in last[1:]] == list(NAMES)
    assert sum(int(line.split()[-1]) for line in last[1:]) == 30

"""sentiment_metrics against golden values, scikit-learn and hand counts; constants and tables."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, mean_squared_error

from featzoo.zoo.metrics import (
    HIGHER_IS_BETTER,
    constant_metrics,
    format_metrics,
    regression_metrics,
    sentiment_metrics,
    target_metrics,
    weighted_f1,
)

from .oracles import mosi_pattern

# Derived independently in float64 from the definitions; 1e-8 leaves room for the order of summation only.
GOLDEN = {
    "mae": 0.9532499210657885, "corr": 0.8760239824628054, "acc7": 0.2, "acc5": 0.475,
    "acc2_has0": 0.85, "f1_has0": 0.85, "acc2_non0": 0.8461538461538461, "f1_non0": 0.8461538461538461,
}  # fmt: skip


def test_golden_values():
    found = sentiment_metrics(*mosi_pattern())
    assert list(found) == list(GOLDEN)
    assert found == pytest.approx(GOLDEN, abs=1e-8)


def test_round_half_to_even_and_clipping():
    """0.5 and 2.5 round down, 1.5 up; +-3.4 counts as +-3 of seven classes and +-2 of five."""
    found = sentiment_metrics([0.5, 1.5, 2.5, -3.4], [0.0, 2.0, 2.0, -3.0])
    assert found["acc7"] == 1.0
    assert sentiment_metrics([3.4, -1.4], [2.2, -2.0])["acc5"] == 0.5


def test_zero_is_non_negative_and_left_out_of_non0():
    found = sentiment_metrics([0.0, -1.0, 1.0], [0.0, 0.0, 1.0])
    assert found["acc2_has0"] == pytest.approx(2 / 3)
    assert found["acc2_non0"] == 1.0
    # Non0 asks p > 0: a prediction of exactly 0 for a positive truth is wrong there and right in has0.
    found = sentiment_metrics([0.0, 1.0], [1.0, 1.0])
    assert (found["acc2_has0"], found["acc2_non0"]) == (1.0, 0.5)


numbers = st.floats(-3, 3, allow_nan=False, width=32)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40))
def test_f1_is_scikit_learns(pairs):
    pred, truth = np.array(pairs).T
    expected = f1_score(truth >= 0, pred >= 0, average="weighted")
    assert sentiment_metrics(pred, truth)["f1_has0"] == pytest.approx(expected, abs=1e-12)


def test_what_does_not_exist_is_nan():
    found = sentiment_metrics([1.0, 1.0], [0.0, 0.0])
    assert all(math.isnan(found[key]) for key in ("corr", "acc2_non0", "f1_non0"))
    assert math.isnan(weighted_f1(np.array([]), np.array([])))


@pytest.mark.parametrize(("pred", "truth"), [([1.0], [1.0, 2.0]), ([], []), ([[1.0]], [[1.0]]), ([math.nan], [1.0])])
def test_bad_arrays_are_refused(pred, truth):
    with pytest.raises(ValueError, match=r"\(N,\)|finite"):
        sentiment_metrics(pred, truth)


def test_regression_closed_form():
    """A shift by 1: error 1 everywhere, correlation 1, ccc = 2 var / (2 var + 1)."""
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    found = regression_metrics(truth + 1, truth)
    assert found == pytest.approx({"mae": 1.0, "rmse": 1.0, "corr": 1.0, "ccc": 2 * 1.25 / (2 * 1.25 + 1)})
    noisy = truth + np.array([0.1, -0.2, 0.3, 0.7])
    assert regression_metrics(noisy, truth)["rmse"] == pytest.approx(mean_squared_error(truth, noisy) ** 0.5)
    assert math.isnan(regression_metrics([1.0], [1.0])["ccc"])


def test_several_targets_are_averaged_and_named():
    pred, truth = np.array([[1.0, 0.0], [2.0, 0.0]]), np.array([[1.0, 1.0], [2.0, 2.0]])
    found = target_metrics("regression", pred, truth, ("a", "b"))
    assert (found["a.mae"], found["b.mae"], found["mae"]) == (0.0, 1.5, 0.75)


def test_constant_predictors_come_from_train():
    train, truth = np.array([[0.0], [0.0], [3.0]]), np.array([[1.0], [1.0]])
    found = constant_metrics("sentiment", train, truth, ("s",))
    assert found["train mean"]["mae"] == 0.0
    assert found["train median"]["mae"] == 1.0


def test_table_is_aligned_and_shows_dashes():
    table = format_metrics({"mae": 0.5, "corr": math.nan}, {"train mean": {"mae": 1.25, "corr": math.nan}})
    lines = table.splitlines()
    assert lines[0].split() == ["metric", "head", "train", "mean"]
    assert lines[1].split() == ["mae", "0.5000", "1.2500"]
    assert lines[2].split() == ["corr", "-", "-"]
    assert len(set(map(len, lines))) == 1


def test_every_metric_says_which_way_is_better():
    keys = {*sentiment_metrics([1.0], [1.0]), *regression_metrics([1.0], [1.0])}
    assert keys == set(HIGHER_IS_BETTER)


def test_recipes_and_metrics_import_no_torch():
    code = "import sys, featzoo.zoo as z; z.recipes(); print(sorted({'torch', 'av', 'h5py'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

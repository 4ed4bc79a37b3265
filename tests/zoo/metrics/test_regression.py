"""sentiment_metrics against golden values, scikit-learn and hand counts; constants and tables."""

import math
import statistics
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error, r2_score

from featzoo.zoo.metrics.binary import binary_metrics
from featzoo.zoo.metrics.classification import class_metrics
from featzoo.zoo.metrics.regression import (
    regression_metrics,
    sentiment_metrics,
    sims_metrics,
    trait_metrics,
    weighted_f1,
)
from featzoo.zoo.metrics.tables import format_metrics
from featzoo.zoo.metrics.targets import HIGHER_IS_BETTER, constant_metrics, target_metrics
from zoo.oracles import mosi_pattern

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


def test_undefined_metrics_are_nan():
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
    assert len(set(map(len, lines[:3]))) == 1
    assert lines[3:] == ["not defined here, because all labels or all predictions are alike: corr"]


def test_every_metric_says_which_way_is_better():
    keys = {*sentiment_metrics([1.0], [1.0]), *trait_metrics([1.0], [1.0], [1.0]), *sims_metrics([1.0], [1.0])}
    assert set(regression_metrics([1.0], [1.0])) < keys
    probabilities = binary_metrics([[0.1], [0.1]], [[0], [0]], ["a"], ["en", "fr"])
    classes = class_metrics([[0.9, 0.1]], [[0.0]], ["a", "b"])
    others = {key for key in probabilities if "." not in key} | {key.rpartition(".")[2] for key in classes}
    assert keys | others == set(HIGHER_IS_BETTER)


def test_recipes_and_metrics_import_no_torch():
    code = (
        "import sys, featzoo.zoo.metrics.regression, featzoo.zoo.recipe as recipe; recipe.recipes()\n"
        "print(sorted({'torch', 'av', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=40))
def test_trait_metrics_are_one_minus_mae_and_scikit_learns_r2(pairs):
    pred, truth = np.array(pairs).T
    found = trait_metrics(pred, truth)
    assert found["r_acc"] == pytest.approx(1 - np.abs(pred - truth).mean(), abs=1e-12)
    assert found["mae"] == pytest.approx(1 - found["r_acc"], abs=1e-12)
    if np.ptp(truth) > 1e-6:
        ratio = statistics.pstdev(pred) / statistics.pstdev(truth)
        assert found["sd_ratio"] == pytest.approx(ratio, rel=1e-6, abs=1e-9)
        # The same sums in another order, over a small variance.
        assert found["r2"] == pytest.approx(r2_score(truth, pred), rel=1e-6, abs=1e-9)
    elif np.ptp(truth) == 0:
        assert math.isnan(found["r2"])
        assert math.isnan(found["sd_ratio"])


def test_extremes_are_those_of_the_train_split():
    """Train mean .5, deviation .25: below .25 is low (.25 is not), from .75 on is high."""
    train, truth = [0.25, 0.75], [0.2, 0.25, 0.5, 0.75, 1.0]
    found = trait_metrics([0.3, 0.0, 0.0, 0.7, 0.6], truth, train)
    assert found["r_acc_low"] == pytest.approx(0.9)
    assert found["r_acc_high"] == pytest.approx(1 - (0.05 + 0.4) / 2)
    none = trait_metrics([0.5, 0.5], [0.5, 0.4], train)
    assert math.isnan(none["r_acc_low"])
    assert math.isnan(none["r_acc_high"])


def test_trait_tables_have_the_mean_and_each_trait_and_the_floor():
    truth = np.array([[0.1, 0.2], [0.9, 0.6], [0.5, 0.4]])
    found = target_metrics("traits", truth + 0.1, truth, ("openness", "agreeableness"), truth)
    assert found["r_acc"] == pytest.approx(0.9)
    assert found["openness.r_acc_low"] == pytest.approx(0.9)
    assert "r_acc_low" not in target_metrics("traits", truth, truth, ("openness", "agreeableness"))
    floor = constant_metrics("traits", truth, truth, ("openness", "agreeableness"))["train mean"]
    assert floor["openness.r_acc"] == pytest.approx(1 - 0.8 / 3)
    assert floor["openness.r2"] == pytest.approx(0.0)
    assert {key.partition(".")[2] or key for key in found} <= set(HIGHER_IS_BETTER)


def mmsa_classes(values, bounds):
    """MMSA's loop: class i is what lies above bound i, up to and with bound i + 1."""
    found = values.copy()
    for i in range(len(bounds) - 1):
        found[np.logical_and(values > bounds[i], values <= bounds[i + 1])] = i
    return found


sims_values = st.one_of(st.sampled_from([-1.0, -0.7, -0.1, 0.0, 0.1, 0.6, 0.7, 1.0]), st.floats(-1.5, 1.5, width=32))


@given(st.lists(st.tuples(sims_values, st.integers(-5, 5)), min_size=2, max_size=40))
def test_sims_metrics_are_mmsas(pairs):
    """In 32 bit, as there; the definition is that of MMSA's __eval_sims_regression, F1 scikit-learn's."""
    pred = np.array([p for p, _ in pairs], dtype=np.float32)
    truth = np.array([t / 5 for _, t in pairs], dtype=np.float32)
    found = sims_metrics(pred, truth)
    p, t = np.clip(pred, -1, 1), np.clip(truth, -1, 1)
    bounds = {2: [-1.01, 0.0, 1.01], 3: [-1.01, -0.1, 0.1, 1.01], 5: [-1.01, -0.7, -0.1, 0.1, 0.7, 1.01]}
    classes = {n: (mmsa_classes(t, each), mmsa_classes(p, each)) for n, each in bounds.items()}
    for n, (true, guessed) in classes.items():
        assert found[f"mult_acc{n}"] == accuracy_score(true, guessed)
    assert found["f1"] == pytest.approx(f1_score(*classes[2], average="weighted"), abs=1e-12)
    assert found["mae"] == pytest.approx(np.abs(p.astype(float) - t).mean(), abs=1e-12)


def test_sims_metrics_by_hand():
    found = sims_metrics([-2.0, -0.1, 0.05, 0.4, 0.9], [-0.8, -0.2, 0.0, 0.2, 0.6])
    # Clipped, the errors are .2, .1, .05, .2, .3; 0.05 is above 0, in the class of 0 with bounds, 0.6 and 0.9 differ.
    assert found["mae"] == pytest.approx(0.17)
    assert (found["mult_acc2"], found["mult_acc3"], found["mult_acc5"]) == (0.8, 1.0, 0.8)

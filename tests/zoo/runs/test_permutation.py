"""The permutation test against scipy's, and what it does with pairs of runs."""

import numpy as np
import pytest
import scipy.stats

from featzoo.zoo.metrics.targets import measure_of
from featzoo.zoo.runs.permutation import pairs_of, permutation_test


def measure(a, b, truth):
    """A pair's measure, as `compare` makes it."""
    pred, twice = np.concatenate([a, b])[:, None], np.concatenate([truth, truth])[:, None]
    return measure_of("regression", pred, twice, ("y",))


@pytest.fixture
def sides():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=9)
    return truth + rng.normal(size=9) * 0.3, truth + rng.normal(size=9) * 0.7, truth


def scipys(a, b, truth, statistic, resamples=10_000):
    """scipy's exact test swaps the values of each column of both samples."""
    found = scipy.stats.permutation_test(
        ((a, b)), lambda x, y: statistic(x, truth) - statistic(y, truth), permutation_type="samples",
        vectorized=False, n_resamples=resamples, rng=0,
    )  # fmt: skip
    return float(found.pvalue)


def test_with_few_clips_every_swap_is_counted_as_by_scipy(sides):
    a, b, truth = sides
    found = permutation_test([measure(*sides)], np.arange(9))
    assert found["mae"] == pytest.approx(scipys(a, b, truth, lambda x, t: np.abs(x - t).mean()), abs=1e-12)
    assert found["corr"] == pytest.approx(scipys(a, b, truth, lambda x, t: np.corrcoef(x, t)[0, 1]), abs=1e-12)


def test_with_many_clips_random_swaps_come_near_to_scipys():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=60)
    a, b = truth + rng.normal(size=60) * 0.6, truth + rng.normal(size=60) * 0.75
    ours = permutation_test([measure(a, b, truth)], np.arange(60))["mae"]
    theirs = scipys(a, b, truth, lambda x, t: np.abs(x - t).mean(), 2000)
    assert 0.02 < theirs < 0.6  # neither is at its end
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(theirs * (1 - theirs) * (1 / 1023 + 1 / 2000)))


def test_the_clips_of_a_speaker_are_swapped_together(sides):
    """Five speakers with the same clips thrice are five observations, not fifteen."""
    a, b, truth = (side[:5] for side in sides)
    thrice = [np.repeat(side, 3) for side in (a, b, truth)]
    one = permutation_test([measure(a, b, truth)], np.arange(5))["mae"]
    assert permutation_test([measure(*thrice)], np.repeat(np.arange(5), 3))["mae"] == pytest.approx(one)


@pytest.mark.parametrize("speakers", [1, 2, 5, 6])
def test_the_smallest_probability_of_n_units_is_two_in_two_to_the_n(speakers):
    truth = np.zeros(speakers)
    found = permutation_test([measure(truth + 0.1, truth + 1.0, truth)], np.arange(speakers))
    assert found["mae"] == 2 / 2**speakers


def test_equal_sides_have_the_probability_1_and_an_undefined_metric_none(sides):
    a, _, truth = sides
    found = permutation_test([measure(a, a, truth)], np.arange(9))
    assert found["mae"] == 1
    constant = permutation_test([measure(np.ones(9), np.ones(9), truth)], np.arange(9))
    assert np.isnan(constant["corr"])


def test_each_run_is_in_as_many_pairs_as_the_others_of_its_side():
    assert pairs_of(2, 2) == [(0, 0), (1, 1)]
    for side in zip(*pairs_of(2, 3), strict=True):
        assert len(set(np.bincount(side))) == 1

"""The verdict on a published figure, beside scipy's interval and hand-made seeds."""

import numpy as np
import pytest
from scipy import stats

from featzoo.zoo.reproduce.verdict import interval, judge


def test_the_interval_is_student_s():
    values = [0.75, 0.77, 0.79, 0.74, 0.8]
    expected = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert interval(values) == pytest.approx(expected, rel=1e-12)


def test_a_figure_inside_the_interval_is_reproduced():
    found = judge("mae", [0.70, 0.72, 0.68], 0.69)
    assert found.reproduced
    assert str(found) == "reproduced"


def test_a_beaten_figure_is_reproduced_whichever_way_is_better():
    assert judge("mae", [0.60, 0.601, 0.602], 0.69).reproduced
    assert judge("r_acc", [0.93, 0.931, 0.932], 0.9127).reproduced


@pytest.mark.parametrize(("metric", "ours", "paper"), [("mae", 0.766, 0.686), ("r_acc", 0.895, 0.9127)])
def test_a_figure_out_of_reach_says_by_how_much(metric, ours, paper):
    found = judge(metric, [ours - 0.001, ours, ours + 0.001], paper)
    assert not found.reproduced
    assert found.short == pytest.approx(abs(ours - paper))
    assert str(found) == f"not reproduced: {abs(ours - paper):.4f} worse"


def test_one_seed_has_no_interval_and_is_reproduced_only_if_it_is_as_good():
    assert np.isnan(judge("mae", [0.7], 0.686).low)
    assert not judge("mae", [0.7], 0.686).reproduced
    assert judge("mae", [0.68], 0.686).reproduced


def test_an_undefined_metric_is_not_reproduced():
    assert not judge("corr", [np.nan, 0.1], 0.8).reproduced

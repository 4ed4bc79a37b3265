"""binary_metrics against the golden value, scikit-learn and cell-by-cell loops."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, f1_score

from featzoo.errors import InvalidOption
from featzoo.zoo.metrics.binary import Cells, binary_metrics, languages_of, reliability, rows_of
from featzoo.zoo.metrics.tables import format_metrics
from featzoo.zoo.metrics.targets import constant_metrics, target_metrics
from featzoo.zoo.runs.compare import intervals

EXACT = 1e-12


@pytest.fixture
def parallel():
    """Forty texts in three languages with two labels, each language predicted in its own way."""
    rng = np.random.default_rng(3)
    languages = ["en", "fr", "ja"] * 40
    truth = np.repeat(rng.random((40, 2)) > 0.4, 3, axis=0).astype(float)
    return rng.random((120, 2)), truth, ("openness", "neuroticism"), languages


def expected_calibration_error(p, t):
    """From scikit-learn's curve: its bins that hold anything, weighted with NumPy's histogram of the same bins."""
    share, mean = calibration_curve(t, p, n_bins=10)
    edges = np.linspace(0, 1, 11)
    size = np.array([((p > low) & (p <= high)).sum() for low, high in pairwise(edges)])
    size[0] += (p == 0).sum()
    return float((size[size > 0] * np.abs(share - mean)).sum() / len(p))


def test_golden_value():
    """methods.md 4.1: BA of y = sin(.9 i) > .4 and yhat = sin(.9 i + .6) > .2, i to 49."""
    i = np.arange(50)
    found = binary_metrics((np.sin(0.9 * i + 0.6) > 0.2)[:, None], (np.sin(0.9 * i) > 0.4)[:, None], ["a"])
    assert found["ba"] == pytest.approx(0.8198529411764706, abs=EXACT)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_one_label_is_scikit_learns(pairs):
    pred, truth = np.array([p for p, _ in pairs]), np.array([t for _, t in pairs], dtype=float)
    found = binary_metrics(pred[:, None], truth[:, None], ["a"])
    said = pred > 0.5
    if len(set(truth)) == 2:
        assert found["ba"] == pytest.approx(balanced_accuracy_score(truth, said), abs=EXACT)
    else:
        assert np.isnan(found["ba"])
    assert found["acc"] == pytest.approx(accuracy_score(truth, said), abs=EXACT)
    assert found["f1"] == pytest.approx(f1_score(truth, said, average="macro"), abs=EXACT)
    assert found["brier"] == pytest.approx(brier_score_loss(truth, pred, pos_label=1), abs=EXACT)
    assert found["ece"] == pytest.approx(expected_calibration_error(pred, truth), abs=EXACT)


def test_one_half_is_a_no():
    assert binary_metrics([[0.5], [0.6]], [[0], [1]], ["a"])["ba"] == 1
    assert binary_metrics([[0.5], [0.6]], [[1], [1]], ["a"])["acc"] == 0.5


def test_calibration_in_closed_form():
    """Probabilities .25 and .75, of which a quarter and a half are yes: 0 and .25 off, each half of the clips."""
    pred = np.repeat([0.25, 0.75], 4)
    truth = np.array([1, 0, 0, 0, 1, 1, 0, 0.0])
    found = binary_metrics(pred[:, None], truth[:, None], ["a"])
    assert found["ece"] == pytest.approx(0.125, abs=EXACT)
    assert found["brier"] == pytest.approx((3 * 0.25**2 + 0.75**2 + 2 * 0.25**2 + 2 * 0.75**2) / 8, abs=EXACT)
    mean, share, size = reliability(pred, truth)
    assert size.tolist() == [0, 0, 4, 0, 0, 0, 0, 4, 0, 0]
    assert mean[[2, 7]].tolist() == [0.25, 0.75]
    assert share[[2, 7]].tolist() == [0.25, 0.5]
    assert np.isnan(mean[0])


def test_macro_means_over_languages_and_labels(parallel):
    pred, truth, columns, languages = parallel
    found = binary_metrics(*parallel)
    cells = {}
    for language in ("en", "fr", "ja"):
        rows = np.array([name == language for name in languages])
        for k, column in enumerate(columns):
            cells[language, column] = balanced_accuracy_score(truth[rows, k], pred[rows, k] > 0.5)
            assert found[f"{language}.{column}.ba"] == pytest.approx(cells[language, column], abs=EXACT)
    assert found["ba"] == pytest.approx(np.mean(list(cells.values())), abs=EXACT)
    others = [value for (language, _), value in cells.items() if language != "en"]
    assert found["ba_without_en"] == pytest.approx(np.mean(others), abs=EXACT)
    assert found["fr.ba"] == pytest.approx(np.mean([cells["fr", column] for column in columns]), abs=EXACT)
    of_openness = [value for (_, column), value in cells.items() if column == "openness"]
    assert found["openness.ba"] == pytest.approx(np.mean(of_openness), abs=EXACT)


def test_one_language_is_no_language(parallel):
    pred, truth, columns, _ = parallel
    plain = binary_metrics(pred, truth, columns)
    assert plain == binary_metrics(pred, truth, columns, ["en"] * 120)
    assert plain["ba"] == pytest.approx((plain["openness.ba"] + plain["neuroticism.ba"]) / 2, abs=EXACT)
    assert "ba_without_en" not in plain


def test_a_class_that_is_absent_has_no_balanced_accuracy_and_is_left_out_of_means(parallel):
    pred, truth, columns, languages = parallel
    rows = np.array([name == "fr" for name in languages])
    truth[rows, 0] = 1
    found = binary_metrics(pred, truth, columns, languages)
    assert np.isnan(found["fr.openness.ba"])
    assert found["fr.ba"] == found["fr.neuroticism.ba"]
    assert found["openness.ba"] == pytest.approx((found["en.openness.ba"] + found["ja.openness.ba"]) / 2, abs=EXACT)
    five = [v for k, v in found.items() if k.count(".") == 2 and not np.isnan(v)]
    assert found["ba"] == pytest.approx(np.mean(five), abs=EXACT)
    assert len(five) == 5
    assert Cells.of(pred, truth, columns, languages).undefined() == [
        "fr.openness has no balanced accuracy, as all 40 labels are 1"
    ]
    table = format_metrics(found, {})
    assert table.endswith("no balanced accuracy, because all labels are alike: fr.openness.ba")


def test_draws_count_clips_as_often_as_they_are_drawn(parallel):
    pred, truth, columns, languages = parallel
    cells = Cells.of(*parallel)
    rows = np.random.default_rng(1).integers(0, 120, 120)
    again = binary_metrics(pred[rows], truth[rows], columns, [languages[i] for i in rows])
    assert cells.metrics(rows) == again
    english = np.arange(0, 120, 3)
    without = cells.metrics(english)
    assert set(without) == set(cells.metrics())  # a language that was not drawn keeps its place
    assert np.isnan(without["ba_without_en"])
    assert without["ba"] == without["en.ba"]


def test_languages_are_the_last_part_of_every_id():
    assert languages_of(["1/en", "a/b/fr"]) == ["en", "fr"]
    assert languages_of(["1/en", "2"]) is None
    assert languages_of(["clips/one.mp4"]) is None
    assert languages_of([]) is None
    assert rows_of(["b/en", "a/en", "b/fr"]).tolist() == [1, 0, 1]
    assert rows_of(["b", "a/en", "b/fr"]).tolist() == [0, 1, 2]


def test_texts_in_several_languages_widen_the_interval_to_that_of_the_texts():
    """Four copies of one prediction say no more than one: the interval is the single language's, not half of it."""
    rng = np.random.default_rng(0)
    pred, truth = rng.random((200, 1)), (rng.random((200, 1)) > 0.5).astype(float)
    ids = [f"{row}/{language}" for row in range(200) for language in ("en", "fr", "ja", "zh")]
    copies = Cells.of(np.repeat(pred, 4, axis=0), np.repeat(truth, 4, axis=0), ["a"], languages_of(ids))
    four = intervals(copies.metrics, rows_of(ids))["ba"]
    one = intervals(Cells.of(pred, truth, ["a"]).metrics, np.arange(200))["ba"]
    assert four[1] - four[0] == pytest.approx(one[1] - one[0], rel=0.1)  # two bootstraps of 1000 draws


def test_recipes_kind_knows_the_languages_and_the_floor(parallel):
    pred, truth, columns, languages = parallel
    ids = [f"{i // 3}/{language}" for i, language in enumerate(languages)]
    assert target_metrics("binary", pred, truth, columns, ids=ids) == binary_metrics(*parallel)
    floor = constant_metrics("binary", truth, truth, columns, ids)
    assert [floor[name]["ba"] for name in floor] == [0.5, 0.5]
    assert floor["train mean"]["brier"] < 0.25


def test_values_that_are_not_probabilities_or_labels_are_refused():
    with pytest.raises(InvalidOption, match=r"probabilities.* the predictions are -1 to 0\.5"):
        binary_metrics([[-1.0], [0.5]], [[0], [1]], ["a"])
    with pytest.raises(InvalidOption, match=r"labels 0 and 1, not 0\.3"):
        binary_metrics([[0.1], [0.5]], [[0], [0.3]], ["a"])
    with pytest.raises(ValueError, match="finite"):
        binary_metrics([[np.nan], [0.5]], [[0], [1]], ["a"])
    with pytest.raises(ValueError, match=r"are \(N, 2\), N > 0; got \(1, 1\)"):
        binary_metrics([[0.5]], [[1]], ["a", "b"])
    with pytest.raises(ValueError, match="1 languages for 2 clips"):
        binary_metrics([[0.5], [0.5]], [[1], [0]], ["a"], ["en"])

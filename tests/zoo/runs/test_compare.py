"""Bootstrap intervals against scipy's, and the paired difference between runs."""

import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner

from featzoo.cli import zoo
from featzoo.errors import FeatzooError
from featzoo.zoo.runs.compare import compare, intervals
from featzoo.zoo.runs.units import units_of

COLUMNS = 'head = "psa-mf"\n[target]\ncolumns = ["y"]\n[inputs]\n'


def run_folder(path, pred, truth, ids=None):
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text(COLUMNS)
    names = ids or [f"clip{i}" for i in range(len(truth))]
    rows = [f"{n},test,{t!r},{p!r}" for n, t, p in zip(names, truth.tolist(), pred.tolist(), strict=True)]
    (path / "predictions.csv").write_text("\n".join(["id,split,truth,pred", *rows]) + "\n")
    (path / "metrics.json").write_text("{}")
    return path


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    return truth, [truth + rng.normal(size=400) * scale for scale in (0.5, 0.5, 0.8)]


def test_the_interval_is_scipys(noisy):
    """Two percentile bootstraps with other draws: their ends differ by resampling noise, under 3 % of MAE here."""
    truth, (pred, *_) = noisy

    def mae(rows):
        return {"mae": float(np.abs(pred[rows] - truth[rows]).mean())}

    ours = intervals(mae, np.arange(400), resamples=4000)["mae"]
    theirs = scipy.stats.bootstrap(
        (np.abs(pred - truth),), np.mean, n_resamples=4000, method="percentile", rng=1
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), rel=0.03)


def test_nan_resamples_are_left_out():
    pred = np.array([1.0, 1.0, 2.0])

    def correlation(rows):
        return {"corr": float("nan") if np.ptp(pred[rows]) == 0 else 1.0}

    assert intervals(correlation, np.arange(3), resamples=50)["corr"] == (1.0, 1.0)


def test_the_languages_of_a_text_are_drawn_together():
    """What the rows of one unit share has the spread of that many independent values, not of all."""
    units = np.array([3, 0, 1, 2, 0, 3, 1, 2, 0])
    seen = []

    def count(rows):
        seen.append(np.bincount(rows, minlength=9))
        return {"n": float(len(rows))}

    intervals(count, units, resamples=200)
    for times in seen:
        for unit in range(4):
            assert len(set(times[units == unit])) == 1
        drawn = [times[units == unit][0] for unit in range(4)]
        assert sum(drawn) == 4


def test_a_real_difference_is_clear_and_noise_is_not(tmp_path, noisy):
    truth, (good, same, bad) = noisy
    a, b, c = (
        run_folder(tmp_path / name, pred, truth)
        for name, pred in (("a", good), ("b", same), ("c", bad))
    )  # fmt: skip
    better = compare([a], [c])["mae"]
    assert better.a - better.b == pytest.approx(np.abs(good - truth).mean() - np.abs(bad - truth).mean())
    assert better.clear
    assert better.interval[1] < 0
    assert better.p < 0.01
    assert not compare([a], [b])["mae"].clear
    assert compare([a], [b])["mae"].p > 0.05
    nothing = compare([a, b], [b, a])["mae"]
    assert nothing.interval == (0.0, 0.0)
    assert not nothing.clear
    assert nothing.p == 1


def test_pairing_narrows_the_interval(tmp_path, noisy):
    """The same errors but for a small shift: unpaired, the difference would drown."""
    truth, (good, *_) = noisy
    a = run_folder(tmp_path / "a", good, truth)
    b = run_folder(tmp_path / "b", truth + (good - truth) * 1.05, truth)
    assert compare([a], [b])["mae"].clear


def test_other_clips_are_not_comparable(tmp_path, noisy):
    truth, (good, same, _) = noisy
    a = run_folder(tmp_path / "a", good, truth)
    b = run_folder(tmp_path / "b", same, truth, [f"other{i}" for i in range(400)])
    with pytest.raises(FeatzooError, match="do not predict the same clips"):
        compare([a], [b])
    with pytest.raises(FeatzooError, match="no predictions of split 'valid'"):
        compare([a], [a], "valid")
    with pytest.raises(FeatzooError, match="is not a run folder"):
        compare([tmp_path / "nothing"], [a])


def test_clips_of_a_group_are_one_unit_where_there_are_no_speakers():
    ids = ["a", "b", "c"]
    assert str(units_of(ids, {"group": ("x", "x", "y")})) == "2 groups"
    assert str(units_of(ids, {"group": ("x", "x", "y"), "speaker": ("p", "q", "r")})) == "3 speakers"
    assert str(units_of(ids, {"group": ("x", "x", "x")})) == "3 clips"
    assert str(units_of(ids, {"group": ("x", "x", "x"), "speaker": ("p", "p", "p")})) == "3 clips of one speaker"


def test_the_table_shows_p_and_the_number_of_swaps(tmp_path, noisy):
    truth, (good, _, bad) = noisy
    a, b = (run_folder(tmp_path / n, pred[:8], truth[:8]) for n, pred in (("a", good), ("b", bad)))
    done = CliRunner().invoke(zoo, ["compare", str(a), "--against", str(b)])
    assert done.exit_code == 0, done.output
    first, header, *rows = done.output.splitlines()
    assert first.endswith("over 8 clips (1,000 resamples), p from a paired permutation test (all swaps)")
    assert header.split()[-1] == "p"
    assert all(0 < float(row.split()[7]) <= 1 for row in rows if row)


def test_two_folders_of_seeds_are_the_sides_without_more_words(tmp_path, noisy):
    """The same as their runs one by one: of two folders, and of the folders beside --against."""
    truth, (good, same, bad) = noisy
    for side, preds in (("a", (good, same)), ("b", (bad, same))):
        for seed, pred in enumerate(preds):
            run_folder(tmp_path / side / f"s{seed}", pred[:8], truth[:8])
    a, b = tmp_path / "a", tmp_path / "b"
    one_by_one = [str(a / "s0"), str(a / "s1"), "--against", str(b / "s0"), "--against", str(b / "s1")]
    expected = CliRunner().invoke(zoo, ["compare", *one_by_one])
    assert "A (2)" in expected.output
    for words in ([str(a), str(b)], [str(a), "--against", str(b)]):
        assert CliRunner().invoke(zoo, ["compare", *words]).output == expected.output
    alone = CliRunner().invoke(zoo, ["compare", str(a)])
    assert alone.exit_code == 2
    assert "name two runs, or the runs of side B with --against; got 1 run" in alone.output

"""Runs ranked among those that can be compared."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from runs_for_tests import make_run

from featzoo.errors import FeatzooError, InvalidOption
from featzoo.zoo.runs.leaderboard import higher, leaderboards, rows_of

TRUTH = np.arange(6.0)[:, None]
IDS = [f"clip{n}" for n in range(6)]
SHOWN = {"regression": ("mae", "corr")}


def rename(run: Path, recipe: str) -> Path:
    place = run / "recipe.toml"
    place.write_text(place.read_text().replace('name = "lf-dnn"', f'name = "{recipe}"'))
    return run


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two seeds of lf-dnn with MAE 0.5 and 0.7, and one run of tfn with 0.1."""
    one, two, other = (
        make_run(tmp_path / f"run{seed}", IDS, TRUTH, TRUTH + error, seed=seed)
        for seed, error in ((1, 0.5), (2, 0.7), (3, 0.1))
    )
    return [one, two, rename(other, "tfn")]


def test_seeds_are_one_entry_with_mean_and_deviation_and_the_best_is_first(runs: list[Path]) -> None:
    (board,) = leaderboards(runs, "test", "", SHOWN)
    assert [(entry.name, len(entry.runs)) for entry in board.entries] == [("tfn", 1), ("lf-dnn", 2)]
    assert board.entries[1].mean["mae"] == pytest.approx(0.6)
    assert board.entries[1].std["mae"] == pytest.approx(0.2 / np.sqrt(2))  # of two values: their distance / sqrt 2
    assert (board.clips, board.columns) == (6, ("sentiment",))


def test_runs_on_other_clips_are_on_another_board(runs: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", IDS[:5], TRUTH[:5], TRUTH[:5])
    boards = leaderboards([*runs, other], "test", "", SHOWN)
    assert [board.clips for board in boards] == [6, 5]


def test_the_order_of_clips_does_not_matter(runs: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", IDS[::-1], TRUTH[::-1], TRUTH[::-1])
    assert len(leaderboards([*runs, other], "test", "", SHOWN)) == 1


def test_recipes_of_one_name_are_told_apart_by_their_settings(runs: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", IDS, TRUTH, TRUTH)
    place = other / "recipe.toml"
    place.write_text(place.read_text().replace("dropout = 0.2", "dropout = 0.5"))
    (board,) = leaderboards([*runs, other], "test", "", SHOWN)
    assert [entry.name for entry in board.entries] == ["lf-dnn (dropout=0.5)", "tfn", "lf-dnn (dropout=0.2)"]


def test_the_best_of_each_column_is_found_by_its_direction(runs: list[Path]) -> None:
    (board,) = leaderboards(runs, "test", "corr", SHOWN)
    rows, best = rows_of(board, ["mae", "corr"])
    assert rows[0] == ["recipe", "runs", "mae ↓", "corr ↑"]
    assert rows[best[0] or 0][2] == "0.1000"
    assert "0.6000 ± 0.1414" in {row[2] for row in rows}


@pytest.mark.parametrize(
    ("metric", "better"), [("mae", False), ("joy.mae", False), ("corr", True), ("fr.joy.ba", True)]
)
def test_a_metric_of_one_label_is_as_the_metric(metric: str, better: bool) -> None:
    assert higher(metric) is better


def test_an_unknown_metric_is_refused_with_a_suggestion(runs: list[Path]) -> None:
    with pytest.raises(InvalidOption, match="did you mean 'corr'"):
        leaderboards(runs, "test", "cor", SHOWN)


def test_a_split_that_no_run_has_is_refused(runs: list[Path]) -> None:
    with pytest.raises(FeatzooError, match="none of 3 finished runs has predictions of the split 'valid'"):
        leaderboards(runs, "valid", "", SHOWN)


def test_the_folds_of_one_division_are_one_entry(tmp_path: Path) -> None:
    """The mean over folds; a head with a dev split of its own has the same test folds."""
    paths = []
    for fold, clips in ((1, slice(0, 4)), (2, slice(4, 6))):
        for name, dev, error in (("lf-dnn", 0.2, 0.5 * fold), ("tfn", 0.0, 0.1)):
            run = make_run(tmp_path / f"{name}{fold}", IDS[clips], TRUTH[clips], TRUTH[clips] + error)
            place = rename(run, name) / "recipe.toml"
            text = re.sub(r"\n\[split\][^\[]*", "\n", place.read_text())
            place.write_text(f'{text}\n[split]\nby = "clip"\nfolds = 2\nfold = {fold}\ndev = {dev}\n')
            paths.append(run)
    (board,) = leaderboards(paths, "test", "", SHOWN)
    assert board.clips == 6
    assert [(entry.name, len(entry.runs)) for entry in board.entries] == [("tfn", 2), ("lf-dnn", 2)]
    assert board.entries[1].mean["mae"] == pytest.approx(0.75)


def test_a_tracked_run_is_of_the_same_entry(runs: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", IDS, TRUTH, TRUTH + 0.6)
    place = other / "recipe.toml"
    place.write_text(place.read_text().replace("[training]\n", '[training]\ntracker = "wandb"\n'))
    assert 'tracker = "wandb"' in place.read_text()
    (board,) = leaderboards([*runs, other], "test", "", SHOWN)
    assert [(entry.name, len(entry.runs)) for entry in board.entries] == [("tfn", 1), ("lf-dnn", 3)]

"""`zoo runs`, `zoo leaderboard` and `zoo rm`, as a user types them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from runs_for_tests import make_run

from featzoo.cli import zoo

TRUTH = np.arange(6.0)[:, None]
IDS = [f"clip{n}" for n in range(6)]


def run(*words: object) -> Result:
    return CliRunner().invoke(zoo, [str(word) for word in words])


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed, error in ((1, 0.5), (2, 0.7)):
        make_run(tmp_path / "runs" / f"a-s{seed}", IDS, TRUTH, TRUTH + error, seed=seed, store=Path("/data/mosi"))
    return tmp_path / "runs"


def test_runs_lists_each_run_with_its_state(runs: Path) -> None:
    (runs / "a-s2" / "metrics.json").write_text("{")
    shown = run("runs", runs).output
    assert [line.split() for line in shown.splitlines()[:3]] == [
        ["run", "recipe", "data", "metric", "dev", "test", "state"],
        ["a-s1", "lf-dnn", "mosi", "mae", "-", "0.5000", "finished"],
        ["a-s2", "lf-dnn", "mosi", "mae", "-", "-", "damaged"],
    ]
    assert f"{runs / 'a-s2'}: " in shown


def test_an_empty_folder_has_no_runs(tmp_path: Path) -> None:
    assert "no runs in" in run("runs", tmp_path).output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "lf-dnn     2  0.6000 ± 0.1414"),
        (("--format", "markdown"), "| lf-dnn | 2 | 0.6000 ± 0.1414 |"),
        (("--format", "latex"), r"lf-dnn & 2 & 0.6000 $\pm$ 0.1414 &"),
    ],
)
def test_leaderboard_prints_text_markdown_or_latex(words: tuple[str, ...], expected: str, runs: Path) -> None:
    done = run("leaderboard", runs, *words)
    assert done.exit_code == 0, done.output
    assert "mosi, test, 6 clips: sentiment" in done.output
    assert expected in done.output


def test_rm_deletes_nothing_without_yes(runs: Path) -> None:
    shown = run("rm", runs / "a-s1").output
    assert "a-s1: finished, mae 0.5000 on test" in shown
    assert "Nothing was deleted: add --yes" in shown
    assert (runs / "a-s1" / "weights.safetensors").is_file()


def test_rm_with_yes_deletes_the_named_runs(runs: Path) -> None:
    assert run("rm", runs / "a-s1", "--yes").exit_code == 0
    assert [place.name for place in runs.iterdir()] == ["a-s2"]


def test_rm_deletes_no_run_if_one_of_the_names_is_wrong(runs: Path) -> None:
    done = run("rm", runs / "a-s1", runs / "a-s3", "--yes")
    assert done.exit_code == 1
    assert "is not a run folder" in done.output
    assert (runs / "a-s1").is_dir()

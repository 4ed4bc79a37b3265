"""Runs in a folder: found, described and deleted."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from runs_for_tests import make_run

from featzoo.errors import FeatzooError
from featzoo.zoo.runs.listing import check_removable, find_runs, list_run, remove_run

TRUTH = np.arange(6.0)[:, None]
IDS = [f"clip{n}" for n in range(6)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "one", IDS, TRUTH, TRUTH + 0.5, store=Path("/data/mosi"))


def test_runs_are_found_in_inner_folders_but_not_in_hidden_ones(run: Path) -> None:
    inner = make_run(run.parent / "seeds" / "a-s1", IDS, TRUTH, TRUTH)
    make_run(run.parent / ".deleted-1", IDS, TRUTH, TRUTH)
    assert find_runs(run.parent) == [run, inner]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FeatzooError, match="there is no folder"):
        find_runs(tmp_path / "none")


def test_a_finished_run_is_listed_with_its_data_and_metrics(run: Path) -> None:
    found = list_run(run)
    assert (found.recipe, found.data, found.state, found.detail) == ("lf-dnn", "mosi", "finished", "")
    assert found.metrics["test"]["mae"] == 0.5


def test_a_run_without_metrics_is_training_until_its_log_is_old(run: Path) -> None:
    (run / "metrics.json").unlink()
    os.utime(run / "metrics.jsonl")
    assert list_run(run).state == "training"
    hour_ago = time.time() - 3600
    os.utime(run / "metrics.jsonl", (hour_ago, hour_ago))
    assert (list_run(run).state, list_run(run).detail) == ("stopped", "2 epochs")
    (run / "resume.pt").touch()
    assert list_run(run).detail == "2 epochs; it can be resumed"


@pytest.mark.parametrize("name", ["recipe.toml", "metrics.json", "environment.json"])
@pytest.mark.parametrize("content", [b"", b"{]", b"\xff\xfe", b"[]", b"{}"])
def test_a_damaged_run_is_listed_with_the_reason(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    found = list_run(run)
    assert found.state == "damaged"
    assert found.detail


def test_a_removed_run_leaves_nothing_and_others_alone(run: Path) -> None:
    other = make_run(run.parent / "other", IDS, TRUTH, TRUTH)
    remove_run(run)
    assert list(run.parent.iterdir()) == [other]
    assert list_run(other).state == "finished"


def test_a_folder_that_is_not_a_run_is_not_removed(run: Path) -> None:
    with pytest.raises(FeatzooError, match="is not a run folder"):
        remove_run(run.parent)
    assert list_run(run).state == "finished"


def test_a_run_that_holds_other_runs_is_not_removed(run: Path) -> None:
    make_run(run / "more" / "inner", IDS, TRUTH, TRUTH)
    with pytest.raises(FeatzooError, match="holds other runs"):
        check_removable(run)


def test_a_link_to_a_run_is_not_removed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(FeatzooError, match="is a link"):
        remove_run(tmp_path / "link")
    shutil.rmtree(run)

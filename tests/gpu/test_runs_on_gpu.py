"""Runs on a GPU: resumed with the same digits, two at a time on one device, and batches that do not fit."""

import json
import subprocess
import sys

import pytest
import torch
from zoo.conftest import SMALL

from featzoo.errors import FeatzooError
from featzoo.zoo.runs.run import resume_run, train_recipe
from featzoo.zoo.training import loop

pytestmark = pytest.mark.gpu

LONGER = SMALL | {"training.epochs": 4, "training.checkpoint_seconds": 0}

TRAINING = """
import json, sys
from pathlib import Path
from featzoo.zoo.runs.run import train_recipe

store, runs, changes, device, name = sys.argv[1:]
train_recipe("psa-mf", Path(store), Path(runs), json.loads(changes), device, folder=name)
"""


class Stopped(Exception):
    """Ends a training in the middle."""


def test_a_stopped_run_goes_on_with_the_same_digits(small_store, tmp_path, device, monkeypatch):
    whole = train_recipe("psa-mf", small_store, tmp_path, LONGER, device)
    epoch, count = loop.one_epoch, iter(range(9))

    def stops(*arguments):
        if next(count) == 2:
            raise Stopped
        return epoch(*arguments)

    monkeypatch.setattr(loop, "one_epoch", stops)
    with pytest.raises(Stopped):
        train_recipe("psa-mf", small_store, tmp_path, LONGER, device, folder="stopped")
    monkeypatch.undo()
    resumed = resume_run(tmp_path / "stopped", device)
    assert resumed.metrics == whole.metrics
    ours, theirs = ((path / "predictions.csv").read_bytes() for path in (resumed.path, whole.path))
    assert ours == theirs


def test_two_processes_on_one_device_do_not_disturb_each_other(small_store, tmp_path, device):
    command = [sys.executable, "-c", TRAINING, str(small_store), str(tmp_path), json.dumps(SMALL), device]
    both = [subprocess.Popen([*command, name]) for name in ("one", "two")]
    assert [process.wait(300) for process in both] == [0, 0]
    one, two = ((tmp_path / name / "predictions.csv").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_batch_that_does_not_fit_names_the_settings(small_store, tmp_path, device, monkeypatch):
    def full(*arguments):
        if device == "cpu":
            raise torch.OutOfMemoryError("made up")
        torch.empty(1 << 50, dtype=torch.uint8, device=device)

    monkeypatch.setattr(loop, "one_epoch", full)
    with pytest.raises(FeatzooError, match=r"a batch of 8 clips does not fit .*: lower training.batch_size"):
        train_recipe("psa-mf", small_store, tmp_path, SMALL, device)

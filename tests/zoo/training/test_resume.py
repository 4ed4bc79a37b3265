"""A killed training goes on, and ends with the same digits as one that was never killed."""

import json
import os
import signal
import time

import pytest
import torch
from forks import forks

from featzoo.errors import FeatzooError, TrainingStopped
from featzoo.zoo.runs.run import resume_run, train_recipe
from featzoo.zoo.training import loop
from featzoo.zoo.training.checkpoint import Checkpoint, Trained
from featzoo.zoo.training.interruption import saves_before_stopping
from zoo.conftest import SMALL

SLOW = SMALL | {
    "training.epochs": 5, "training.checkpoint_seconds": 0, "training.schedule": "plateau", "training.average": 0.9,
}  # fmt: skip

# Dies for good while its third epoch is under way.
KILLED = """
import os, signal
import matplotlib.pyplot, torch, torch.utils.tensorboard
from pathlib import Path
from featzoo.weights.imports import transformers_module
from featzoo.zoo.training import loop
from featzoo.zoo.runs.run import train_recipe

transformers_module().BertModel
torch.set_num_threads(1)
whole, count = loop.one_epoch, 0
def dies(*arguments):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
loop.one_epoch = dies

def deed(store, runs, changes):
    train_recipe("psa-mf", Path(store), Path(runs), changes, "cpu", folder="killed")
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Sums of float32 depend on how many threads share them; other tests change the number in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(small_store, tmp_path_factory):
    return train_recipe("psa-mf", small_store, tmp_path_factory.mktemp("whole"), SLOW, "cpu")


@pytest.fixture(scope="module")
def trainings():
    with forks(KILLED) as processes:
        yield processes


def test_a_killed_run_ends_as_if_it_had_not_been(small_store, uninterrupted, trainings, tmp_path):
    assert trainings.run(str(small_store), str(tmp_path), SLOW) == -signal.SIGKILL
    run = tmp_path / "killed"
    assert (run / "resume.pt").is_file()
    assert not (run / "metrics.json").exists()
    resumed = resume_run(run, "cpu")
    assert resumed.metrics == uninterrupted.metrics
    assert (resumed.best_epoch, resumed.epochs) == (uninterrupted.best_epoch, 5)
    ours, theirs = (
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]
        for path in (run / "metrics.jsonl", uninterrupted.path / "metrics.jsonl")
    )
    assert ours == theirs
    assert len(ours) == 5
    assert (run / "predictions.csv").read_bytes() == (uninterrupted.path / "predictions.csv").read_bytes()
    assert not (run / "resume.pt").exists()
    with pytest.raises(FeatzooError, match="is finished: there is nothing to resume"):
        resume_run(run, "cpu")


def test_without_a_kept_state_it_starts_over(small_store, uninterrupted, trainings, tmp_path):
    changes = SLOW | {"training.checkpoint_seconds": 1000}
    assert trainings.run(str(small_store), str(tmp_path), changes) == -signal.SIGKILL
    run = tmp_path / "killed"
    assert not (run / "resume.pt").exists()
    assert resume_run(run, "cpu").metrics == uninterrupted.metrics
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 5


@pytest.fixture
def signals_in_the_third_epoch(monkeypatch):
    """Sends these signals to this process amid the third epoch of the next training."""
    whole, count, sent = loop.one_epoch, 0, []

    def epoch(*arguments):
        nonlocal count
        count += 1
        for number in sent if count == 3 else ():
            os.kill(os.getpid(), number)
        return whole(*arguments)

    monkeypatch.setattr(loop, "one_epoch", epoch)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background ignores it
    yield sent
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_for_the_epoch_and_saves_its_state(
    small_store, uninterrupted, tmp_path, signals_in_the_third_epoch, capfd
):
    signals_in_the_third_epoch.append(signal.SIGINT)
    changes = SLOW | {"training.checkpoint_seconds": 1000}
    with pytest.raises(TrainingStopped) as stopped:
        train_recipe("psa-mf", small_store, tmp_path, changes, "cpu", folder="stopped")
    assert (stopped.value.run, stopped.value.saved) == (tmp_path / "stopped", 3)
    assert "stopping after this epoch" in capfd.readouterr().err
    assert resume_run(tmp_path / "stopped", "cpu").metrics == uninterrupted.metrics


def test_a_second_signal_or_a_saved_state_stops_at_once(small_store, tmp_path, signals_in_the_third_epoch):
    signals_in_the_third_epoch += [signal.SIGINT]
    with pytest.raises(TrainingStopped) as stopped:  # every epoch is saved
        train_recipe("psa-mf", small_store, tmp_path, SLOW, "cpu", folder="saved")
    assert stopped.value.saved == 2
    checkpoint = Checkpoint(tmp_path / "resume.pt", 1000)
    checkpoint._offered = 1
    with saves_before_stopping(checkpoint):
        signal.raise_signal(signal.SIGINT)
        assert checkpoint.stop == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_folders_that_are_not_stopped_runs_are_refused(small_store, small_run, tmp_path):
    with pytest.raises(FeatzooError, match="not a run folder"):
        resume_run(tmp_path)
    with pytest.raises(FeatzooError, match="already holds a run"):
        train_recipe("psa-mf", small_store, small_run.path.parent, SMALL, "cpu", folder=small_run.path.name)


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "resume.pt").write_bytes(b"PK\x03\x04 not much")
    with pytest.raises(FeatzooError, match=r"resume\.pt is damaged"):
        Checkpoint(tmp_path / "resume.pt", 0).load()


def test_a_state_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"stage": Evil()}, tmp_path / "resume.pt")
    with pytest.raises(FeatzooError, match="damaged"):
        Checkpoint(tmp_path / "resume.pt", 0).load()
    assert not (tmp_path / "made").exists()


def test_the_state_is_kept_no_more_often_than_asked(tmp_path):
    class State:
        result = Trained()

        def state(self):
            return {"at": time.monotonic(), "own": [{}]}

    kept = Checkpoint(tmp_path / "resume.pt", 1000)
    kept.offer(State())
    assert kept.load() is None
    kept = Checkpoint(tmp_path / "resume.pt", 0)
    kept.offer(State())
    assert kept.load()["at"] > 0
    assert [p.name for p in tmp_path.iterdir()] == ["resume.pt"]

"""Commands that end early say why in a sentence: closed pipes, signals, and errors of the operating system."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import EXAMPLES, TESTS
from forks import forks

from featzoo import Clip, FeatureSequence, FeatureStore
from featzoo.cli import feat, zoo
from featzoo.commands.ending import status_of_parts
from featzoo.zoo.training import loop

RECIPE = """
head = "heads_for_tests:MeanHead"
inputs.audio = { features = ["x"] }
target.columns = ["sentiment"]
training.epochs = 2
training.checkpoint_seconds = 0
"""


def start(program, *words, **options):
    # A test run in the background of a shell ignores SIGINT, and so would the command.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from featzoo.cli import {program}; {program}()"
    # A limit on files would cut compiled modules short, for all later tests.
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONUNBUFFERED", None)
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], text=True, env=environment,
                            stderr=subprocess.PIPE, **options)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of 300 clips with labels, and a recipe."""
    made = tmp_path_factory.mktemp("ending")
    rng = np.random.default_rng(0)
    times = np.array([[0.0, 1.0]])
    names = {f"clip{number:03}": ("train", "valid", "test")[number % 3] for number in range(300)}
    store = FeatureStore.create(made / "features")
    store.add("x", {name: FeatureSequence(rng.normal(size=(1, 2)), times, ("a", "b")) for name in names})
    store.record([Clip(name, split=split, labels={"sentiment": 1.0}) for name, split in names.items()])
    (made / "mine.toml").write_text(RECIPE, encoding="utf-8")
    return made


def test_a_closed_pipe_ends_a_command_silently(folder):
    """As `feat ls x | head -1`; 128 + SIGPIPE is the status that shells report."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        running = start("feat", "ls", "x", "-o", folder / "features", stdout=pipe)
    _, said = running.communicate()
    assert (running.returncode, said) == (128 + signal.SIGPIPE, "")


def test_an_output_on_a_full_disk_is_a_sentence(folder):
    with Path("/dev/full").open("w") as full:
        running = start("feat", "ls", "x", "-o", folder / "features", stdout=full)
    _, said = running.communicate()
    assert running.returncode == 1
    assert said.startswith("error: No space left on device (the disk is full")
    assert said.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_extraction_with_a_sentence_and_without_processes(tmp_path, number):
    running = start("feat", "extract", EXAMPLES, "-x", "egemaps", "-j", "2", "-o", tmp_path / "f",
                    stdout=subprocess.PIPE, start_new_session=True)  # fmt: skip
    assert running.stdout.readline()
    running.send_signal(number)
    _, said = running.communicate()
    assert running.returncode == 128 + number
    assert said.strip() == "stopped. Finished work is kept; run the same command again to continue."
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)
    assert not list(tmp_path.rglob("*.tmp"))


TRAIN = """
import os, resource
import accelerate, matplotlib.pyplot, torch, torch.utils.tensorboard
import featzoo.zoo.runs.run
from featzoo.cli import feat, zoo
from featzoo.commands.ending import status_of_parts

def deed(limit, *words):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    zoo(words)
"""


@pytest.fixture(scope="module")
def trained(folder):
    """Train with a limit on the size of files, or none: the exit status, and the lines on stderr."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
    into, out = os.pipe()
    with forks(TRAIN, stderr=out, env=environment) as trainings:
        os.close(out)

        def train(runs, limit):
            words = ["train", folder / "mine.toml", "--store", folder / "features", "--runs", runs, "--device", "cpu"]
            status = trainings.run(limit, *map(str, words))
            return status, os.read(into, 1 << 16).decode().splitlines()

        yield train
    os.close(into)


@pytest.mark.parametrize("limit", [100, 900, 30_000])
def test_a_training_that_cannot_write_is_a_sentence(trained, tmp_path, limit):
    """A limit on the size of files fails as a full disk does, at the first file, amid the training and at its end."""
    status, said = trained(tmp_path / "runs", limit)
    assert status == 1
    assert said[-1].startswith(f"error: cannot write to {tmp_path / 'runs'}")
    assert said[-1].endswith("File too large")
    assert not [line for line in said if "Traceback" in line or "Exception" in line]
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_of_runs_that_cannot_be_made_is_a_sentence(trained, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    status, said = trained(tmp_path / "file" / "runs", 0)
    assert status == 1
    assert said[-1].startswith(f"error: cannot write to {tmp_path / 'file' / 'runs'}")
    assert said[-1].endswith("Not a directory")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_training_prints_the_command_that_resumes_it(folder, tmp_path, monkeypatch, number):
    """The printed command is run as it is; it gives what an uninterrupted training gives."""
    whole, started = loop.one_epoch, []

    def epoch(*arguments):
        started.append(1)
        if len(started) == 2:
            os.kill(os.getpid(), number)
        return whole(*arguments)

    def run(*words):
        return CliRunner().invoke(zoo, list(map(str, words)))

    words = ["train", folder / "mine.toml", "--store", folder / "features", "--device", "cpu", "--runs"]
    assert run(*words, tmp_path / "whole").exit_code == 0
    monkeypatch.setattr(loop, "one_epoch", epoch)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = run(*words, tmp_path / "with space", "--set", "training.checkpoint_seconds=1000")
    signal.signal(signal.SIGINT, before)
    assert done.exit_code == 128 + number, done.output
    said, command = done.output.splitlines()[-2:]
    assert said == "stopped: the state after epoch 2 is saved. To continue:"
    resumed = run(*shlex.split(command)[1:])
    assert resumed.exit_code == 0, resumed.output
    (ours,), (theirs,) = ((tmp_path / name).glob("*/predictions.csv") for name in ("with space", "whole"))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(("done", "failed", "status"), [(0, 0, 0), (2, 0, 0), (2, 1, 1), (0, 1, 3)])
def test_the_status_tells_nothing_failed_from_some_and_from_all(done, failed, status):
    assert status_of_parts(done, failed) == status


@pytest.mark.parametrize(
    ("program", "words", "status"),
    [(zoo, "predict emotion {}", 3), (zoo, "predict emotion {} --hop 1", 2), (feat, "transcribe {}", 3)],
)
def test_an_error_before_anything_is_done_has_status_3_and_a_wrong_request_2(program, words, status, tmp_path):
    done = CliRunner().invoke(program, words.format(tmp_path).split())
    assert done.exit_code == status, done.output
    assert done.output.count("error: ") == 1

"""One training by two processes, on the CPU over gloo: one run, one process's result, nobody waits for the dead."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forks import forks

from featzoo.errors import FeatzooError, InvalidOption
from featzoo.weights.imports import transformers_module
from featzoo.zoo.runs.run import resume_run, train_recipe
from featzoo.zoo.runs.trials import run_trials
from zoo.conftest import SMALL, WORDS, fill, make_clips, sets_for

CHANGES = SMALL | {
    "training.epochs": 4, "training.checkpoint_seconds": 0, "training.gradient_checkpointing": True,
    "options.frozen_layers": 1,
}  # fmt: skip
# Terms that compare clips, and what training remembers of earlier ones, are of the clips of both processes.
STILL = SMALL | {"training.epochs": 3, "options.dropout": 0.0}
STILL_BASELINE = {"training.epochs": 3, "training.batch_size": 8, "options.dropout": 0.0}
STILLS = {
    "psa-mf": STILL | {"options.modulation": 0.5},
    "misa": STILL_BASELINE | {"options.attention_dropout": 0.0},
    "mmim": STILL_BASELINE,
    "self-mm": STILL_BASELINE,
}

TRAIN = """
import json, os, signal, sys
from pathlib import Path
from featzoo.zoo.training import loop
from featzoo.zoo.runs.run import train_recipe

store, runs, trainings, dies_in_epoch = json.loads(sys.argv[1])
whole, count = loop.one_epoch, 0
def one_epoch(*arguments):
    global count
    count += 1
    if count == dies_in_epoch and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
loop.one_epoch = one_epoch
for folder, (recipe, changes) in trainings.items():
    train_recipe(recipe, Path(store), Path(runs), changes, "cpu", folder=folder)
"""


def launch(*command):
    """Two processes of a script, as torchrun and accelerate start them."""
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    # In a session of its own: on a busy machine a launch that takes too long is ended with the processes that it began.
    with subprocess.Popen(
        started, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(started, process.returncode, out, err)


def log(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The small store, whose BERT has no dropout."""
    transformers = transformers_module()
    folder = tmp_path_factory.mktemp("still")
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder / "bert")
    clips = make_clips()
    fill(folder / "features", clips, sets_for(clips), folder / "bert")
    return folder / "features"


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    """The folder of trainings by two processes, of which the last was killed in its third epoch."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "train.py").write_text(TRAIN)
    trainings = {f"still-{recipe}": (recipe, changes) for recipe, changes in STILLS.items()}
    trainings |= dict.fromkeys(("whole", "killed"), ("psa-mf", CHANGES))
    epochs = 3 * len(STILLS) + 4 + 3
    done = launch(str(folder / "train.py"), json.dumps([str(store), str(folder), trainings, epochs]))
    assert done.returncode == 1
    assert "Signal 9" in done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("recipe", STILLS)
def test_two_processes_train_as_one_does(recipe, trained, store, tmp_path):
    """The same batches, each shared out. Gradients are then sums in another order: Adam, whose steps do not shrink with
    the gradient, turns differences of 1e-7 into some 1e-4 of the weights' steps within 9 steps."""
    alone = train_recipe(recipe, store, tmp_path, STILLS[recipe], "cpu")
    two = json.loads((trained / f"still-{recipe}" / "metrics.json").read_text())
    assert two["splits"]["test"]["head"]["mae"] == pytest.approx(alone.metrics["test"]["mae"], rel=1e-4)
    assert two["best_epoch"] == alone.best_epoch
    ours, theirs = log(trained / f"still-{recipe}"), log(alone.path)
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs, strict=True):
        assert one["losses"] == pytest.approx(other["losses"], rel=1e-4)
        assert one["dev_mae"] == pytest.approx(other["dev_mae"], rel=1e-4)


@pytest.mark.slow
def test_there_is_one_run(trained):
    stills = [f"still-{recipe}" for recipe in STILLS]
    assert sorted(path.name for path in trained.iterdir()) == ["killed", *sorted(stills), "train.py", "whole"]
    assert not [path.name for path in (trained / "whole").iterdir() if "resume" in path.name]
    assert [epoch["epoch"] for epoch in log(trained / "whole")] == [1, 2, 3, 4]
    assert json.loads((trained / "whole" / "environment.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_a_killed_process_ends_the_training_and_two_go_on_with_it(trained):
    """Dropout in the head is drawn by each process for itself: its state is part of what is kept."""
    run = trained / "killed"
    assert not (run / "metrics.json").exists()
    with pytest.raises(FeatzooError, match="is of a training by 2 processes, not 1: go on with 2"):
        resume_run(run, "cpu")
    done = launch(str(Path(sys.executable).with_name("zoo")), "train", "--resume", str(run), "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run: ") == 1
    assert log(run) == log(trained / "whole")
    assert (run / "predictions.csv").read_bytes() == (trained / "whole" / "predictions.csv").read_bytes()


# The same without torchrun, which needs three imports of torch a time: forks of one process.
FORKED = """
import os, signal, socket
from pathlib import Path
import matplotlib.pyplot, torch, torch.utils.tensorboard
from featzoo.weights.imports import transformers_module
from featzoo.zoo.training import loop
from featzoo.zoo.runs.run import resume_run, train_recipe

transformers_module().BertModel

def rank(number, port, work):
    torch.set_num_threads(1)
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2",
                      MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)

def deed(store, folder, changes, dies_in_epoch):
    whole, count = loop.one_epoch, 0
    def one_epoch(*arguments):
        nonlocal count
        count += 1
        if count == dies_in_epoch and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments)
    loop.one_epoch = one_epoch
    def work():
        if changes is None:
            resume_run(Path(folder), "cpu")
        else:
            train_recipe("psa-mf", Path(store), Path(folder).parent, changes, "cpu", folder=Path(folder).name)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ranks = []
    for number in range(2):
        ranks.append(os.fork())
        if ranks[-1] == 0:
            rank(number, port, work)
    ended, status = os.wait()
    if status:
        (other,) = {*ranks} - {ended}
        os.kill(other, signal.SIGTERM)
    os.wait()
    os._exit(bool(status))
"""


def test_two_processes_make_one_run_and_go_on_with_one_that_was_killed(store, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with forks(FORKED) as trainings:
        assert trainings.run(str(store), str(whole), CHANGES, 0) == 0
        assert trainings.run(str(store), str(killed), CHANGES, 3) == 1
        assert not (killed / "metrics.json").exists()
        with pytest.raises(FeatzooError, match="is of a training by 2 processes, not 1: go on with 2"):
            resume_run(killed, "cpu")
        assert trainings.run(str(store), str(killed), None, 0) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
    assert not [path.name for path in whole.iterdir() if "resume" in path.name]
    assert json.loads((whole / "environment.json").read_text())["processes"] == 2
    assert [epoch["epoch"] for epoch in log(whole)] == [1, 2, 3, 4]
    assert log(killed) == log(whole)
    assert (killed / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()


def test_several_trainings_do_not_share_processes(store, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidOption, match="cannot share processes"):
        run_trials("psa-mf", store, tmp_path, {"full model": SMALL}, [1])

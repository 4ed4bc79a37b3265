"""A run of a stranger: its code is imported only on the user's word, and each of its files is read with care."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import sys
import zipfile

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from featzoo import Clip, FeatureSequence, FeatureStore, load_head
from featzoo.cli import zoo
from featzoo.errors import FeatzooError, UntrustedRun
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.run import resume_run, train_recipe
from featzoo.zoo.training.checkpoint import Checkpoint

HEAD = "heads_for_tests:MeanHead"
RECIPE = f"""
head = "{HEAD}"
inputs.audio = {{ features = ["x"], standardise = true }}
target.columns = ["sentiment"]
training.epochs = 1
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose head is a class of the user's own."""
    folder = tmp_path_factory.mktemp("trust")
    rng = np.random.default_rng(0)
    store = FeatureStore.create(folder / "store")
    splits = dict(zip("abcdefghi", ["train"] * 5 + ["valid"] * 2 + ["test"] * 2, strict=True))
    rows = {
        name: FeatureSequence(rng.normal(size=(3, 2)).astype("f4"), np.full((3, 2), np.nan), ("a", "b"))
        for name in splits
    }
    store.add("x", rows)
    store.record([Clip(name, split=split, labels={"sentiment": rng.normal()}) for name, split in splits.items()])
    (folder / "mine.toml").write_text(RECIPE, encoding="utf-8")
    return train_recipe(folder / "mine.toml", folder / "store", folder / "runs", device="cpu").path


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Another user, who has trained nothing and has not imported the class."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delitem(sys.modules, "heads_for_tests", raising=False)


def test_ones_own_run_needs_no_trust(copy):
    load_head(copy)
    assert evaluate_run(copy, device="cpu").stored is not None


@pytest.mark.hostile
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("use", [load_head, evaluate_run, resume_run])
def test_code_of_a_stranger_is_not_imported(copy, use):
    if use is resume_run:
        (copy / "metrics.json").unlink()
    with pytest.raises(UntrustedRun, match=f"{HEAD}.*pass trust=True"):
        use(copy)
    assert "heads_for_tests" not in sys.modules


@pytest.mark.usefixtures("elsewhere")
def test_the_users_word_counts_from_then_on(copy):
    words = ["evaluate", str(copy), "--device", "cpu"]
    refused = CliRunner().invoke(zoo, words)
    assert refused.exit_code == 1
    assert "add --trust" in refused.output
    assert CliRunner().invoke(zoo, [*words, "--trust"], catch_exceptions=False).exit_code == 0
    assert CliRunner().invoke(zoo, words, catch_exceptions=False).exit_code == 0


@pytest.mark.usefixtures("elsewhere")
def test_a_set_that_names_a_class_is_code_too(copy):
    (copy / "recipe.toml").write_text(RECIPE.replace(HEAD, "mean"), encoding="utf-8")
    features = json.loads((copy / "features.json").read_text(encoding="utf-8"))
    features["sets"]["audio"] |= {"request": "this:Antigravity"}
    features["sets"]["audio"]["spec"]["reads"] = ["audio"]
    (copy / "features.json").write_text(json.dumps(features), encoding="utf-8")
    with pytest.raises(UntrustedRun, match="this:Antigravity"):
        load_head(copy)


def _features(**changes):
    def write(run):
        features = json.loads((run / "features.json").read_text(encoding="utf-8"))
        features["sets"]["audio"] |= {key: value for key, value in changes.items() if key != "assets"}
        features["assets"] = changes.get("assets", features["assets"])
        (run / "features.json").write_text(json.dumps(features), encoding="utf-8")

    return write


def _file(name, content):
    return lambda run: (run / name).write_bytes(content)


def _other_weights(run):
    weights = load_file(run / "weights.safetensors")
    save_file({name: torch.zeros(3, 3) for name in weights}, run / "weights.safetensors")


HEADER = json.dumps({"out.weight": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 1 << 40]}}).encode()
HOSTILE = {
    "a huge header": _file("weights.safetensors", struct.pack("<Q", 1 << 62) + b"{}"),
    "offsets outside the file": _file("weights.safetensors", struct.pack("<Q", len(HEADER)) + HEADER),
    "no weights": _file("weights.safetensors", b""),
    "weights of another head": _other_weights,
    "a width of terabytes": _features(width=1 << 40),
    "a width of gigabytes": _features(width=1 << 30),
    "a width that is text": _features(width="2"),
    "a set that is a list": _features(spec=[]),
    "an asset of the machine": _features(assets=["../../../../../../../../etc/hostname"]),
    "assets that are a number": _features(assets=5),
    "nested JSON": _file("features.json", b"[" * 100_000),
    "JSON that is a list": _file("features.json", b"[]"),
    "statistics with a huge header": _file("statistics.safetensors", struct.pack("<Q", 1 << 62) + b"{}"),
    "metrics that are text": _file("metrics.json", b'{"seconds": 1, "splits": {"test": {"head": {"mae": "x"}}}}'),
    "metrics without splits": _file("metrics.json", b"{}"),
    "predictions that are text": _file("predictions.csv", b"id,split,truth,pred\na,test,x,y\n"),
    "predictions without columns": _file("predictions.csv", b"id,split\na,test\n"),
    "predictions in one cell": _file("predictions.csv", b"id,split,truth,pred\n" + b"a" * 1_000_000),
    "an environment without a store": _file("environment.json", b"{}"),
    "a recipe of nested lists": _file("recipe.toml", b"x = " + b"[" * 100_000),
    "a recipe that is not text": _file("recipe.toml", b"\xff\xfe"),
}


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_of_a_run_ends_in_a_sentence(copy, name):
    HOSTILE[name](copy)
    done = CliRunner().invoke(zoo, ["evaluate", str(copy), "--device", "cpu"])
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 1, done.output
    assert done.output.startswith("error: ")


class BytesOfANumber:
    def __reduce__(self):
        return (bytearray, (3_900_000_000,))


def test_a_checkpoint_takes_no_more_memory_than_it_has_bytes(tmp_path):
    place = tmp_path / "resume.pt"
    torch.save({"own": BytesOfANumber()}, place)
    with pytest.raises(FeatzooError, match="not a file of torch"):
        Checkpoint(place, 0).load()
    torch.save({"own": [torch.zeros(1 << 20)]}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in plain.namelist():
            packed.writestr(member, plain.read(member))
    with pytest.raises(FeatzooError, match="not a file of torch"):
        Checkpoint(place, 0).load()
    place.write_bytes(pickle.dumps({"own": []}))
    with pytest.raises(FeatzooError, match=r"resume\.pt is damaged"):
        Checkpoint(place, 0).load()
    out = io.BytesIO()
    torch.save([1, 2], out)
    place.write_bytes(out.getvalue())
    with pytest.raises(FeatzooError, match=r"resume\.pt is damaged"):
        Checkpoint(place, 0).load()

"""`feat import` and `feat export`: exit statuses, what they say, and that a dry run writes nothing."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import Clip, FeatureStore
from featzoo.cli import feat


def run(*arguments, status=0):
    """The command's output (stdout and stderr); it must end with `status` and without a traceback."""
    result = CliRunner().invoke(feat, [str(each) for each in arguments])
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


def tree(folder):
    """Every file below a folder with its content."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


@pytest.fixture
def files(tmp_path):
    """One file of each format: the third clip of each has an audio (or entry) of a wrong shape."""
    rng = np.random.default_rng(0)
    audio = np.empty(3, dtype=object)
    audio[:] = [rng.normal(size=(4, 5)), rng.normal(size=(2, 5)), rng.normal(size=(2, 6))]
    audio[0][1, 1] = -np.inf
    text, ids = rng.normal(size=(3, 4, 8)), ["a$_$1", "a$_$2", "b$_$1"]
    part = {"id": ids, "raw_text": ["so good"] * 3, "text": text, "audio": audio}
    (tmp_path / "mmsa.pkl").write_bytes(pickle.dumps({"train": {**part, "regression_labels": [1.0, 0.0, -2.0]}}))
    (tmp_path / "mult.pkl").write_bytes(pickle.dumps({"train": {**part, "labels": np.zeros((3, 1, 1))}}))
    with h5py.File(tmp_path / "x.csd", "w") as file:
        for entry, rows in zip(ids, audio, strict=True):
            file[f"COVAREP/data/{entry}/features"] = rows
            file[f"COVAREP/data/{entry}/intervals"] = np.arange(len(rows))[:, None] + np.array([[0.0, 1.0]])
        file["COVAREP/metadata/root name"] = np.array([json.dumps("COVAREP")], dtype=h5py.string_dtype())
    return tmp_path


@pytest.mark.parametrize(("kind", "name"), [("mmsa", "mmsa.pkl"), ("mult", "mult.pkl"), ("csd", "x.csd")])
def test_a_dry_run_says_what_the_import_then_does_and_writes_nothing(files, kind, name):
    before = tree(files)
    dry = run("import", kind, files / name, "-o", files / "s", "--dry-run", status=1).splitlines()
    assert tree(files) == before
    assert not (files / "s").exists()
    assert dry[0] == "dry run: nothing is written. It would be:"
    wet = run("import", kind, files / name, "-o", files / "s", status=1).splitlines()
    assert wet == dry[1:]
    audio = next(line for line in wet if "x 5 columns" in line)
    assert audio.endswith("2 clips x 5 columns, 1 refused")
    assert FeatureStore(files / "s").find(audio.partition(":")[0]).ids() == ["a$_$1", "a$_$2"]
    assert "    1 infinite value became NaN (not observed)" in wet
    assert any(line.startswith("    refused b$_$1: ") and "6" in line for line in wet)
    if kind != "csd":
        assert wet[0] == "clips: 3 (3 train)"


def test_a_dry_run_leaves_a_store_as_it_was(files):
    run("import", "mmsa", files / "mmsa.pkl", "-o", files / "s", status=1)
    before = tree(files / "s")
    run("import", "mult", files / "mult.pkl", "-o", files / "s", "--dry-run", status=1)
    assert tree(files / "s") == before
    (files / "other").mkdir()
    (files / "other" / "mine.txt").write_text("mine")
    assert "is not a feature store" in run(
        "import", "mult", files / "mult.pkl", "-o", files / "other", "--dry-run", status=1
    )


def test_a_whole_file_ends_with_0_and_options_name_things(files):
    content = {
        "dev": {"id": ["a"], "audio": np.ones((1, 2, 3)), "regression_labels": [0.5], "text_bert": np.ones((1, 3, 2))}
    }
    (files / "good.pkl").write_bytes(pickle.dumps(content))
    options = ("--name", "my", "--label", "joy", "--model", "folder/bert")
    run("import", "mmsa", files / "good.pkl", "-o", files / "s", *options)
    store = FeatureStore(files / "s")
    assert [found.name for found in store.sets()] == ["my-audio", "my-ids"]
    assert store["my-ids"].provenance["model"] == "folder/bert"
    assert store.clips()["a"].labels == {"joy": 0.5}
    content["dev"]["labels"] = np.ones((1, 1, 2))
    (files / "mult.pkl").write_bytes(pickle.dumps(content))
    run("import", "mult", files / "mult.pkl", "-o", files / "m", "--labels", "valence, arousal")
    assert FeatureStore(files / "m").clips()["a"].labels == {"valence": 1.0, "arousal": 1.0}


@pytest.mark.parametrize("kind", ["mmsa", "mult", "csd"])
def test_an_unreadable_file_is_one_line_and_status_1(tmp_path, kind):
    (tmp_path / "page.pkl").write_text("<!DOCTYPE html>")
    said = run("import", kind, tmp_path / "page.pkl", "-o", tmp_path / "s", status=1)
    assert said.startswith("error: ")
    assert "download" in said
    assert run("import", kind, tmp_path / "none.pkl", "-o", tmp_path / "s", status=1).startswith("error: ")
    assert not (tmp_path / "s").exists()


class Runs:
    def __reduce__(self):
        return open, ("ran.txt", "w")


@pytest.mark.hostile
def test_a_hostile_pickle_is_named_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.pkl").write_bytes(pickle.dumps({"train": {"audio": Runs()}}))
    assert f"x.pkl: it asks for {open.__module__}.open" in run("import", "mmsa", "x.pkl", status=1)
    assert not Path("ran.txt").exists()


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    made.record([Clip(name, split="train", labels={"sentiment": 1.0}) for name in ("a", "b")])
    for key in ("text", "audio", "vision"):
        made.add(f"my-{key}", {name: np.ones((3, 2), np.float32) for name in ("a", "b")})
    made.add("my-ids", {name: np.ones((3, 1), np.int64) for name in ("a", "b")})
    return tmp_path


SETS = ("--text", "my-text", "--audio", "my-audio", "--vision", "my-vision")


@pytest.mark.parametrize(
    "arguments",
    [
        ("mmsa", "out.pkl", *SETS, "--ids", "my-ids"),
        ("mmsa", "out.pkl", *SETS, "--aligned"),
        ("mult", "out.pkl", *SETS),
        ("csd", "my-audio", "out.csd"),
    ],
)
def test_a_dry_export_says_what_the_export_then_does_and_writes_nothing(store, monkeypatch, arguments):
    monkeypatch.chdir(store)
    before = tree(store)
    dry = run("export", *arguments, "--dry-run").splitlines()
    assert tree(store) == before
    wet = run("export", *arguments).splitlines()
    assert wet[1:] == dry[1:]
    assert (dry[0].split(".")[0], wet[0].split()[0]) == ("dry run: nothing is written", "wrote")
    assert len(set(tree(store)) - set(before)) == 1  # the file, and no temporary one
    assert "exists" in run("export", *arguments, status=1)
    kind, file = arguments[0], arguments[2 if arguments[0] == "csd" else 1]
    assert "2 clips x 2 columns, 0 refused" in run("import", kind, file, "-o", "again")


def test_usage_errors_end_with_2_and_other_errors_with_1(store):
    at = ("-o", store / "features")
    assert "--vision" in run("export", "mmsa", store / "x.pkl", *at, "--audio", "my-audio", status=2)
    assert "holds no 'nothing'" in run(
        "export",
        "mult",
        store / "x.pkl",
        *at,
        "--text",
        "nothing",
        "--audio",
        "my-audio",
        "--vision",
        "my-vision",
        status=1,
    )
    assert "name a feature set for each" in run("export", "mmsa", store / "x.pkl", *at, *SETS[2:], status=1)
    assert not (store / "x.pkl").exists()


@pytest.mark.parametrize(
    "command", ["import mmsa", "import mult", "import csd", "import mosi", "export mmsa", "export mult", "export csd"]
)
def test_help_has_an_example_and_the_dry_run(command):
    said = run(*command.split(), "--help")
    assert f"feat {command} " in said.split("Options:")[0].split("\n\n", 1)[1]
    assert "--dry-run" in said


@pytest.mark.data
def test_mosi_dry_then_for_real(data, tmp_path):
    dry = run("import", "mosi", data / "mosi", "-o", tmp_path / "s", "--dry-run").splitlines()
    assert not (tmp_path / "s").exists()
    assert dry[1] == "clips: 2199 (1284 train, 229 valid, 686 test)"
    assert run("import", "mosi", data / "mosi", "-o", tmp_path / "s").splitlines() == dry[1:]
    assert len(FeatureStore(tmp_path / "s").clips()) == 2199

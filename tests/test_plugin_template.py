"""The template package installs into a fresh folder, and its extractor, head and recipe work there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

CLIPS = str(ROOT / "examples" / "clips")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with a copy of the template, installed beside the packages of this environment."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "examples" / "plugin-template", folder / "template")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--target", str(folder / "site"), str(folder / "template")],
        capture_output=True, text=True, env=environment(folder), check=False,
    )  # fmt: skip
    if "No module named pip" in done.stderr:
        pytest.skip("this environment has no pip")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def environment(folder):
    paths = [str(folder / "site"), *filter(None, sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(folder, program, *words):
    """What a command prints."""
    command = [sys.executable, "-m", "pytest"] if program == "pytest" else [Path(sys.executable).with_name(program)]
    done = subprocess.run(
        [*command, *words], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_templates_own_tests_pass(installed):
    assert "2 passed" in run(installed, "pytest", "template/tests", "-p", "no:cacheprovider", "-c", "/dev/null")


def test_the_template_is_used_by_its_names_from_extraction_to_prediction(installed):
    assert "ok zero-crossings" in (said := run(installed, "feat", "doctor"))
    assert "ok mean" in said
    assert "mean-zero-crossings" in run(installed, "zoo", "list")
    assert 'head = "mean"' in run(installed, "zoo", "show", "mean-zero-crossings")
    assert "12 stored" in run(installed, "feat", "extract", CLIPS, "-x", "zero-crossings", "-j", "1")
    assert "12 cached" in run(installed, "feat", "extract", CLIPS, "--for", "mean-zero-crossings", "-j", "1")
    trained = run(installed, "zoo", "train", "mean-zero-crossings", "--epochs", "2", "--device", "cpu")
    assert "mae" in trained
    (made,) = (installed / "runs").iterdir()
    assert "clip02.mp4" in run(installed, "zoo", "predict", str(made), f"{CLIPS}/clip02.mp4", "--device", "cpu")

"""The template package installs into a fresh folder, and its extractor, head and recipe work there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

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


def run(folder, *words):
    """What a program of this environment prints."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# All in one process, which imports torch once. RUN is the one run in the folder.
COMMANDS = """
import json, sys
from pathlib import Path
from click.testing import CliRunner
from featzoo.cli import feat, zoo

said = {}
for line in json.loads(sys.argv[1]):
    program, *words = [str(next(Path("runs").iterdir())) if word == "RUN" else word for word in line.split()]
    done = CliRunner().invoke({"feat": feat, "zoo": zoo}[program], words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    said[line] = done.output
print(json.dumps(said))
"""


def test_the_templates_own_tests_pass(installed):
    said = run(installed, "-m", "pytest", "template/tests", "-p", "no:cacheprovider", "-c", "/dev/null")
    assert "2 passed" in said


def test_the_template_is_used_by_its_names_from_extraction_to_prediction(installed):
    expected = {
        "feat doctor": "ok zero-crossings",
        "zoo list": "mean-zero-crossings",
        "zoo show mean-zero-crossings": 'head = "mean"',
        f"feat extract {CLIPS} -x zero-crossings -j 1": "12 stored",
        f"feat extract {CLIPS} --for mean-zero-crossings -j 1": "12 cached",
        "zoo train mean-zero-crossings --epochs 2 --device cpu": "mae",
        f"zoo predict RUN {CLIPS}/clip02.mp4 --device cpu": "clip02.mp4",
    }
    said = json.loads(run(installed, "-c", COMMANDS, json.dumps(list(expected))).splitlines()[-1])
    assert "ok mean" in said["feat doctor"]
    for line, part in expected.items():
        assert part in said[line]

"""`feat doctor` on a newcomer's machine without a network: what runs, what is missing, and what to type."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from featzoo import plugins
from featzoo.cli import feat
from featzoo.commands.doctor import _pair
from featzoo.commands.options import without_network
from featzoo.weights.catalogue import known


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Its lines, in a separate process with an empty home."""
    home = tmp_path_factory.mktemp("newcomer")
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [Path(sys.executable).with_name("feat"), "doctor"]
    environment = {**kept, "HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_extractor_is_accounted_for(said):
    extractors = said[said.index("extractors") : said.index("heads")]
    listed = [line.split(": ")[0][5:] for line in extractors if line[2:4] in ("ok", "--")]
    names = {request.partition(".")[0] for line in listed for request in line.split(", ")}
    assert names == set(plugins.registered(plugins.EXTRACTORS))


def test_missing_parts_are_listed_with_a_command_that_exists(said):
    """Of a known model, an extra to install, or a head to train; the way without a network is said once."""
    missing = [line for line in said if line.startswith("  -- ")]
    assert any(line.startswith("  -- bert, bert.ids: ") for line in missing)
    for line in missing:
        model = re.search(r": feat weights get (\S+)$", line)
        assert (model and known(model[1])) or "pip install" in line or "`zoo train adam-teacher`" in line, line
    assert said.count(without_network(["MODEL"])) == 1


def test_a_torchvision_that_other_programs_cannot_import_is_told(said):
    if not find_spec("torchvision"):
        pytest.skip("needs featzoo[resnet50]")
    done = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False)
    warnings = [line for line in said if line.startswith("warning: torchvision ")]
    assert len(warnings) == (done.returncode != 0)


@pytest.mark.parametrize(
    ("torch", "command"),
    [
        (
            "2.13.0+cpu",
            "pip install --force-reinstall torch==2.13.0 torchvision --index-url https://download.pytorch.org/whl/cpu",
        ),
        ("2.13.0", "pip install --force-reinstall torch==2.13.0 torchvision"),
    ],
)
def test_the_torchvision_to_install_is_of_the_build_of_torch(torch, command):
    assert _pair(torch) == command


def test_copied_weights_are_seen(said, tmp_path, monkeypatch, random_bert):
    assert "  ok bert: text" not in said
    monkeypatch.setenv("FEATZOO_WEIGHTS", "")  # which the option sets
    shutil.copytree(random_bert, tmp_path / "weights" / "bert-base-uncased")
    done = CliRunner().invoke(feat, ["doctor", "--weights", str(tmp_path / "weights")])
    assert "  ok bert: text" in done.output.splitlines()

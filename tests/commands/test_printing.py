"""Ids and texts of strangers are shown, never obeyed: no control reaches the terminal, no id looks like a line."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import featzoo.commands
from featzoo import Clip, FeatureSequence, FeatureStore
from featzoo.cli import feat
from featzoo.commands.printing import echo, echo_lines

HOSTILE = "a\x1b[2J\u202egpj.b\u0085c"


def test_commands_print_in_one_way_only():
    folder = Path(featzoo.commands.__file__).parent
    others = [path for path in folder.glob("*.py") if path.name != "printing.py"]
    assert [
        path.name for path in others if re.search(r"click\.s?echo\(|\bprint\(", path.read_text(encoding="utf-8"))
    ] == []


@pytest.fixture
def store(tmp_path):
    """A store in which ids, columns, options, notes and provenance hold terminal controls."""
    made = FeatureStore.create(tmp_path / "features")
    sequence = FeatureSequence(np.ones((2, 1), np.float32), np.array([[0.0, 1.0], [1.0, 2.0]]), (HOSTILE,))
    made.add("x", {HOSTILE: sequence}, spec={"options": {"mode": HOSTILE}}, provenance={"source": HOSTILE})
    made.record([Clip(HOSTILE, path=tmp_path / HOSTILE, split=HOSTILE)])
    return made


@pytest.mark.parametrize(
    "command",
    ["ls", "ls x", "show x", f"show x\n{HOSTILE}", "check", "forget --missing", "export npz x out.npz", "show none"],
)
def test_no_control_of_a_file_reaches_the_terminal(store, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    first, _, clip = command.partition("\n")
    said = CliRunner().invoke(feat, [*first.split(), *([clip] if clip else []), "-o", str(store.path)]).output
    assert [letter for letter in said if unicodedata.category(letter) in ("Cc", "Cf") and letter != "\n"] == []


def test_an_escaped_letter_is_still_shown(capsys):
    echo("a\x1b[2J\nb\u202ec\U000e0041 \u200d")
    echo_lines("one\x07\ntwo\r")
    assert capsys.readouterr().out == "a\\x1b[2J\\nb\\u202ec\\U000e0041 \u200d\none\\x07\ntwo\\r\n"

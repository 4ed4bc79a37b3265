"""Shell completion through click's own protocol: the script that a shell loads, and the answers it gets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "shell-completion.md"
# What marks each shell's script.
SCRIPT = {
    "bash": "complete -o nosort -F _{0}_completion {0}",
    "zsh": "#compdef {0}",
    "fish": 'complete --no-files --command {0} --arguments "(_{0}_completion)"',
}


def answer(program: str, instruction: str, **variables: str) -> str:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    environment |= {f"_{program.upper()}_COMPLETE": instruction, **variables}
    done = subprocess.run([BIN / program], env=environment, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.parametrize("program", ["feat", "zoo"])
@pytest.mark.parametrize("shell", SCRIPT)
def test_the_page_loads_a_script_for_each_shell(shell: str, program: str) -> None:
    assert f"_{program.upper()}_COMPLETE={shell}_source {program}" in PAGE.read_text(encoding="utf-8")
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    assert SCRIPT[shell].format(program) in answer(program, f"{shell}_source")


@pytest.mark.parametrize(
    ("shell", "words", "expected"),
    [
        ("bash", {"COMP_WORDS": "feat ext", "COMP_CWORD": "1"}, r"^plain,extract$"),
        ("zsh", {"COMP_WORDS": "feat ext", "COMP_CWORD": "1"}, r"^plain\nextract\nExtract features"),
        ("fish", {"COMP_WORDS": "feat ext", "COMP_CWORD": "ext"}, r"^plain,extract\tExtract features"),
        ("bash", {"COMP_WORDS": "feat import mo", "COMP_CWORD": "2"}, r"^plain,mosei\nplain,mosi$"),
        ("bash", {"COMP_WORDS": "feat extract --sto", "COMP_CWORD": "2"}, r"^plain,--store$"),
        ("bash", {"COMP_WORDS": "feat align x --how wei", "COMP_CWORD": "4"}, r"^plain,weighted$"),
        ("bash", {"COMP_WORDS": "feat extract vid", "COMP_CWORD": "2"}, r"^file,vid$"),
    ],
)
def test_words_are_completed(shell: str, words: dict[str, str], expected: str) -> None:
    found = answer("feat", f"{shell}_complete", **words)
    assert re.search(expected, found, flags=re.MULTILINE), found

"""The tutorials work when they are typed, to their last line; `...` stands for anything in what they print."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from featzoo.cli import feat, zoo

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Each command with the output that the page shows for it."""
    command, shown = "", list[str]()
    for line in (TUTORIALS / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("    $ ") or not line.startswith("    "):
            if command:
                yield command, "\n".join([*shown, ""])
            command, shown = line[6:] if line.startswith("    $ ") else "", []
        else:
            shown.append(line[4:])
    if command:
        yield command, "\n".join([*shown, ""])


def is_as_shown(shown: str, printed: str) -> bool:
    """Whether the output is the one shown, apart from white space and what `...` stands for."""
    pattern = re.escape(" ".join(shown.split()))
    return re.fullmatch(re.sub(r"(\\ )?\\\.\\\.\\\.(\\ )?", ".*", pattern), " ".join(printed.split())) is not None


@pytest.mark.usefixtures("one_process")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page",
    [
        "first-features.md",
        "emotion-from-the-voice.md",
        pytest.param("psa-mf-on-mosi.md", marks=pytest.mark.slow),  # it trains an encoder twice
    ],
)
def test_a_tutorial_prints_what_it_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = list(steps(page))
    assert len(typed) >= 5
    for command, shown in typed:
        program, *typed_words = shlex.split(command, comments=True)
        words = [
            word for each in typed_words for word in (sorted(map(str, Path().glob(each))) if "*" in each else [each])
        ]
        done = CliRunner().invoke({"feat": feat, "zoo": zoo}[program], words, prog_name=program)
        assert done.exit_code == 0, f"{command}\n{done.output}"
        if shown.strip():
            assert is_as_shown(shown, done.output), f"{command}\n--- shown\n{shown}--- printed\n{done.output}"
    for block in re.findall(r"```python\n(.*?)```", (TUTORIALS / page).read_text(encoding="utf-8"), flags=re.DOTALL):
        subprocess.run([sys.executable, "-c", block], check=True)

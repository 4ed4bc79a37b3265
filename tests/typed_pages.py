"""Types the commands of a page of the documents, and compares what they print with what the page shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from featzoo.cli import feat, zoo

PROGRAMS = {"feat": feat, "zoo": zoo}


def steps(page: Path) -> Iterator[tuple[str, str]]:
    """Each command below `    $ ` with the output that the page shows for it."""
    command, shown = "", list[str]()
    for line in page.read_text(encoding="utf-8").splitlines():
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


def type_page(page: Path, statuses: tuple[int, ...] = (0,)) -> int:
    """Type every command of a page in the current folder, then run its Python.

    Args:
        page: The page.
        statuses: Exit statuses that are expected.

    Returns:
        The number of commands.
    """
    typed = list(steps(page))
    for command, shown in typed:
        program, *typed_words = shlex.split(command, comments=True)
        words = [
            word for each in typed_words for word in (sorted(map(str, Path().glob(each))) if "*" in each else [each])
        ]
        if program not in PROGRAMS:  # cp, mv, touch
            subprocess.run([program, *words], check=True)
            continue
        done = CliRunner().invoke(PROGRAMS[program], words, prog_name=program)
        assert done.exit_code in statuses, f"{command}\n{done.output}"
        if shown.strip():
            assert is_as_shown(shown, done.output), f"{command}\n--- shown\n{shown}--- printed\n{done.output}"
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        subprocess.run([sys.executable, "-c", block], check=True)
    return len(typed)

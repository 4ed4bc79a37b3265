"""The how-to pages work when they are typed, with nothing but what `feat example` makes.

A block of commands below `<!-- not run: REASON -->` needs what a stranger does not have. The share that runs is
printed after the tests.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from featzoo.cli import feat, zoo

PAGES = Path(__file__).parents[1] / "docs" / "how-to"
MARK = "<!-- not run: "


def commands(page: str) -> Iterator[tuple[str, bool]]:
    """The page's commands, and whether they are to be run."""
    runs, marked, before = True, False, ""
    for line in (PAGES / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("    ") and not before.startswith("    "):
            runs = not marked
        if re.match(r"    (feat|zoo) ", line):
            yield line.strip(), runs
        if line.strip():
            marked = line.startswith(MARK)
            before = line
        else:
            before = ""


def type_in(line: str) -> None:
    """Run a command line; it must succeed, or tell of single clips where the page says so."""
    command, output = re.fullmatch(r"(.*?)(?: > (\S+))?", line).groups()
    program, *words = shlex.split(command, comments=True)
    done = CliRunner().invoke({"feat": feat, "zoo": zoo}[program], words, prog_name=program, input="y\n")
    assert done.exit_code in ((0, 1) if words[0] == "align" else (0,)), f"{line}\n{done.output}"
    if output:
        Path(output).write_text(done.stdout, encoding="utf-8")


def some_voices(folder: str, number: int) -> list[Path]:
    """The first recordings of each class and speaker that `feat example emotions` makes."""
    type_in("feat example emotions -o every-voice")
    Path(folder).mkdir()
    every = sorted(Path("every-voice").glob("*.wav"))
    return [Path(shutil.copy(path, folder)) for path in every[:: len(every) // number]]


def a_store_beside_others() -> None:
    voices = some_voices("clips", 12)
    (Path("clips") / "old").mkdir()
    for path in voices[:2]:
        path.rename(Path("clips") / "old" / path.name)
    type_in("feat extract clips -x egemaps -o features -j 1")
    type_in("feat label features --pattern '{speaker}_{emotion}_{take}.wav'")
    shutil.copytree("features", "../colleague/features")
    shutil.copytree("features", "elsewhere")
    voices[-1].unlink()


def a_labelled_store() -> None:
    type_in("feat example emotions -o clips")
    type_in("feat extract clips -x quality -o features -j 1")
    type_in("feat label features --pattern '{speaker}_{emotion}_{take}.wav'")


def a_voice() -> None:
    one = some_voices("videos", 3)[0]
    shutil.copy(one, "clip.wav")
    shutil.copy(one, "interview.wav")


def videos() -> None:
    type_in("feat example clips -o videos")


FIXTURES: dict[str, Callable[[], None]] = {
    "align.md": videos,
    "care-for-a-store.md": a_store_beside_others,
    "predict.md": a_voice,
    "split-clips.md": a_labelled_store,
}
# They extract from the example clips, or import torch and openSMILE.
SLOW = {"align.md", "predict.md"}


@pytest.mark.usefixtures("one_process")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow if page in SLOW else ()) for page in FIXTURES]
)
def test_the_commands_of_a_page_run_in_its_order(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, print_table: Callable[[list[str]], None]
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    FIXTURES[page]()
    typed = [line for line, runs in commands(page) if runs]
    for line in typed:
        type_in(line)
    assert typed
    print_table([f"docs/how-to/{page}: {len(typed)} of {len(list(commands(page)))} commands run"])

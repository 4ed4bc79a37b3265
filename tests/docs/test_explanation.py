"""The worked example of each explanation works when it is typed, and prints what the page shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docs.pages import DOCS, steps
from docs.reader import follow
from featzoo.examples import clips, emotions

PAGES = DOCS / "explanation"
# Without commands: how the program is built, and what its results must not be used for.
WITHOUT_EXAMPLE = {"architecture.md", "limits.md"}
# The data that it looks for are incomplete.
INCOMPLETE = "zoo reproduce"


@pytest.fixture(scope="module")
def _examples_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Several pages begin with the same example, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("examples")

    def once(name: str, make: Callable[[Path], int]) -> Callable[[Path], int]:
        counts: dict[str, int] = {}

        def copy(to: Path) -> int:
            if name not in counts:
                (folder / name).mkdir()
                counts[name] = make(folder / name)
            shutil.copytree(folder / name, to, dirs_exist_ok=True)
            return counts[name]

        return copy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "make_clips", once("clips", clips.make_clips))
        patch.setattr(emotions, "make_emotions", once("emotions", emotions.make_emotions))
        yield


@pytest.mark.usefixtures("one_process", "_examples_made_once")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", sorted({path.name for path in PAGES.glob("*.md")} - WITHOUT_EXAMPLE))
def test_a_worked_example_prints_what_it_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = steps(f"explanation/{page}")
    assert len(typed) >= 2
    for step in typed:
        follow(step, status=int(step.text.startswith(INCOMPLETE)))

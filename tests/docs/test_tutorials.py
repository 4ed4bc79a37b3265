"""The tutorials work when they are typed, to their last line; `...` stands for anything in what they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.pages import steps
from docs.reader import follow


@pytest.mark.usefixtures("one_process")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page",
    [
        "first-features.md",
        "emotion-from-the-voice.md",
        # They train encoders, or many heads.
        pytest.param("compare-and-share.md", marks=pytest.mark.slow),
        pytest.param("psa-mf-on-mosi.md", marks=pytest.mark.slow),
        pytest.param("apparent-personality.md", marks=pytest.mark.slow),
        pytest.param("personality-across-languages.md", marks=pytest.mark.slow),
    ],
)
def test_a_tutorial_prints_what_it_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = steps(f"tutorials/{page}")
    assert len(typed) >= 5
    for step in typed:
        follow(step)

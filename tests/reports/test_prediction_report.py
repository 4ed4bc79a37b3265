"""The page of `zoo predict --html`: hostile ids are text, and the deviation over seeds is drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.reports.prediction_report import prediction_report
from featzoo.zoo.runs.predicted import Predicted, Prediction
from featzoo.zoo.target import Target

from .browser import DESK, PHONE, Browser
from .conftest import HOSTILE

TRAITS = ("openness", "extraversion")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of two traits by two runs, for clips with hostile ids and words; one has failed."""
    clips = {name: Clip(name, end=4.0, words=words_of(name)) for name in HOSTILE}
    values, spread = dict(zip(TRAITS, (0.25, 0.75), strict=True)), dict(zip(TRAITS, (0.01, 0.02), strict=True))
    windows = tuple(Prediction("a", values, {}, start=start, end=start + 2) for start in (0.0, 1.0, 2.0))
    made = [Prediction(name, values, {}, spread=spread, windows=windows) for name in HOSTILE[1:]]
    made.append(Prediction(HOSTILE[0], {}, {"text": HOSTILE[0]}))
    found = Predicted(
        (Path("a"), Path("b")), Target(TRAITS, range=(0.0, 1.0)), {"text": HOSTILE[0]}, tuple(made), clips
    )
    place = tmp_path_factory.mktemp("page") / "p.html"
    prediction_report(found, place)
    return place


def test_traits_are_bars_with_whiskers_and_curves(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    bars, curve, *_ = json.loads(found[1])
    assert bars["data"][0]["x"] == [0.25, 0.75]
    assert bars["data"][0]["error_x"]["array"] == [0.01, 0.02]
    assert bars["layout"]["xaxis"]["range"] == [0.0, 1.0]
    assert [(trace["name"], trace["x"], trace["y"]) for trace in curve["data"]] == [
        ("openness", [1.0, 2.0, 3.0], [0.25] * 3), ("extraversion", [1.0, 2.0, 3.0], [0.75] * 3),
    ]  # fmt: skip
    assert "0.250 ± 0.010" in text


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_a_browser_shows_hostile_predictions_as_text(page: Path, browser: Browser, size: tuple[int, int]) -> None:
    browser.open(page, size)
    assert browser.complaints == []
    assert browser.requests == []
    assert browser.run("document.title") == "Predicted openness, extraversion"
    assert browser.run("document.querySelectorAll('.js-plotly-plot').length") == 2 * (len(HOSTILE) - 1)

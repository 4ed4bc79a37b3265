"""`zoo report`: what the page says of runs, and how a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tone, write_video
from runs_for_tests import TRAINED, make_run

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word
from featzoo.reports.run_facts import run_facts
from featzoo.reports.run_report import run_report
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.settings import differing_settings

from .browser import DESK, PHONE, Browser
from .conftest import HOSTILE


class Tables(HTMLParser):
    """The rows of the tables of a page, each as texts of its cells, by the heading above the table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self._heading, self._into = "", ""
        self.feed(text.partition('<script type="application/json"')[0])

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("h2", "h3"):
            self._heading, self._into = "", "heading"
        elif tag == "tr":
            self.rows.setdefault(self._heading, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._heading][-1].append("")
            self._into = "cell"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "h3", "td", "th"):
            self._into = ""

    def handle_data(self, data: str) -> None:
        if self._into == "heading":
            self._heading += data
        elif self._into == "cell":
            self.rows[self._heading][-1][-1] += data


def tables(page: Path) -> Mapping[str, list[list[str]]]:
    return Tables(page.read_text(encoding="utf-8")).rows


TRUTH = np.arange(20.0)[:, None] / 10
IDS = [f"{'ab'[n % 2]}/clip{n:02d}" for n in range(20)]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs on 20 clips with labels from 0 to 1.9: errors of 0.5, and errors that grow from 0 to 1.9."""
    return (
        make_run(tmp_path / "one", IDS, TRUTH, TRUTH + 0.5),
        make_run(tmp_path / "two", IDS, TRUTH, TRUTH * 0, seed=7),
    )


def test_errors_are_mean_absolute_errors_over_the_labels(tmp_path: Path) -> None:
    truth = np.array([[0.0, 1.0], [0.5, 0.5]])
    run = make_run(tmp_path / "run", ["a", "b"], truth, np.array([[0.2, 0.4], [0.5, 0.5]]), ("joy", "fear"))
    (found,) = run_facts([run]).runs
    assert found.errors == pytest.approx([(0.2 + 0.6) / 2, 0.0])


def test_worst_clips_have_the_largest_mean_error_over_the_runs(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = run_facts(two)
    assert found.common[:2] == [IDS[19], IDS[18]]
    run_report(two, tmp_path / "page.html")
    assert tables(tmp_path / "page.html")[IDS[19]] == [
        ["true", "1.900"], ["one", "2.400 (error 0.500)"], ["two", "0.000 (error 1.900)"],
    ]  # fmt: skip


def test_only_clips_that_every_run_predicts_are_compared(two: tuple[Path, Path], tmp_path: Path) -> None:
    fewer = make_run(tmp_path / "three", IDS[:5], TRUTH[:5], TRUTH[:5])
    assert set(run_facts([*two, fewer]).common) == set(IDS[:5])


def test_errors_of_the_extremes_are_those_of_the_lowest_and_highest_tenth(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    run_report(two, tmp_path / "page.html")
    rows = tables(tmp_path / "page.html")["Mean absolute error of the lowest and highest 10%"]
    assert [row[2:] for row in rows[1:]] == [
        ["2", "0.500", "0.050"], ["16", "0.500", "0.950"], ["2", "0.500", "1.850"],
    ]  # fmt: skip


def test_errors_by_group_are_means_over_the_groups_clips(two: tuple[Path, Path], tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "features")
    store.record([Clip(name, categories={"speaker": name[0]}) for name in IDS])
    for run in two:
        place = run / "environment.json"
        place.write_text(json.dumps(json.loads(place.read_text()) | {"store": str(store.path)}))
    run_report(two, tmp_path / "page.html")
    for column in ("speaker", "folder"):
        assert tables(tmp_path / "page.html")[column][1:] == [
            ["b", "10", "0.500", "1.000"],
            ["a", "10", "0.500", "0.900"],
        ]


def test_metrics_have_intervals_that_hold_them(two: tuple[Path, Path], tmp_path: Path) -> None:
    run_report(two, tmp_path / "page.html")
    rows = {row[0]: row[1:] for row in tables(tmp_path / "page.html")["test"]}
    assert rows["mae"][0] == "0.50000.5000 to 0.5000"
    value, low, high = map(float, re.fullmatch(r"(\d\.\d{4})(\S+) to (\S+)", rows["mae"][1]).groups())  # type: ignore[union-attr]
    assert value == 0.95
    assert low < value < high


def test_settings_that_differ_are_listed(two: tuple[Path, Path]) -> None:
    assert differing_settings([run.folder.recipe for run in run_facts(two).runs]) == {"training.seed": ["1111", "7"]}


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name / "s1", IDS, TRUTH, TRUTH) for name in ("mult", "tfn")]
    assert [run.name for run in run_facts(runs).runs] == ["mult/s1", "tfn/s1"]


@pytest.mark.parametrize("kind", ["sentiment", "sims", "regression", "traits", "binary"])
def test_runs_of_every_kind_of_target_have_a_page(kind: str, tmp_path: Path) -> None:
    truth = np.random.default_rng(0).integers(0, 2, (20, 2)).astype(float)
    pred = np.random.default_rng(1).uniform(0, 1, (20, 2))
    run = make_run(tmp_path / "run", IDS, truth, pred, ("joy", "fear"), kind)
    run_report([run], tmp_path / "page.html")
    assert list(RunFolder(run).recipe.target.columns) == ["joy", "fear"]
    assert "Worst clips" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_run_of_classes_shows_its_confusion_and_each_class(tmp_path: Path) -> None:
    """Three clips of anger, one of them taken for joy; two of joy, both found."""
    truth = np.array([[0.0], [0], [0], [1], [1]])
    pred = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.4, 0.6]])
    ids = [f"clip{n}" for n in range(5)]
    run = make_run(tmp_path / "run", ids, truth, pred, ("emotion",), classes=("anger", "joy"))
    (found,) = run_facts([run]).runs
    assert found.errors == pytest.approx([0.1, 0.3, 0.8, 0.1, 0.4])
    run_report([run], tmp_path / "page.html")
    rows = tables(tmp_path / "page.html")
    assert rows["Errors by class"] == [
        ["class", "clips", "precision", "recall", "F1"],
        ["anger", "3", "1.000", "0.667", "0.800"],
        ["joy", "2", "0.667", "1.000", "0.800"],
    ]
    assert rows["clip2"] == [["true", "anger"], ["predicted", "joy 0.80, anger 0.20"]]
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    figures = json.loads(text.partition('id="figures">')[2].partition("</script>")[0])
    (matrix,) = [figure["data"][0]["text"] for figure in figures if figure["data"][0]["type"] == "heatmap"]
    assert matrix == [["2", "1"], ["0", "2"]]


def test_a_run_with_a_record_of_robustness_shows_its_curves(two: tuple[Path, Path], tmp_path: Path) -> None:
    (two[1] / "robustness.csv").write_text(
        "kind,input,level,mae,corr\nclean,every input,,0.5,0.9\nmissing,audio,,0.75,nan\n"
        "noise,text,20.0,0.6,0.8\nnoise,text,0.0,0.9,0.1\nrun,alone,,0.7,0.5\n",
        encoding="utf-8",
    )
    run_report(two, tmp_path / "page.html")
    assert [row for row in tables(tmp_path / "page.html")["two"] if row[0] not in ("true", "predicted")] == [
        ["inputs", "mae", "corr"], ["as it is", "0.5000", "0.9000"], ["without audio", "0.7500", "-"],
        ["run alone", "0.7000", "0.5000"],
    ]  # fmt: skip
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    figures = json.loads(text.partition('id="figures">')[2].partition("</script>")[0])
    lines = {line.get("name"): line.get("y") for figure in figures for line in figure["data"]}
    assert (lines["text"], lines["as it is"], lines["run alone"]) == ([0.6, 0.9], [0.5, 0.5], [0.7, 0.7])


def test_a_damaged_record_of_robustness_is_named(two: tuple[Path, Path], tmp_path: Path) -> None:
    (two[0] / "robustness.csv").write_text("kind,input,level,mae\nclean,every input,,high\n", encoding="utf-8")
    with pytest.raises(FeatzooError, match=r"robustness\.csv is damaged.*run zoo robustness again"):
        run_report(two, tmp_path / "page.html")


def test_runs_that_predict_other_labels_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", IDS, TRUTH, TRUTH, ("arousal",))
    with pytest.raises(FeatzooError, match=r"predicts arousal .* predicts sentiment"):
        run_facts([two[0], other])


def test_a_run_that_has_not_finished_is_refused(two: tuple[Path, Path]) -> None:
    (two[0] / "metrics.json").unlink()
    with pytest.raises(FeatzooError, match="did not finish"):
        run_facts(two)


def test_without_a_test_split_dev_is_shown(tmp_path: Path) -> None:
    shutil.copytree(TRAINED, tmp_path / "run")
    place = tmp_path / "run" / "metrics.json"
    summary = json.loads(place.read_text())
    summary["splits"].pop("test", None)
    place.write_text(json.dumps(summary))
    assert run_facts([tmp_path / "run"]).split == "valid"


def test_an_epoch_that_was_half_written_is_left_out(tmp_path: Path) -> None:
    shutil.copytree(TRAINED, tmp_path / "run")
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "sta')
    assert [epoch["epoch"] for epoch in RunFolder(tmp_path / "run").epochs] == [1, 2]


def test_a_head_without_epochs_has_no_curves(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Beside a head that has some, the curves are of that one."""
    one, two_ = two
    (one / "metrics.jsonl").write_text("")
    run_report([one], tmp_path / "one.html")
    assert "Curves" not in (tmp_path / "one.html").read_text(encoding="utf-8")
    assert ["best epoch", "-"] in tables(tmp_path / "one.html")["Runs"]
    run_report([one, two_], tmp_path / "both.html")
    assert "Curves" in (tmp_path / "both.html").read_text(encoding="utf-8")


def test_the_command_writes_one_file(two: tuple[Path, Path], tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    done = CliRunner().invoke(zoo, ["report", *map(str, two), "--to", str(place)])
    assert done.exit_code == 0, done.output
    assert f"{place}: 2 runs, 20 clips of test" in done.output
    folder = CliRunner().invoke(zoo, ["report", str(two[0].parent), "--to", str(place)])
    assert folder.output == done.output


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on two runs whose clips have hostile ids, transcripts and groups, with real media."""
    folder = tmp_path_factory.mktemp("hostile-runs")
    write_video(folder / "talk.mp4", count=25, sound=(tone(1.0, 44100), 44100))
    store = FeatureStore.create(folder / "features")
    texts = [text.replace("/", "") for text in HOSTILE]
    clips = [
        Clip(f"{texts[n % 8]}/{n}", folder / "talk.mp4", words=(Word(HOSTILE[n % 8], 0.0, 1.0),),
             categories={"speaker": HOSTILE[n % 8]})
        for n in range(32)
    ]  # fmt: skip
    store.record(clips)
    rng = np.random.default_rng(0)
    store.add("sound", {clip.id: rng.normal(size=(6, 3)) for clip in clips}, names=HOSTILE[:3])
    ids, truth = [clip.id for clip in clips], rng.uniform(-3, 3, (32, 1))
    runs = [
        make_run(folder / name, ids, truth, truth + rng.normal(size=(32, 1)), store=store.path)
        for name in ("<b>run<img src=x>", "other & run")
    ]
    run_report(runs, folder / "page.html")
    return folder / "page.html"


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_browser_shows_runs_with_hostile_text_as_text(
    hostile_page: Path, browser: Browser, size: tuple[int, int]
) -> None:
    browser.open(hostile_page, size)
    assert browser.complaints == []
    assert browser.requests == []
    assert browser.run("document.title") == "Predictions of sentiment"
    assert browser.run("document.scripts.length") == 3
    strange = "img:not([src^='data:image/jpeg']), a:not([href^='#']), b, iframe"
    assert browser.run(f'document.querySelectorAll("{strange}").length') == 0
    assert browser.run("document.documentElement.scrollWidth") <= size[0]
    shown = str(browser.run("document.body.textContent"))
    for text in (*HOSTILE, "<b>run<img src=x>"):
        assert text in shown

"""`feat report`: what the page says of a store, and how a browser shows it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tone, write_video, write_wav

from featzoo.cache.shard import Entry
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word
from featzoo.reports.store_facts import reasons, store_facts
from featzoo.reports.store_report import store_report
from featzoo.sequence import FeatureSequence

from .browser import DESK, PHONE, Browser
from .conftest import HOSTILE


def sequence(values: np.ndarray, seconds: float, names: tuple[str, ...] = ()) -> FeatureSequence:
    edges = np.linspace(0, seconds, len(values) + 1)
    names = names or tuple(f"column {n}" for n in range(values.shape[1]))
    return FeatureSequence(values.astype(np.float32), np.stack([edges[:-1], edges[1:]], axis=1), names)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """40 clips; in `sound`, clip 7 is far from the others and clip 9 failed; a quarter of column 1 is NaN."""
    made = FeatureStore.create(tmp_path / "features")
    rng = np.random.default_rng(0)
    clips = [Clip(f"clip{n:02d}", split=("train", "dev")[n % 2], labels={"joy": n / 10}) for n in range(40)]
    features = {}
    for n, clip in enumerate(clips):
        values = rng.normal(size=(20, 3)) + (30 if n == 7 else 0)
        values[::4, 1] = np.nan
        features[clip.id] = sequence(values, 2.0 + n)
    del features["clip09"]
    sound = made.add("sound", features)
    sound.fail("clip09", "", "no-audio", "clip09 has no audio stream")
    faces = {c.id: sequence(np.array([[float(n != 5), np.nan if n == 5 else 1]] * 4), 1.0, ("present", "x"))
             for n, c in enumerate(clips[:10])}  # fmt: skip
    made.add("faces", faces)
    made.record(clips)
    return made


def test_the_facts_count_stored_failed_and_missing_clips(store: FeatureStore) -> None:
    facts = store_facts(store)
    by_name = {one.key.rpartition("-")[0]: one for one in facts.sets}
    assert [(len(one.stored), len(one.failures), one.missing) for one in by_name.values()] == [(10, 0, 30), (39, 1, 0)]
    assert reasons(facts) == {"no-audio": 1}
    assert by_name["sound"].unobserved == {"column 0": 0.0, "column 1": 0.25, "column 2": 0.0}
    assert by_name["faces"].faceless == ["clip05"]


def test_durations_are_those_of_segments_or_of_the_features(store: FeatureStore) -> None:
    store.record([Clip("segment", Path("x.wav"), start=1.0, end=4.5)])
    seconds = store_facts(store).seconds
    assert seconds["segment"] == 3.5
    assert seconds["clip03"] == 5.0
    assert "clip09" not in seconds or seconds["clip09"] == 1.0  # of its faces alone


def test_a_clip_far_from_the_others_is_an_outlier(store: FeatureStore) -> None:
    found = [one for each in store_facts(store).sets for one in each.outliers if each.key.startswith("sound")]
    assert [one.clip for one in found] == ["clip07"]
    low, high = found[0].usual
    assert low < high < 5 < found[0].value


def test_clips_alike_have_no_outlier(tmp_path: Path) -> None:
    made = FeatureStore.create(tmp_path / "features")
    made.add("a", {f"clip{n}": np.ones((3, 2), np.float32) for n in range(30)})
    assert not store_facts(made).sets[0].outliers


def test_notes_of_silent_clips_are_listed(tmp_path: Path) -> None:
    made = FeatureStore.create(tmp_path / "features")
    plain = {"extractor": "a", "version": 1, "reads": [], "options": {}, "digests": {}}
    values = sequence(np.zeros((2, 1)), 1.0)
    made.open_set("a", plain).write([Entry("quiet", "", values, {"silent": "every sample is zero"})])
    assert store_facts(made).noted("silent") == ["quiet"]


@pytest.mark.parametrize("words", [("-o", "STORE"), ("STORE",)])
def test_the_command_writes_one_file(words: tuple[str, ...], store: FeatureStore, tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    words = tuple(str(store.path) if word == "STORE" else word for word in words)
    done = CliRunner().invoke(feat, ["report", *words, "--to", str(place)])
    assert done.exit_code == 0, done.output
    assert f"{place}: 40 clips, 2 feature sets" in done.output
    assert place.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_missing_store_is_an_error_without_a_page(tmp_path: Path) -> None:
    done = CliRunner().invoke(feat, ["report", str(tmp_path / "none"), "--to", str(tmp_path / "page.html")])
    assert done.exit_code == 1
    assert "is not a feature store" in done.output
    assert not (tmp_path / "page.html").exists()


def test_an_empty_store_has_a_page(tmp_path: Path) -> None:
    made = FeatureStore.create(tmp_path / "features")
    store_report(made.path, tmp_path / "page.html")
    assert "no feature set yet" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on a store whose every text is hostile, with real media of its outliers."""
    folder = tmp_path_factory.mktemp("hostile")
    write_wav(folder / "voice.wav", tone(1.0))
    write_video(folder / "talk.mp4", count=25, sound=(tone(1.0, 44100), 44100))
    made = FeatureStore.create(folder / "features")
    rng = np.random.default_rng(0)
    clips = []
    for n in range(len(HOSTILE) * 4):
        text = HOSTILE[n % len(HOSTILE)]
        media = folder / ("talk.mp4" if n % 2 else "voice.wav")
        words = (Word(text, 0.0, 0.5), Word("good", 0.5, 1.0))
        clips.append(Clip(f"{n}{text}", media, words=words, split=text, labels={text: float(n)},
                          remarks=(f"{text}: detail",)))  # fmt: skip
    columns = tuple(HOSTILE[:3])
    values = {c.id: rng.normal(size=(8, 3)) + (40 if n < len(HOSTILE) else 0) for n, c in enumerate(clips)}
    found = made.add("sound", {name: sequence(of, 1.0, columns) for name, of in values.items()})
    spec = {"extractor": HOSTILE[0], "version": 1, "reads": [], "options": {HOSTILE[1]: HOSTILE[2]}, "digests": {}}
    other = made.open_set("other", spec)
    for clip in clips:
        other.fail(clip.id, "", HOSTILE[1], f"failed: {clip.id}")
    made.record(clips)
    assert len(found) == len(clips)
    place = folder / "page.html"
    store_report(made.path, place)
    return place


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_browser_shows_hostile_text_as_text(hostile_page: Path, browser: Browser, size: tuple[int, int]) -> None:
    browser.open(hostile_page, size)
    assert browser.complaints == []
    assert browser.requests == []
    assert browser.run("document.title") == "Feature store features"
    assert browser.run("document.scripts.length") == 3
    assert (
        browser.run('document.querySelectorAll(\'img:not([src^="data:image/jpeg"]), a:not([href^="#"])\').length') == 0
    )
    shown = str(browser.run("document.body.textContent"))
    for text in HOSTILE:
        assert text in shown


def test_a_page_has_no_sideways_scrolling_on_a_phone(hostile_page: Path, browser: Browser) -> None:
    browser.open(hostile_page, PHONE)
    assert browser.run("document.documentElement.scrollWidth") == PHONE[0]


def test_frames_and_sound_in_a_page_can_be_played(hostile_page: Path, browser: Browser) -> None:
    browser.open(hostile_page)
    assert browser.run("[...document.images].every(image => image.naturalWidth == 160)")
    playable = (
        "new Promise(done => { const sound = document.querySelector('audio'); sound.preload = 'auto';"
        " sound.onloadedmetadata = () => done(sound.duration); sound.onerror = () => done(sound.error.message);"
        " sound.load() })"
    )
    assert browser.run(playable) == pytest.approx(1.0, abs=0.15)  # an MP3 has whole frames and its encoder's delay


def test_no_media_leaves_out_frames_and_sound(store: FeatureStore, tmp_path: Path) -> None:
    write_video(tmp_path / "talk.mp4", count=25)
    store.record([Clip("clip07", tmp_path / "talk.mp4")])
    store_report(store.path, tmp_path / "page.html", media=False)
    assert not re.search(
        "<img|<audio|<svg", (tmp_path / "page.html").read_text(encoding="utf-8").partition("<script")[0]
    )

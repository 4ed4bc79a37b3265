"""What a user should know of how a clip was decoded stays with its features, and is shown."""

from __future__ import annotations

import numpy as np
import plugins_for_tests as plugins
import pytest
from click.testing import CliRunner
from conftest import damage, same_features, tone, write_video, write_wav

from featzoo.cache.align import align_set
from featzoo.cache.check import check_store
from featzoo.cache.merge import merge_stores
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import Entry
from featzoo.cache.shard_reader import notes_of, read_header
from featzoo.cache.shard_writer import write_shard
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.extraction.driver import extract_all
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word
from featzoo.sequence import FeatureSequence

pytestmark = pytest.mark.usefixtures("one_process")
TEXT = "1.20 s of sound are missing at 3.00 s ß"


@pytest.fixture
def store(tmp_path):
    """Of clips a to d; the sound of b and of c is noted."""
    store = FeatureStore.create(tmp_path / "features")
    words = (Word("so", 0.0, 0.2),)
    paths = [write_wav(tmp_path / f"{name}.wav", tone(0.5)) for name in ("a", "noted-b", "noted-c", "d")]
    clips = [Clip(path.name, path, words=words) for path in paths]
    report = extract_all(store, [plugins.Noting(), plugins.NotingModel()], clips, jobs=1)
    assert all(outcome.state == "stored" for outcome in report.outcomes)
    for outcome in report.outcomes:
        assert outcome.notes == (("made-up",) if outcome.clip.startswith("noted") else ())
    return store


@pytest.mark.parametrize("extractor", [plugins.Noting(), plugins.NotingModel()])
def test_a_clips_notes_are_stored_with_its_features(store, extractor):
    found = FeatureStore(store.path)[extractor.key]
    assert found.notes("noted-b.wav") == {"made-up": "noted-b.wav"}
    assert found.notes("a.wav") == {}
    assert found.noted() == {"made-up": ["noted-b.wav", "noted-c.wav"]}


def test_notes_outlive_packing_merging_and_alignment(store, tmp_path):
    key = plugins.Noting().key
    extract_all(store, [plugins.Noting()], [Clip("e", tmp_path / "a.wav")], jobs=1)
    before = store[key]["noted-b.wav"]
    assert list(pack_store(store, grace=0))
    other = FeatureStore.create(tmp_path / "other")
    assert list(merge_stores(other, store))
    aligned = align_set(other, key)
    for found in (store[key], other[key], other[aligned.key]):
        assert found.notes("noted-b.wav") == {"made-up": "noted-b.wav"}
        assert found.notes("d.wav") == {}
    assert same_features(other[key]["noted-b.wav"], before)
    assert not list(check_store(other))


def test_a_shard_without_notes_has_no_data_set_for_them(tmp_path):
    rows = FeatureSequence(np.zeros((2, 1), np.float32), np.zeros((2, 2)), ("x",))
    plain = write_shard(tmp_path, "spec", [Entry("a", "", rows)])
    noted = write_shard(tmp_path, "spec", [Entry("a", "", rows), Entry("b", "", rows, {"gap": TEXT})])
    assert notes_of(read_header(plain), 0) == {}
    assert [notes_of(read_header(noted), number) for number in range(2)] == [{}, {"gap": TEXT}]


def test_notes_are_shown_by_feat_extract_and_feat_show(store, tmp_path):
    def said(*words):
        done = CliRunner().invoke(feat, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    noting = plugins.Noting().key
    assert "note made-up: 2 (noted-b.wav, noted-c.wav)" in said("show", noting, "-o", store.path)
    assert "note made-up: noted-c.wav" in said("show", noting, "noted-c.wav", "-o", store.path)
    assert "note" not in said("show", noting, "a.wav", "-o", store.path)


def test_damaged_frames_are_counted_and_a_limit_fails_the_clip(tmp_path):
    whole = write_video(tmp_path / "whole.mkv", count=100, options={"g": "1"})
    (tmp_path / "clips").mkdir()
    damage(whole, tmp_path / "clips" / "some.mkv", {31, 50, 51})
    damage(whole, tmp_path / "clips" / "much.mkv", set(range(20, 40)))
    run = CliRunner()
    source, names = str(tmp_path / "clips"), ["-x", "motion-energy,frames", "--store", str(tmp_path / "f"), "-j", "1"]
    first = run.invoke(feat, ["extract", source, *names])
    assert first.exit_code == 1
    assert first.output.count("note damaged-frames: 1 (some.mkv)") == 1  # the six frames of `frames` are whole
    assert first.output.count("damaged: 1 (much.mkv)") == 2
    shown = run.invoke(feat, ["show", "motion-energy", "some.mkv", "--store", str(tmp_path / "f")]).output
    assert "note damaged-frames: 3 of 100 frames (3.0%) are damaged" in shown
    listed = run.invoke(feat, ["ls", "motion-energy", "--store", str(tmp_path / "f")]).output
    assert "some.mkv" in listed
    assert "note: damaged-frames" in listed
    again = run.invoke(feat, ["extract", source, *names, "--retry", "--max-damage", "0.25"])
    assert again.exit_code == 0

"""A file that moved from one split to another: extract says so, forget takes the old clip out, gc its features."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat

CLIPS = Path(__file__).parents[2] / "examples" / "clips"

pytestmark = pytest.mark.usefixtures("one_process")


def run(*words):
    return CliRunner().invoke(feat, list(map(str, words)))


def extract(folder, store, **splits):
    (folder / "labels.csv").write_text("id,split\n" + "".join(f"{name},{split}\n" for name, split in splits.items()))
    done = run("extract", folder, "-x", "motion-energy", "-o", store, "-j", 1)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_clip_that_moved_to_another_split(tmp_path):
    folder, store = tmp_path / "videos", tmp_path / "features"
    folder.mkdir()
    for name, copy in (("clip01", "a"), ("clip02", "b"), ("clip03", "c")):
        shutil.copy(next(CLIPS.glob(f"{name}.[mw][pe]*")), folder / f"{copy}.mp4")
    first = extract(folder, store, a="train", b="train", c="test")
    assert "no longer there" not in first
    assert "same content" not in first
    (folder / "a.mp4").rename(folder / "new.mp4")
    second = extract(folder, store, new="test", b="train", c="test")
    assert "1 clip in" in second
    assert "no longer there: a.mp4" in second
    assert "same content: 'a.mp4' (train) and 'new.mp4' (test)" in second

    assert "Nothing was forgotten" in run("forget", "--missing", "-o", store).output
    assert "a.mp4" in FeatureStore(store).clips()
    forgotten = run("forget", "--missing", "--yes", "-o", store)
    assert "1 clip of 4: a.mp4: forgotten" in forgotten.output
    assert set(FeatureStore(store).clips()) == {"new.mp4", "b.mp4", "c.mp4"}
    third = extract(folder, store, new="test", b="train", c="test")
    assert "no longer there" not in third
    assert "same content" not in third

    listed = run("gc", "-o", store)
    assert "1 sequence of a forgotten clip" in listed.output
    assert "a.mp4" in listed.output
    assert run("gc", "--yes", "--grace", 0, "-o", store).exit_code == 0
    run("gc", "--yes", "--grace", 0, "-o", store)
    (found,) = FeatureStore(store).sets()
    assert found.ids() == ["b.mp4", "c.mp4", "new.mp4"]
    assert "nothing to delete" in run("gc", "-o", store).output


def test_clips_are_forgotten_by_id_or_pattern(tmp_path):
    from featzoo.media.clip import Clip

    store = FeatureStore.create(tmp_path / "features")
    store.record([Clip(name) for name in ("old/a", "old/b", "new[1]")])
    assert "no clip id" in run("forget", "older/*", "-y", "-o", store.path).output
    assert run("forget", "-o", store.path).exit_code == 2
    assert run("forget", "new[1]", "old/b", "-y", "-o", store.path).exit_code == 0
    assert FeatureStore(store.path).clip_ids() == ["old/a"]
    assert "nothing to forget" in run("forget", "--missing", "-o", store.path).output

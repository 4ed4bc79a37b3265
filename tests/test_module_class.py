"""An extractor that is not registered, `module:Class`, works in every command and in recipes."""

from __future__ import annotations

import numpy as np
import plugins_for_tests
import pytest
from click.testing import CliRunner
from conftest import ROOT

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat, zoo
from featzoo.errors import MissingFeatures

CLIPS = str(ROOT / "examples" / "clips")
REQUEST = "plugins_for_tests:Loudness[hop=0.2]"
RECIPE = f"""
head = "heads_for_tests:MeanHead"
inputs.audio = {{ features = ["{REQUEST}"], standardise = true }}
target.columns = ["sentiment"]
training.epochs = 1
"""


def run(command, *words):
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, f"{words}: {result.output}"
    return result.output


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(RECIPE)
    return tmp_path


def test_every_command_takes_an_extractor_by_its_class(folder):
    assert "12 stored" in run(feat, "extract", CLIPS, "-x", REQUEST, "-j", "1")
    assert "clip01.mp4" in run(feat, "ls", REQUEST)
    assert "5 rows/s" in run(feat, "show", REQUEST)
    run(feat, "plot", "clip01.mp4", REQUEST)
    assert (folder / "clip01.mp4.png").is_file()
    run(feat, "export", "npz", REQUEST, "out.npz")
    assert "12 cached" in run(feat, "extract", CLIPS, "--for", "./mine.toml", "-j", "1")
    assert "mse" in run(zoo, "train", "./mine.toml", "--device", "cpu")
    (made,) = (folder / "runs").iterdir()
    assert "mae" in run(zoo, "evaluate", str(made), "--device", "cpu")
    predicted = run(zoo, "predict", str(made), f"{CLIPS}/clip02.mp4", "--device", "cpu")
    assert "clip02.mp4" in predicted
    assert "loudness" in run(feat, "gc", "--set", REQUEST, "--yes")
    assert not list(folder.glob("features/loudness-*"))


def test_training_with_media_extracts_with_the_class(folder):
    run(zoo, "train", "./mine.toml", "--media", CLIPS, "--device", "cpu")
    assert len(FeatureStore(folder / "features")["plugins_for_tests:Loudness"]) == 12


def test_a_set_that_another_class_of_the_same_name_made_is_not_taken(folder):
    """`Louder` has the name of `Loudness`, from which it derives."""
    run(feat, "extract", CLIPS, "-x", "plugins_for_tests:Louder", "-j", "1")
    store = FeatureStore(folder / "features")
    assert store["plugins_for_tests:Louder"].spec["version"] == 2
    with pytest.raises(MissingFeatures, match="holds no 'plugins_for_tests:Loudness'"):
        store["plugins_for_tests:Loudness"]


def test_a_set_is_found_where_its_class_cannot_be_imported(folder, monkeypatch):
    run(feat, "extract", CLIPS, "-x", REQUEST, "-j", "1")
    monkeypatch.setitem(__import__("sys").modules, "plugins_for_tests", None)  # importing it fails
    store = FeatureStore(folder / "features")
    assert np.isfinite(store["plugins_for_tests:Loudness"]["clip01.mp4"].features).all()
    assert store.find("plugins_for_tests:Means") is None


def test_a_set_that_does_not_say_its_class_is_found_by_its_name(tmp_path):
    """As in a store of 0.1.0."""
    store = FeatureStore.create(tmp_path / "s")
    made = plugins_for_tests.Loudness()
    store.open_set(made.label, made.spec())
    assert store["plugins_for_tests:Loudness"].key == made.key

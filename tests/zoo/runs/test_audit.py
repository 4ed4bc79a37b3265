"""The audit finds planted leaks by name, and nothing in clean splits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.runs.store_audit import audit_store
from zoo.runs.test_folds import sound

CLEAN = {"split.by": "speaker", "options.penalties": [0.1]}
RANDOM = {"split.by": "clip", "options.penalties": [0.1]}
STORED = {"options.penalties": [0.1]}


@pytest.fixture
def store(tmp_path):
    """Clips with a stored split by speaker: s0 is test, s1 valid."""
    path = sound(tmp_path / "features")
    clips = FeatureStore(path).clips().values()
    split = {"s0": "test", "s1": "valid"}
    FeatureStore(path).record([replace(c, split=split.get(c.categories["speaker"], "train")) for c in clips])
    return path


def found(store, changes=STORED):
    return [(finding.kind, finding.text) for finding in audit_store("svm", store, changes).findings]


def test_splits_by_speaker_are_clean(store):
    assert not found(store)
    assert not found(store, CLEAN)
    (speaker, gap) = audit_store("svm", store, CLEAN).notes
    assert speaker.startswith("the speaker alone predicts emotion with a UAR of")
    assert "in random folds and" in gap


def test_speakers_in_train_and_test_are_named(store):
    (group, *_) = found(store, RANDOM)
    assert group[0] == "group"
    assert "speakers of test are also in train: s" in group[1]


def test_a_renamed_copy_of_a_train_clip_is_named(store):
    opened = FeatureStore(store)
    clips = opened.clips()
    paths = {"s5-2.wav": Path("a.wav"), "s0-1.wav": Path("b.wav")}
    moved = [replace(clips[name], path=path) for name, path in paths.items()]
    opened.record(moved, dict.fromkeys(paths.values(), "the same bytes"))
    assert found(store) == [
        ("media", "the same content in two splits, 1 pair of clips: 's5-2.wav' (train) and 's0-1.wav' (test)")
    ]


def test_nearly_equal_features_are_named(store):
    opened = FeatureStore(store)
    features = {name: np.array(opened.find("egemaps")[name].features) for name in opened.clips()}
    features["s0-4.wav"] = features["s6-3.wav"] * (1 + 1e-4)
    opened.add("egemaps", features)
    ((kind, text),) = found(store)
    assert kind == "features"
    assert text == "1 clip of test with nearly the audio features of a train clip: 's0-4.wav' and 's6-3.wav'"


def test_a_training_prints_and_records_the_audit_and_strict_refuses(store, tmp_path):
    with pytest.raises(FeatzooError, match=r"the audit found leaks, and strict refuses them: .* are also in train"):
        train_recipe("svm", store, tmp_path / "runs", RANDOM, "cpu", strict=True)
    run = train_recipe("svm", store, tmp_path / "runs", RANDOM, "cpu")
    card = (run.path / "README.md").read_text()
    assert "## Audit" in card
    assert "speakers of test are also in train" in card
    assert train_recipe("svm", store, tmp_path / "runs", CLEAN, "cpu", strict=True).path.is_dir()


def test_the_command_exits_with_1_if_it_is_strict(store):
    words = ["audit", str(store), "svm", "--set", "split.by=clip"]
    assert CliRunner().invoke(zoo, words, catch_exceptions=False).exit_code == 0
    done = CliRunner().invoke(zoo, [*words, "--strict"])
    assert done.exit_code == 1
    assert "LEAK  " in done.output

"""All folds of a recipe, from a store to the common table."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import confusion_matrix, recall_score

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.media.clip import Clip
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.folds import train_folds
from featzoo.zoo.runs.run import train_recipe

NAMES = ("angry", "calm", "happy")
FOUR = {"split.folds": 4, "split.by": "speaker", "options.penalties": [0.1]}


def sound(path, speakers=8, clips=6):
    """A store of clips without splits, whose sound tells the class and the speaker."""
    rng = np.random.default_rng(0)
    store = FeatureStore.create(path)
    made, features = [], {}
    for speaker in range(speakers):
        voice = rng.normal(size=5)
        for number in range(clips):
            name, emotion = f"s{speaker}-{number}.wav", number % 3
            made.append(Clip(name, categories={"speaker": f"s{speaker}", "emotion": NAMES[emotion]}))
            features[name] = (rng.normal(size=(4, 5)) + voice + 2 * np.eye(3, 5)[emotion]).astype(np.float32)
    store.add("egemaps", features)
    store.record(made)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return sound(tmp_path_factory.mktemp("sound") / "features")


@pytest.fixture(scope="module")
def folds(store, tmp_path_factory):
    return train_folds("svm", store, tmp_path_factory.mktemp("runs") / "svm-folds", FOUR, "cpu")


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_clip_is_predicted_by_the_fold_that_did_not_see_its_speaker(folds, store):
    rows = table(folds.path / "predictions.csv")
    assert sorted(row["id"] for row in rows) == sorted(FeatureStore(store).clips())
    fold_of = {}
    for row in rows:
        assert fold_of.setdefault(row["speaker"], row["fold"]) == row["fold"]
    assert len(set(fold_of.values())) == 4


def test_the_common_metrics_are_those_of_all_predictions_together(folds):
    rows = table(folds.path / "predictions.csv")
    truth, pred = ([row[key] for row in rows] for key in ("truth", "pred"))
    assert folds.metrics["uar"] == pytest.approx(recall_score(truth, pred, average="macro"))
    recorded = json.loads((folds.path / "metrics.json").read_text())
    assert recorded["splits"]["test"]["head"]["uar"] == folds.metrics["uar"]
    assert recorded["units"] == "8 speakers"
    each = table(folds.path / "folds.csv")
    assert [row["clips"] for row in each] == ["12", "12", "12", "12", "48"]
    assert (folds.path / "confusion.png").is_file()


def test_a_report_on_folds_shows_each_fold_and_the_confusion_of_all(folds, tmp_path):
    done = CliRunner().invoke(zoo, ["report", str(folds.path), "--to", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    assert "1 run, 48 clips of test" in done.output
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    with (folds.path / "folds.csv").open(newline="") as file:
        for row in csv.reader(file):
            assert "".join(row) in re.sub(r"<[^>]*>", "", text)
    figures = json.loads(text.partition('id="figures">')[2].partition("</script>")[0])
    (matrix,) = [figure["data"][0]["text"] for figure in figures if figure["data"][0]["type"] == "heatmap"]
    rows = table(folds.path / "predictions.csv")
    truth, pred = ([row[key] for row in rows] for key in ("truth", "pred"))
    assert matrix == confusion_matrix(truth, pred, labels=NAMES).astype(str).tolist()


def test_folds_are_compared_as_one_run(folds, store, tmp_path):
    """Over the speakers of all folds; with themselves there is no difference."""
    other = train_folds("svm", store, tmp_path / "strong", FOUR | {"options.penalties": [10.0]}, "cpu")
    done = CliRunner().invoke(zoo, ["compare", str(folds.path), str(other.path)])
    assert done.exit_code == 0, done.output
    assert "over 8 speakers" in done.output
    uar = next(line.split() for line in done.output.splitlines() if line.startswith("uar"))
    assert [float(value) for value in uar[1:3]] == pytest.approx([folds.metrics["uar"], other.metrics["uar"]], abs=5e-5)
    same = CliRunner().invoke(zoo, ["compare", str(folds.path), str(folds.path)]).output
    assert next(line.split() for line in same.splitlines() if line.startswith("uar"))[3] == "0.0000"


def test_finished_folds_are_kept(folds, store):
    again = train_folds("svm", store, folds.path, FOUR, "cpu")
    assert all(trial.kept for trial in again.trials)
    assert again.metrics == folds.metrics


@pytest.mark.slow
def test_folds_at_the_same_time_give_the_same(folds, store, tmp_path):
    found = train_folds("svm", store, tmp_path / "svm-folds", FOUR, "cpu", jobs=2)
    for name in ("predictions.csv", "folds.csv", "confusion.csv"):
        assert (found.path / name).read_bytes() == (folds.path / name).read_bytes()


def test_folds_are_trained_again_after_a_change_of_labels(folds, store, tmp_path):
    other = sound(tmp_path / "features")
    clips = list(FeatureStore(other).clips().values())
    FeatureStore(other).record([replace(clips[0], categories={**clips[0].categories, "emotion": "happy"})])
    with pytest.raises(FeatzooError, match="holds another training"):
        train_folds("svm", other, folds.path, FOUR, "cpu")


def test_a_fold_is_evaluated_on_the_split_that_it_was_tested_on(folds):
    for trial in folds.trials[:2]:
        found = evaluate_run(trial.path, device="cpu")
        assert found.stored == found.metrics


def test_a_fitted_head_needs_no_dev_split_and_records_what_it_chose(folds):
    run = folds.trials[0].path
    recorded = json.loads((run / "metrics.json").read_text())
    assert list(recorded["splits"]) == ["test"]
    assert recorded["choices"]["chosen"] == [0.1]


def test_a_head_that_is_trained_by_gradients_asks_for_a_dev_split(store, tmp_path):
    changes = {"split.folds": 4, "split.fold": 1, "split.dev": 0.0}
    with pytest.raises(InvalidOption, match=r"of which split\.dev = 0 makes none: set split\.dev above 0"):
        train_recipe("mlp", store, tmp_path, changes, "cpu")


@pytest.mark.parametrize("name", ["mlp", "attention-pool"])
def test_networks_are_trained_on_one_input(name, store, tmp_path):
    changes = {"split.by": "speaker", "training.epochs": 1}
    run = train_recipe(name, store, tmp_path, changes, "cpu")
    assert set(run.metrics) == {"valid", "test"}


def test_the_command_prints_each_fold_and_all_of_them(store, tmp_path):
    words = ["train", "svm", "--store", str(store), "--runs", str(tmp_path), "--folds", "2", "--set",
             "options.penalties=[0.1]"]  # fmt: skip
    done = CliRunner().invoke(zoo, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "test of all folds, 48 clips" in done.output
    assert "intervals over 8 speakers" in done.output
    assert (tmp_path / "svm-folds" / "predictions.csv").is_file()

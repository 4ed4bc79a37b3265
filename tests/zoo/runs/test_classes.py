"""A training on classes: what is printed, recorded, evaluated, compared and predicted."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner
from sklearn.metrics import confusion_matrix

from featzoo.cli import zoo
from featzoo.commands.predict import _values
from featzoo.zoo.runs.compare import compare
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.predicted import combined
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.target import Target
from zoo.conftest import SMALL, TERMS, fill, make_clips, sets_for

NAMES = ("angry", "calm", "happy")
CHANGES = {
    "target.kind": "class", "target.columns": ["emotion"], "target.weights": "balanced", "target.smoothing": 0.1,
    "training.epochs": 8, "training.batch_size": 8, "training.learning_rates": {"main": 0.01},
    "options.text_hidden": 8, "options.text": 4, "options.audio": 4, "options.vision": 4, "options.fused": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_bert):
    """24, 8 and 8 clips with a class that their sound gives away, and speakers of two clips each."""
    path = tmp_path_factory.mktemp("classes") / "features"
    clips = make_clips()
    named = [
        replace(c, categories={"emotion": NAMES[int(np.digitize(c.labels["sentiment"], [-1, 1]))], "speaker": c.id[:-1]
                               + str(int(c.id[-1]) // 2)})
        for c in clips
    ]  # fmt: skip
    fill(path, named, sets_for(clips), tiny_bert)
    return path


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return train_recipe("tfn", store, tmp_path_factory.mktemp("runs"), CHANGES, "cpu")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_have_names_speakers_and_probabilities(run):
    found = rows(run.path / "predictions.csv")
    assert list(found[0]) == ["id", "split", "speaker", "truth", "pred", *(f"p.{name}" for name in NAMES), "entropy"]
    for row in found:
        shares = [float(row[f"p.{name}"]) for name in NAMES]
        assert float(row["entropy"]) == pytest.approx(scipy.stats.entropy(shares))
        assert sum(shares) == pytest.approx(1, abs=1e-6)
        assert row["pred"] == NAMES[int(np.argmax(shares))]


def test_the_confusion_matrix_is_that_of_the_predictions(run):
    test = [row for row in rows(run.path / "predictions.csv") if row["split"] == "test"]
    expected = confusion_matrix([r["truth"] for r in test], [r["pred"] for r in test], labels=NAMES)
    found = [r for r in rows(run.path / "confusion.csv") if r["split"] == "test"]
    assert [[int(r[name]) for name in NAMES] for r in found] == expected.tolist()
    assert (run.path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_the_recipe_records_the_classes_and_evaluation_gives_the_same_digits(run):
    folder = RunFolder.open_finished(run.path)
    assert folder.recipe.target.classes == NAMES
    assert folder.recipe.target.metrics == "class"
    found = evaluate_run(run.path, device="cpu")
    assert found.metrics == pytest.approx(run.metrics["test"], rel=0, abs=0, nan_ok=True)
    assert str(found.units) == "4 speakers"
    assert folder.predictions("test").truth.shape == (8, 1)
    assert any(name.startswith("all ") for name in run.constant["test"])


def test_few_speakers_cannot_tell(run):
    found = compare([run.path], [run.path])
    assert found["uar"].units.total == 4
    assert not found["uar"].clear
    said = CliRunner().invoke(zoo, ["compare", str(run.path), "--against", str(run.path)]).output
    assert "paired bootstrap over 4 speakers" in said
    assert "4 speakers cannot tell" in said


def test_the_printed_table_has_the_classes(run):
    said = CliRunner().invoke(zoo, ["evaluate", str(run.path), "--device", "cpu"])
    assert said.exit_code == 0, said.output
    assert "intervals over 4 speakers: too few for an interval to be trusted" in said.output
    assert "stored metrics: equal to the last digit" in said.output
    assert [line.split()[0] for line in said.output.splitlines() if line.startswith(NAMES)] == list(NAMES)


def test_psa_mf_learns_classes(store, tmp_path):
    changes = {key: value for key, value in CHANGES.items() if key.startswith("target.")} | SMALL
    run = train_recipe("psa-mf", store, tmp_path, changes, "cpu")
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert set(json.loads(lines[0])["losses"]) == {"ce", *TERMS[1:-1], "total"}  # no products
    assert evaluate_run(run.path, device="cpu").metrics == pytest.approx(run.metrics["test"], rel=0, abs=0, nan_ok=True)


def test_several_classes_at_once_are_probabilities(store, tmp_path):
    changes = CHANGES | {"target.kind": "classes", "target.columns": ["sentiment"]}
    run = train_recipe("lf-dnn", store, tmp_path, changes, "cpu")
    assert set(run.metrics["test"]) >= {"ba", "acc", "f1", "ece"}
    assert all(0 <= float(row["pred"]) <= 1 for row in rows(run.path / "predictions.csv"))
    assert evaluate_run(run.path, device="cpu").metrics == run.metrics["test"]


def test_a_new_clip_gets_a_class_and_its_probability():
    target = Target(("emotion",), "class", NAMES)
    found = combined(target, "a.wav", [[0.2, 0.7, 0.1]], {})
    assert found.values == {"emotion": "calm"}
    assert found.probabilities == {"angry": 0.2, "calm": 0.7, "happy": 0.1}
    assert _values(found) == "emotion calm (0.700)"
    assert combined(Target(("a",)), "a.wav", [[0.5]], {}).values == {"a": 0.5}

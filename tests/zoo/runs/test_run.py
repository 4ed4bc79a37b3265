"""Run folders: everything is there, evaluate gives the stored digits, test labels are out of reach."""

import csv
import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError, InvalidOption, MissingFeatures, StoreError
from featzoo.zoo import files
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.split import Statistics
from featzoo.zoo.heads.psa_mf import PsaMf
from featzoo.zoo.recipe import read
from featzoo.zoo.runs import evaluate
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.load import load_head
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training import frozen_features
from featzoo.zoo.training.evaluation import predictions
from zoo.conftest import SMALL, TERMS, fill, make_clips, read_json, sets_for


def test_the_folder_holds_everything(small_run):
    path = small_run.path
    for name in (
        "recipe.toml", "environment.json", "features.json", "metrics.jsonl", "metrics.json",
        "weights.safetensors",
        "statistics.safetensors", "predictions.csv", "README.md", "curves.png", "encoder.json",
    ):  # fmt: skip
        assert (path / name).stat().st_size > 0, name
    assert list((path / "tensorboard").glob("events.*"))
    assert not list(path.glob(".*"))
    assert path.name.startswith("psa-mf-20")


def test_what_is_recorded(small_run, small_store):
    path = small_run.path
    resolved = read(path / "recipe.toml")
    assert (resolved.training.seed, resolved.training.epochs, resolved.options["clip"]) == (
        1111,
        2,
        "official",
    )
    assert small_run.used["audio"] in (path / "recipe.toml").read_text()
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert set(lines[0]["losses"]) == {*TERMS, "total"}
    environment = read_json(path / "environment.json")
    assert environment["store"] == str(small_store.resolve())
    assert environment["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    features = read_json(path / "features.json")
    assert features["sets"]["audio"]["digest"] == FeatureStore(small_store).find("egemaps").digest
    assert features["clips"]["train"]["clips"] == 24


def test_a_run_says_that_two_splits_have_the_same_content(tmp_path, small_store):
    store = tmp_path / "features"
    shutil.copytree(small_store, store)
    paths = {"train/00": Path("a.mp4"), "test/01": Path("b.mp4")}
    clips = FeatureStore(store).clips()
    moved = [dataclasses.replace(clips[name], path=path) for name, path in paths.items()]
    FeatureStore(store).record(moved, dict.fromkeys(paths.values(), "the same bytes"))
    run = train_recipe("psa-mf", store, tmp_path / "runs", {**SMALL, "training.epochs": 1}, "cpu")
    said = "'train/00' (train) and 'test/01' (test)"
    line = f"the same content in two splits, 1 pair of clips: {said}"
    assert line in read_json(run.path / "environment.json")["audit"]
    assert line in (run.path / "README.md").read_text()


def test_dev_is_predicted_by_weights_that_have_not_seen_the_clip(small_run, small_store):
    """A dev clip's own label changes its prediction by the head, not the one that is stored."""
    folder = RunFolder.open_finished(small_run.path)
    kept, recipe = folder.predictions("valid"), folder.recipe
    store = FeatureStore(small_store)
    dev = load_split(store, recipe, "valid", folder.sets(store), folder.statistics)
    assert kept.ids == dev.ids
    head, size = folder.head(), recipe.training.batch_size
    moved = dev.targets.copy()
    moved[2] += 5
    found = [predictions(head, dev, size, torch.device("cpu"), "main", each) for each in (dev.targets, moved)]
    np.testing.assert_allclose(found[0], kept.pred, atol=1e-6)
    assert found[1][2] == pytest.approx(found[0][2], abs=1e-9)
    assert np.abs(found[1] - found[0]).max() > 0.1


def test_a_run_records_that_an_extraction_has_not_reached_all_clips(tmp_path, small_store):
    path = tmp_path / "features"
    shutil.copytree(small_store, path)
    store = FeatureStore(path)
    made = store.open_set("covarep", {"extractor": "covarep", "version": 1, "reads": ["audio"], "options": {}})
    for name in store.clip_ids()[:30]:
        store.write(made.key, name, store.read("egemaps", name))
    run = train_recipe("psa-mf", path, tmp_path / "runs", {**SMALL, "training.epochs": 1}, "cpu")
    said = f"audio: {made.key} has neither features nor a failure of 10 of 40 clips"
    assert any(line.startswith(said) for line in read_json(run.path / "environment.json")["audit"])


def test_the_model_card_tells_what_was_used(small_run):
    text = (small_run.path / "README.md").read_text()
    assert "each dev clip is predicted by the weights that the other dev clips give" in text
    for part in (
        "train median",
        "bert.minilm-ids",
        "Differences:",
        "this is the paper's control",
        "took no part",
    ):
        assert part in text
    assert re.findall("Licence of (.*)-.*: (.*)", text) == [("egemaps", "no sale.")]


def test_floors_stand_beside_the_head_and_in_the_card(small_run):
    names = {"train mean", "train median", "text length", "audio alone", "personality alone", "linear stack"}
    assert names <= set(small_run.constant["test"])
    assert "audio alone" in (small_run.path / "README.md").read_text()


def test_predictions_give_the_metrics(small_run):
    with (small_run.path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "split", "truth", "pred"]
    for split in ("valid", "test"):
        errors = [abs(float(r["truth"]) - float(r["pred"])) for r in rows if r["split"] == split]
        assert len(errors) == 8
        assert float(np.mean(errors)) == pytest.approx(small_run.metrics[split]["mae"], abs=1e-12)


@pytest.mark.parametrize("split", ["valid", "dev", "test"])
def test_evaluate_gives_the_stored_digits(small_run, split):
    found = evaluate_run(small_run.path, split=split, device="cpu")
    name = "valid" if split == "dev" else split
    assert found.metrics == found.stored == small_run.metrics[name]
    # nan is not equal to itself: a constant has no correlation.
    assert repr(found.constant) == repr(small_run.constant[name])


def test_what_frozen_layers_give_is_not_computed_again_for_the_stored_predictions(small_store, tmp_path, monkeypatch):
    """Batches that the frozen layers read: those of each split once, and dev's first, whose weights name the result."""
    read, distil = [], PsaMf.distil
    monkeypatch.setattr(frozen_features, "_MADE", type(frozen_features._MADE)())
    monkeypatch.setattr(PsaMf, "distil", lambda head, inputs: read.append(1) or distil(head, inputs))
    store = tmp_path / "features"
    shutil.copytree(small_store, store)
    changes = SMALL | {"options.frozen_layers": 2, "training.batch_size": 4, "training.epochs": 1}
    run = train_recipe("psa-mf", store, tmp_path / "runs", changes, "cpu")
    assert len(read) == 24 // 4 + 8 // 4 + 8 // 4 + 1
    for split in ("valid", "test"):
        found = evaluate_run(run.path, store, split, "cpu")
        assert found.metrics == found.stored


def test_evaluate_train_has_nothing_stored(small_run):
    found = evaluate_run(small_run.path, split="train", device="cpu")
    assert (found.stored, found.counts.clips) == (None, 24)


def test_the_saved_weights_are_the_best_epochs(small_run):
    head, saved = load_head(small_run.path), load_file(small_run.path / "weights.safetensors")
    assert not head.training
    assert all(torch.equal(value, saved[key]) for key, value in head.state_dict().items())


def test_a_run_loads_without_the_original_encoder(small_run, tmp_path):
    copy = shutil.copytree(small_run.path, tmp_path / "moved")
    features = read_json(copy / "features.json")
    features["sets"]["text"]["model"] = "/nowhere"
    (copy / "features.json").write_text(json.dumps(features))
    assert load_head(copy).encoder.width == 16


def test_poisoned_test_labels_change_nothing_in_training(tmp_path, tiny_bert):
    weights = []
    for name, flip in (("clean", 1), ("poisoned", -1)):
        clips = make_clips((8, 4, 4))
        sets = sets_for(clips)
        clips = [
            dataclasses.replace(c, labels={"sentiment": flip * c.labels["sentiment"]}) if c.split == "test" else c
            for c in clips
        ]
        fill(tmp_path / name, clips, sets, tiny_bert)
        run = train_recipe("psa-mf", tmp_path / name, tmp_path / "runs", SMALL, "cpu")
        weights.append((load_file(run.path / "weights.safetensors"), run))
    (clean, first), (poisoned, second) = weights
    assert all(torch.equal(clean[key], poisoned[key]) for key in clean)
    assert (first.best_epoch, first.metrics["valid"]) == (second.best_epoch, second.metrics["valid"])
    assert first.metrics["test"] != second.metrics["test"]


def test_other_features_are_refused(small_run, small_store, tmp_path):
    """The same names and widths, made with another option: the digest differs, and that decides."""
    clips = make_clips()
    sets = sets_for(clips)
    store = FeatureStore.create(tmp_path / "features")
    for name, values in (
        ("bert.minilm-ids", "ids"),
        ("bert.minilm", "personality"),
        ("motion-energy", "vision"),
    ):
        store.add(name, sets[values])
    store.add("egemaps", sets["audio"], spec={"options": {"level": "functionals"}})
    store.record(clips)
    with pytest.raises(StoreError, match=r"reads its audio from egemaps-\w+; the store holds egemaps-.*feat extract"):
        evaluate_run(small_run.path, tmp_path / "features")
    empty = FeatureStore.create(tmp_path / "empty")
    with pytest.raises(StoreError, match="the store holds no set of that name"):
        evaluate_run(small_run.path, empty.path)


def test_without_a_test_split_there_is_no_test_metric(tmp_path, tiny_bert):
    clips = make_clips((8, 4, 0))
    fill(tmp_path / "features", clips, sets_for(clips), tiny_bert)
    run = train_recipe("psa-mf", tmp_path / "features", tmp_path / "runs", SMALL, "cpu")
    assert list(run.metrics) == ["valid"]
    with pytest.raises(MissingFeatures, match="no test clip"):
        evaluate_run(run.path, device="cpu")


def test_a_batch_of_one_and_missing_parts_train(tmp_path, tiny_bert):
    clips = make_clips((5, 3, 2))
    sets = sets_for(clips)
    del sets["audio"]["train/00"], sets["audio"]["test/00"], sets["personality"]["train/01"]
    sets["vision"] = {k: v for k, v in sets["vision"].items() if k.startswith("valid")}
    sets["ids"]["train/02"] = np.array([[5]])
    fill(tmp_path / "features", clips, sets, tiny_bert)
    changed = SMALL | {"training.batch_size": 1, "training.epochs": 1}
    run = train_recipe("psa-mf", tmp_path / "features", tmp_path / "runs", changed, "cpu")
    assert run.counts["train"].missing == {"personality": 1, "vision": 5, "audio": 1}
    assert evaluate_run(run.path, device="cpu").metrics == run.metrics["test"]


def test_several_targets(tmp_path, tiny_bert):
    clips = [dataclasses.replace(c, labels={"a": c.labels["sentiment"], "b": 1.0}) for c in make_clips((8, 4, 4))]
    sets = sets_for(make_clips((8, 4, 4)))
    fill(tmp_path / "features", clips, sets, tiny_bert)
    changed = SMALL | {"target.columns": ["a", "b"], "target.metrics": "regression"}
    run = train_recipe("psa-mf", tmp_path / "features", tmp_path / "runs", changed, "cpu")
    assert run.metrics["test"]["mae"] == pytest.approx(
        (run.metrics["test"]["a.mae"] + run.metrics["test"]["b.mae"]) / 2
    )
    assert (run.path / "predictions.csv").read_text().startswith("id,split,truth.a,pred.a,truth.b,pred.b")


@pytest.mark.parametrize(
    ("overrides", "kind", "text"),
    [
        ({"options.hidden": 7}, InvalidOption, "multiple of heads"),
        ({"target.columns": "sentimnt"}, InvalidOption, "did you mean 'sentiment'"),
        ({"inputs.audio.features": ["none"]}, MissingFeatures, r"audio \(any of none\)"),
        ({"training.learning_rates": {"main": 1.0}}, InvalidOption, "lacks 'encoder'"),
    ],
)
def test_errors_come_before_a_run_folder_is_made(small_store, tmp_path, overrides, kind, text):
    with pytest.raises(kind, match=text):
        train_recipe("psa-mf", small_store, tmp_path / "runs", SMALL | overrides, "cpu")
    assert not (tmp_path / "runs").exists()


def test_what_is_not_a_run(tmp_path, small_run):
    with pytest.raises(FeatzooError, match="is not a run folder"):
        load_head(tmp_path)
    copy = shutil.copytree(small_run.path, tmp_path / "cut-off")
    (copy / "metrics.json").unlink()
    with pytest.raises(FeatzooError, match=r"did not finish: it has no metrics\.json"):
        evaluate_run(copy)


def test_json_has_null_for_what_is_not_a_number(tmp_path):
    path = tmp_path / "file.json"
    files.write_json(path, {"a": float("nan"), "b": np.float32(1.5), "c": (1, None)})
    assert read_json(path) == {"a": None, "b": 1.5, "c": [1, None]}


def test_statistics_read_back_exactly(tmp_path):
    statistics = Statistics({"a.b": np.array([1 / 3, 1e-300])}, {"a.b": np.array([2.0, np.pi])})
    files.write_statistics(tmp_path / "s.safetensors", statistics)
    found = files.read_statistics(tmp_path / "s.safetensors")
    np.testing.assert_array_equal(found.mean["a.b"], statistics.mean["a.b"])
    np.testing.assert_array_equal(found.std["a.b"], statistics.std["a.b"])


def test_a_recipe_may_go_without_an_input(small_store, tmp_path):
    changed = SMALL | {"inputs.vision.features": []}
    run = train_recipe("psa-mf", small_store, tmp_path / "runs", changed, "cpu")
    assert run.used["vision"] == ""
    assert run.counts["train"].missing == {"vision": 24}
    assert evaluate_run(run.path, device="cpu").metrics == run.metrics["test"]
    assert "masked for every clip" in (run.path / "README.md").read_text()


def test_the_whole_digest_decides(small_run, tmp_path):
    """Keys hold the digest's first digits only: an equal key with another digest is another set."""
    copy = shutil.copytree(small_run.path, tmp_path / "copy")
    features = read_json(copy / "features.json")
    features["sets"]["audio"]["digest"] = features["sets"]["audio"]["digest"][:-1] + "?"
    (copy / "features.json").write_text(json.dumps(features))
    with pytest.raises(StoreError, match="made with other settings or weights"):
        evaluate_run(copy)


def test_epochs_are_named_shortly_on_the_command_line(small_store, tmp_path):
    words = [
        "train",
        "text-alone",
        "--features",
        str(small_store),
        "--runs",
        str(tmp_path),
        "--epochs",
        "3",
        "--device",
        "cpu",
    ]
    done = CliRunner().invoke(zoo, words)
    assert done.exit_code == 0, done.output
    (run,) = tmp_path.iterdir()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3
    refused = CliRunner().invoke(zoo, ["train", "--resume", str(run), "--epochs", "3"])
    assert refused.exit_code == 2
    assert "a resumed run keeps its recipe" in refused.output


def test_metrics_are_computed_again_with_the_runs_own_number_of_threads(small_run, tmp_path, monkeypatch):
    run = shutil.copytree(small_run.path, tmp_path / "run")
    recorded = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps(recorded | {"threads": 3}))
    before, seen = torch.get_num_threads(), []
    own = evaluate.predictions
    monkeypatch.setattr(evaluate, "predictions", lambda *given: seen.append(torch.get_num_threads()) or own(*given))
    evaluate_run(run, device="cpu")
    assert seen == [3]
    assert torch.get_num_threads() == before

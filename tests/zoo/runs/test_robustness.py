"""Robustness: conditions change the inputs as they say, and the tables and curves show them."""

import csv
import pickle

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from runs_for_tests import make_run

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError
from featzoo.zoo.data.load import load_split
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.robustness import EVERY, RATIOS, SHARES, Condition, _changed, measure_robustness
from featzoo.zoo.runs.run import train_recipe


@pytest.fixture(scope="module")
def run(small_store, tmp_path_factory):
    return train_recipe("lf-dnn", small_store, tmp_path_factory.mktemp("runs"), {"training.epochs": 1}, "cpu").path


@pytest.fixture(scope="module")
def splits(small_store):
    store, recipe = FeatureStore(small_store), find_recipe("lf-dnn")
    train = load_split(store, recipe, "train")
    return train, load_split(store, recipe, "test", statistics=train.statistics)


def test_noise_has_the_power_of_the_train_split_divided_by_the_ratio(splits):
    """In units of the train split's standard deviations, the noise at 0 dB has variance 1, at 20 dB 0.01."""
    train, test = splits
    spread = np.concatenate(train.features["audio"]).std(axis=0)
    for condition, changed in _changed(test, train, ["text", "audio", "vision"]):
        if condition.kind == "noise" and condition.role == "audio":
            pairs = zip(changed.features["audio"], test.features["audio"], strict=True)
            added = np.concatenate([(noisy - clean) / spread for noisy, clean in pairs])
            assert added.size > 300
            assert added.var() == pytest.approx(10 ** (-condition.level / 10), rel=0.2)
            assert changed.features["text"] is test.features["text"]


def test_every_condition_is_measured_and_the_first_is_what_the_run_recorded(run):
    found = measure_robustness(run, device="cpu")
    roles = ["text", "audio", "vision"]
    assert list(found.metrics) == [
        Condition("clean"),
        *(Condition("missing", role) for role in roles),
        *(Condition("noise", role, ratio) for role in [*roles, EVERY] for ratio in RATIOS),
        *(Condition("shortened", EVERY, share) for share in SHARES),
    ]
    clean = found.metrics[Condition("clean")]
    assert [found.metrics[pickle.loads(pickle.dumps(one))] for one in found.metrics] == list(found.metrics.values())
    recorded = RunFolder.open(run).metrics["test"]
    assert all(clean[key] == pytest.approx(value, nan_ok=True) for key, value in recorded.items())


def test_a_missing_input_gives_the_predictions_of_a_store_without_it(run, small_store, splits):
    """As if no clip had the input: the constant part of the head is left."""
    _, test = splits
    head = RunFolder.open(run).head()
    empty = {role: [None] * len(test) for role in test.features}
    _, none = next((c, s) for c, s in _changed(test, splits[0], list(empty)) if c == Condition("missing", "audio"))
    assert all(array is None for array in none.features["audio"])
    padded = none.batch(range(4)).inputs["audio"]
    assert not padded.mask.any()
    assert head(none.batch(range(4)).inputs)["prediction"].isfinite().all()


def test_shortened_clips_keep_their_first_steps(splits):
    train, test = splits
    halves = dict(_changed(test, train, ["text", "audio", "vision"]))[Condition("shortened", EVERY, 0.5)]
    for short, whole in zip(halves.features["audio"], test.features["audio"], strict=True):
        assert len(short) == (len(whole) if len(whole) < 3 else max(2, -(-len(whole) // 2)))
        np.testing.assert_array_equal(short, whole[: len(short)])


def test_the_command_writes_a_table_and_curves_with_other_runs_beside(run, tmp_path):
    recorded = RunFolder.open(run).predictions("test")
    other = make_run(tmp_path / "text-alone", recorded.ids, recorded.truth, recorded.truth * 0, kind="sentiment")
    words = ["robustness", run, "--against", other, "--to", tmp_path / "out", "--device", "cpu"]
    done = CliRunner().invoke(zoo, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert "noise is added to features, with the variance of the train split" in done.output
    lines = {line.split("  ")[0]: line for line in done.output.splitlines()}
    assert "without audio" in lines
    assert "noise in every input, 0 dB" in lines
    assert "run text-alone" in lines
    with (tmp_path / "out" / "robustness.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows].count("noise") == 4 * len(RATIOS)
    mean = float(np.abs(recorded.truth).mean())
    assert float(rows[-1]["mae"]) == pytest.approx(mean)
    assert Image.open(tmp_path / "out" / "robustness.png").size[0] > 1000


def test_runs_on_other_clips_are_refused(run, tmp_path):
    other = make_run(tmp_path / "other", ["a"], np.zeros((1, 1)), np.zeros((1, 1)), kind="sentiment")
    with pytest.raises(FeatzooError, match="do not predict the same clips"):
        measure_robustness(run, others=[other], device="cpu")

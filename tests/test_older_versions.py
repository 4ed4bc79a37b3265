"""Stores and runs that earlier versions wrote are still read, and give what they gave."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.cache.check import check_store
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.load import load_head

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = ["0.1.0"]

# Of clip01.mp4: the shape of its features and their float64 sum, as 0.1.0 read them.
STORED = {
    "egemaps.functionals": ((1, 88), 7544.946835580282),
    "motion-energy": ((6, 7), 73.77928896993399),
    "bert.minilm": ((1, 384), 1.1470374097970364),
}


@pytest.fixture(params=VERSIONS)
def old(request, tmp_path):
    """A copy of a version's fixture that the test may write to."""
    return Path(shutil.copytree(FIXTURES / request.param, tmp_path / request.param))


def test_a_store_is_read(old):
    store = FeatureStore(old / "features")
    assert not list(check_store(store))
    assert {found.name for found in store.sets()} == set(STORED)
    for found in store.sets():
        assert len(found) == 12
        features = found["clip01.mp4"].features
        assert (features.shape, float(features.astype(np.float64).sum())) == STORED[found.name]
        reason = "no-words" if found.name == "bert.minilm" else "empty"
        assert [(failure.clip, failure.reason) for failure in found.failures()] == [("empty.wav", reason)]
    clip = store.clips()["clip10.mp4"]
    assert (clip.split, dict(clip.labels)) == ("test", {"sentiment": 1.8})
    assert clip.words


def test_a_store_is_listed_by_the_command(old):
    done = CliRunner().invoke(feat, ["ls", "-o", str(old / "features")], catch_exceptions=False)
    assert done.exit_code == 0
    assert all(name in done.output for name in STORED)


def test_a_run_gives_the_predictions_and_metrics_that_it_recorded(old):
    """To 1e-5: weights and features are the same bytes; sums differ in their last digits between machines."""
    run = old / "runs" / "lf-dnn"
    assert load_head(run).training is False
    for split in ("valid", "test"):
        found = evaluate_run(run, old / "features", split, "cpu")
        assert found.stored is not None
        for key, value in found.stored.items():
            np.testing.assert_allclose(found.metrics[key], value, atol=1e-5, equal_nan=True, err_msg=key)
    with (run / "predictions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 6
    assert json.loads((run / "metrics.json").read_text())["splits"].keys() == {"valid", "test"}

"""`--without text`: a head trains with the input masked, or says that it cannot."""

import math

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.media.clip import Clip
from featzoo.zoo.runs.folder import RunFolder

CAN = ("ef-lstm", "lf-dnn", "lmf", "mfn", "mult", "tfn")
CANNOT = ("misa", "mmim", "self-mm", "psa-mf", "text-alone")


def train(recipe, store, runs, *words):
    words = ["train", recipe, "--store", store, "--runs", runs, "--epochs", "1", "--device", "cpu", *words]
    return CliRunner().invoke(zoo, list(map(str, words)))


@pytest.mark.parametrize("recipe", CAN)
def test_a_head_on_features_trains_without_text(recipe, small_store, tmp_path):
    done = train(recipe, small_store, tmp_path, "--without", "text")
    assert done.exit_code == 0, done.output
    assert "text: not used" in done.output
    (path,) = tmp_path.iterdir()
    assert all(math.isfinite(value) for value in RunFolder.open_finished(path).metrics["test"].values())


@pytest.mark.parametrize("recipe", CANNOT)
def test_a_head_that_reads_token_ids_says_that_it_cannot(recipe, small_store, tmp_path):
    done = train(recipe, small_store, tmp_path, "--without", "text")
    assert done.exit_code == 1
    assert "cannot go without 'text'" in done.output
    assert not list(tmp_path.iterdir())


def test_motion_energy_as_the_only_vision_draws_a_warning(small_store, tmp_path):
    done = train("lf-dnn", small_store, tmp_path, "--without", "text", "--without", "audio")
    assert done.exit_code == 0, done.output
    assert "warning: vision has no face features, only 3 numbers of motion energy" in done.output


@pytest.mark.parametrize(
    ("recipe", "stored", "hint"),
    [
        ("lf-dnn", ("bert.minilm",), "or go without: zoo train lf-dnn --store {} --without audio --without vision"),
        ("lf-dnn", ("egemaps", "motion-energy"), None),  # many heads cannot go without text
        ("tfidf", ("bert.minilm",), None),  # its only input
    ],
)
def test_what_a_store_lacks_is_left_out_only_where_that_can_work(recipe, stored, hint, tmp_path):
    store = FeatureStore.create(tmp_path / "f")
    store.record([Clip("a", split="train", labels={"sentiment": 1.0})])
    for name in stored:
        store.add(name, {"a": np.zeros((2, 3), np.float32)})
    said = train(recipe, store.path, tmp_path).output
    assert f"extract them: feat extract FOLDER --for {recipe}" in said
    assert ("or go without" in said) == bool(hint)
    assert (hint or "").format(store.path) in said

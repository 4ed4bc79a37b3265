"""Floors beside a run: linear models of single inputs against scikit-learn's, and their stack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.floors import floors, pooled
from featzoo.zoo.runs.linear_floor import PENALTIES, SMALL, fitted, stack_of, stack_weights

SIZES = {"train": 60, "valid": 30, "test": 20}


def made(width, noise=0.5):
    rng = np.random.default_rng(5)
    columns = {name: rng.normal(3, 2, (size, width)) for name, size in SIZES.items()}
    weight = rng.normal(size=(width, 2))
    targets = {name: x @ weight / width**0.5 + rng.normal(0, noise, (len(x), 2)) for name, x in columns.items()}
    return columns, targets


@pytest.mark.parametrize("width", [8, 150])
def test_ridge_is_scikit_learns_with_the_penalty_of_the_least_dev_error(width):
    columns, targets = made(width)
    mean, std = columns["train"].mean(axis=0), columns["train"].std(axis=0)
    standard = {name: (x - mean) / std for name, x in columns.items()}
    models = [Ridge(alpha=a).fit(standard["train"], targets["train"]) for a in PENALTIES]
    best = min(models, key=lambda model: np.abs(model.predict(standard["valid"]) - targets["valid"]).mean())
    found = fitted("numbers", 2, columns, targets)
    assert set(found) == {"valid", "test"}
    for name in found:
        assert np.allclose(found[name], best.predict(standard[name]), atol=1e-8)


def test_unobserved_values_count_as_the_mean_and_unlabelled_clips_not_at_all():
    columns, targets = made(4)
    whole = fitted("numbers", 2, columns, targets)["test"]
    gaps = {name: np.concatenate([x, np.full((len(x), 1), np.nan)], axis=1) for name, x in columns.items()}
    extra = {**gaps, "train": np.concatenate([gaps["train"], np.full((1, 5), 9.0)])}
    unlabelled = {**targets, "train": np.concatenate([targets["train"], np.full((1, 2), np.nan)])}
    assert np.allclose(fitted("numbers", 2, extra, unlabelled)["test"], whole)


def test_classes_get_probabilities_and_a_class_without_train_clips_none():
    columns, _ = made(3)
    targets = {name: (x[:, :1] > 3).astype(float) * 2 for name, x in columns.items()}
    found = fitted("class", 3, columns, targets)["test"]
    assert np.allclose(found.sum(axis=1), 1)
    assert (found[:, 1] == 0).all()
    assert (found.argmax(axis=1) == targets["test"][:, 0]).mean() > 0.9
    labels = {
        name: np.concatenate([x[:, :1] > 3, x[:, 1:2] > -99], axis=1).astype(float) for name, x in columns.items()
    }
    found = fitted("classes", 2, columns, labels)["test"]
    assert ((found[:, 0] > 0.5) == labels["test"][:, 0]).mean() > 0.9
    assert (found[:, 1] == 1).all()  # every train clip has it


def test_a_stack_of_two_halves_of_the_truth_gives_the_truth():
    rng = np.random.default_rng(1)
    dev, test = rng.normal(size=(2, 50)), rng.normal(size=(2, 9))
    found = stack_of(list(dev), dev.sum(axis=0) + 4, list(test))
    assert np.allclose(found, test.sum(axis=0) + 4, atol=0.05)


def splits():
    """Two inputs of which each tells half of the label; the text tells nothing but its length."""
    rng = np.random.default_rng(3)
    found = {}
    for name, size in SIZES.items():
        halves = rng.normal(size=(size, 2))
        features = {
            "audio": [np.float32([[a - 1, 0], [a + 1, np.nan]]) for a, _ in halves],
            "vision": [np.float32([[b]]) if row else None for row, (_, b) in enumerate(halves)],
            "text": [np.zeros((2 + row % 3, 4), dtype=np.float32) for row in range(size)],
        }
        specs = {"audio": InputSpec(2), "vision": InputSpec(1), "text": InputSpec(4)}
        ids = tuple(map(str, range(size)))
        empty = Statistics({}, {})
        found[name] = Split(name, ids, features, halves.sum(axis=1, keepdims=True), specs, empty, Counts(size))
    return found


def test_each_input_alone_and_their_stack_stand_beside_the_head():
    found = floors(find_recipe("lf-dnn"), splits())
    assert list(found) == ["valid", "test"]
    assert list(found["test"]) == ["text length", "text alone", "audio alone", "vision alone", "linear stack"]
    assert "linear stack" not in found["valid"]  # dev fits it
    test = found["test"]
    assert test["linear stack"]["corr"] > 0.9 > 0.8 > max(test["audio alone"]["corr"], test["vision alone"]["corr"])
    assert max(test["text alone"]["mae"], test["text length"]["mae"]) > test["audio alone"]["mae"]


def test_floors_of_labels_0_and_1_predict_no_probability_beyond_them():
    """A regression goes beyond 0 and 1 for clips far from the others; the metrics of such labels refuse that."""
    target = {"target.columns": ["openness"], "target.range": [0.0, 1.0], "target.metrics": "binary"}
    far = {
        name: replace(split, targets=(split.targets > 0).astype(float), ids=tuple(f"{i}/en" for i in split.ids))
        for name, split in splits().items()
    }
    far["test"].features["audio"][0] = np.float32([[99, 0]])
    assert 0.5 <= floors(find_recipe("lf-dnn", target), far)["test"]["audio alone"]["ba"] <= 1


def test_pooling_reads_what_was_observed():
    split = splits()["train"]
    first = np.float64(split.features["audio"][0])
    assert np.allclose(pooled(split, "audio")[0], [first[:, 0].mean(), 0.0, 1.0, 0.0], atol=1e-6)
    assert np.isnan(pooled(split, "vision")[0]).all()


def test_a_stacks_weights_equal_scikit_learns_ridge():
    rng = np.random.default_rng(3)
    y = rng.normal(size=40)
    x = y[:, None] + rng.normal(size=(40, 3)) * np.arange(1, 4)
    y[5] = np.nan
    known = ~np.isnan(y)
    x_known = x[known]
    penalty = SMALL * len(x_known) * (x_known - x_known.mean(axis=0)).var()
    model = Ridge(alpha=penalty).fit(x_known, y[known])
    mean, weight, centre = stack_weights(x, y)
    np.testing.assert_allclose(weight, model.coef_, rtol=1e-8)
    np.testing.assert_allclose((x - mean) @ weight + centre, model.predict(x), rtol=1e-8)


def test_a_stack_of_predictors_that_do_not_vary_predicts_the_mean_of_dev():
    """As in a run of few clips, or of one class: nothing can be fitted."""
    found = stack_of([np.ones(4), np.zeros(4)], np.array([1.0, 2.0, 3.0, 6.0]), [np.ones(2), np.zeros(2)])
    assert found.tolist() == [3.0, 3.0]

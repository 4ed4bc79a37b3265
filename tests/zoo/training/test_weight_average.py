"""The running average of weights."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from featzoo.errors import InvalidOption
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training.weight_average import WeightAverage, decay_of
from zoo.conftest import SMALL


def test_it_is_the_exponential_average_and_the_head_gets_its_own_weights_back():
    head, rng = nn.Linear(3, 2), np.random.default_rng(0)
    average = WeightAverage(head, 0.7)
    expected = None
    for _ in range(6):
        weights = rng.normal(size=(2, 3)).astype(np.float32)
        head.weight.data = torch.from_numpy(weights.copy())
        average.update()
        expected = weights if expected is None else 0.7 * expected + 0.3 * weights
    with average.in_place():
        np.testing.assert_allclose(head.weight.detach().numpy(), expected, rtol=1e-5)  # float32, six steps
    np.testing.assert_array_equal(head.weight.detach().numpy(), weights)


def test_over_an_epoch_a_step_keeps_all_but_its_share():
    assert decay_of(0.98, 4) == 0.98
    assert decay_of("epoch", 80) == pytest.approx(79 / 80)
    assert decay_of("epoch", 1) == 0  # one step an epoch: nothing to average


def test_without_a_decay_it_is_the_head_itself():
    head = nn.Linear(3, 2)
    average, before = WeightAverage(head, 0.0), head.weight.detach().clone()
    average.update()
    with average.in_place():
        assert torch.equal(head.weight, before)
    assert average.state() == {}


def test_its_state_goes_into_another():
    heads = nn.Linear(3, 2), nn.Linear(3, 2)
    one, other = (WeightAverage(head, 0.5) for head in heads)
    one.update()
    other.restore(one.state())
    with one.in_place(), other.in_place():
        assert torch.equal(heads[0].weight, heads[1].weight)
    with pytest.raises(KeyError, match=r"0\.weight"):
        WeightAverage(nn.Sequential(nn.Linear(3, 2)), 0.5).restore(one.state())


def test_frozen_weights_are_not_averaged():
    head = nn.Sequential(nn.Linear(3, 2).requires_grad_(False), nn.Linear(2, 1))
    average = WeightAverage(head, 0.5)
    average.update()
    assert sorted(average.state()) == ["1.bias", "1.weight"]


def test_before_the_first_step_it_is_the_head_itself():
    head = nn.Linear(3, 2)
    average, before = WeightAverage(head, 0.5), head.weight.detach().clone()
    with average.in_place():
        assert torch.equal(head.weight, before)


def test_the_average_is_kept_and_scored(small_store, tmp_path):
    """It changes no step of training, and another result than the weights themselves."""
    plain = train_recipe("text-alone", small_store, tmp_path, TEXT | {"training.average": 0.0}, "cpu")
    averaged = train_recipe("text-alone", small_store, tmp_path, TEXT | {"training.average": 0.9}, "cpu")
    losses = [
        [json.loads(line)["losses"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]
        for run in (plain, averaged)
    ]
    assert losses[0] == losses[1]
    assert plain.metrics["valid"]["mae"] != averaged.metrics["valid"]["mae"]


TEXT = {k: v for k, v in SMALL.items() if k.startswith("training")}


def test_a_decay_of_one_would_never_learn():
    with pytest.raises(InvalidOption, match=r"average must be in \[0, 1\); got 1"):
        find_recipe("psa-mf", {"training.average": 1.0})

"""The training loop: determinism, the choice by dev alone, schedules, stopping, order."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
import torch

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.zoo.batches import Batch
from featzoo.zoo.data import load_split
from featzoo.zoo.head import Head, Padded, make_head
from featzoo.zoo.recipes import Training, find_recipe
from featzoo.zoo.train import Schedule, accelerator_on, evaluate, seed_everything, shuffled, train

from .conftest import SMALL, fill, make_clips, sets_for


@pytest.fixture(scope="module")
def splits(small_store):
    store, recipe = FeatureStore(small_store), find_recipe("psa-mf", SMALL)
    first = load_split(store, recipe, "train")
    return recipe, first, load_split(store, recipe, "valid", statistics=first.statistics)


def fit(splits, on_epoch=lambda epoch: None, **settings):
    recipe, first, dev = splits
    settings = dataclasses.replace(recipe.training, **settings)
    accelerator = accelerator_on("cpu", settings.precision)
    seed_everything(settings.seed)
    head = make_head("psa-mf", recipe.options, first.specs, 1)
    return head, train(head, first, dev, settings, accelerator, on_epoch)


def test_no_test_split_in_the_signature():
    assert not {"test", "tests", "splits", "store"} & set(inspect.signature(train).parameters)


def test_the_seed_decides_everything(splits):
    one, two, three = (fit(splits, seed=seed)[1] for seed in (5, 5, 6))
    assert [e.losses for e in one.epochs] == [e.losses for e in two.epochs]
    assert all(torch.equal(one.weights[k], two.weights[k]) for k in one.weights)
    assert one.epochs[0].losses != three.epochs[0].losses


def test_it_learns_what_can_be_learnt(tmp_path, tiny_bert):
    """The audio carries the label plus noise of standard deviation 1 at every step."""
    clips = make_clips((100, 40, 0))
    store = fill(tmp_path / "features", clips, sets_for(clips), tiny_bert)
    recipe = find_recipe("psa-mf", SMALL)
    first = load_split(store, recipe, "train")
    dev = load_split(store, recipe, "valid", statistics=first.statistics)
    _, result = fit((recipe, first, dev), epochs=6)
    assert result.epochs[-1].losses["l1"] < 0.6 * result.epochs[0].losses["l1"]
    constant = np.abs(dev.targets - np.median(first.targets)).mean()
    assert result.best.dev_mae < 0.5 * constant


def test_the_best_dev_epoch_is_kept_and_loaded(splits):
    recipe, _, dev = splits
    head, result = fit(splits, epochs=6, patience=0)
    assert result.best.dev_mae == min(epoch.dev_mae for epoch in result.epochs)
    _, pred = evaluate(head, dev, recipe.training.batch_size, torch.device("cpu"), "main")
    assert float(np.abs(pred - dev.targets).mean()) == result.best.dev_mae
    assert set(result.epochs[0].losses) == {"l1", "l_ccl", "l_ps", "l_clm", "total"}
    assert set(result.epochs[0].dev_losses) == set(result.epochs[0].losses)


def test_total_is_the_sum_of_the_terms(splits):
    epoch = fit(splits, epochs=1)[1].epochs[0]
    for losses in (epoch.losses, epoch.dev_losses):
        assert losses["total"] == pytest.approx(sum(v for k, v in losses.items() if k != "total"), rel=1e-5)


def test_patience_stops(splits):
    """With learning rates of 0 nothing improves after the first epoch."""
    _, result = fit(splits, epochs=9, patience=2, learning_rates={"main": 0.0, "encoder": 0.0})
    assert len(result.epochs) == 3
    assert result.best.epoch == 1


def test_a_diverging_loss_is_said(splits):
    with pytest.raises(FeatzooError, match=r"epoch \d diverged .*nan.*: lower the learning rates"):
        fit(splits, epochs=3, clip=0.0, learning_rates={"main": 1e30, "encoder": 1e30})


class Probe(Head):
    """A head of one number that records what it is shown."""

    roles = {}
    stages = ("first", "second")

    def __init__(self):
        super().__init__(None, {}, 1)
        self.value = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs):
        """Predict the number."""
        return {
            "prediction": self.value.expand(len(inputs["audio"].values), 1),
            "training": torch.tensor(self.training),
        }

    def losses(self, outputs, targets, stage):
        """Pull it towards 1."""
        self.seen.append((stage, bool(outputs["training"]), len(targets)))
        return {"pull": (outputs["prediction"] - 1).abs().mean()}


def test_stages_run_in_order_and_dev_is_only_evaluated(splits):
    _, first, dev = splits
    head, rates = Probe(), {"main": 0.1}
    result = train(
        head, first, dev, Training(batch_size=10, epochs=1, learning_rates=rates), accelerator_on("cpu", "no")
    )
    for stage, seen in (("first", head.seen[:4]), ("second", head.seen[4:])):
        assert sorted(size for _, training, size in seen[:3] if training) == [4, 10, 10]
        assert seen[3] == (stage, False, 8)
        assert {name for name, _, _ in seen} == {stage}
    assert [epoch.stage for epoch in result.epochs] == ["first", "second"]


@pytest.mark.parametrize("grouped", [True, False])
def test_every_clip_is_drawn_once_an_epoch_and_in_another_order(splits, grouped):
    _, first, _ = splits
    settings, order = Training(batch_size=5, group_by_length=grouped), np.random.default_rng(0)
    one, two = (np.concatenate(shuffled(first, settings, order)).tolist() for _ in range(2))
    assert sorted(one) == sorted(two) == list(range(24))
    assert one != two


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("cosine", [0.5, 1] + [(1 - math.cos(math.pi * k / 6)) / 2 for k in (6, 5, 4, 3, 2, 1)]),
    ],
)
def test_schedules(schedule, expected):
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 2.0}])
    made = Schedule(optimizer, Training(schedule=schedule, warmup=0.25), 8)
    found = []
    for _ in range(8):
        made.step()
        found.append(optimizer.param_groups[0]["lr"] / 2)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("schedule", "last"), [("linear", 0.1 + 0.9 / 4), ("cosine", 0.1 + 0.45 * (1 - 0.5**0.5))])
def test_schedules_end_at_a_share_of_the_rate(schedule, last):
    """Keras's PolynomialDecay of power 1, one step before its end."""
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0}])
    made = Schedule(optimizer, Training(schedule=schedule, end=0.1), 4)
    found = []
    for _ in range(4):
        made.step()
        found.append(optimizer.param_groups[0]["lr"])
    assert found[0] == pytest.approx(1.0)
    assert found[-1] == pytest.approx(last)


def test_plateau_halves_after_its_epochs_without_progress():
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0}])
    made = Schedule(optimizer, Training(schedule="plateau", plateau=2), 100)
    rates = []
    for mae in (1.0, 1.1, 1.1, 1.1, 0.9):
        made.observe(mae)
        made.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5]


def test_bf16_trains(splits):
    _, result = fit(splits, epochs=1, precision="bf16")
    assert math.isfinite(result.best.dev_mae)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:99", "cpu0"])
def test_unknown_devices(device):
    with pytest.raises(InvalidOption, match=f"no device '{device}'"):
        accelerator_on(device, "no")


def test_batches_move_whole():
    tensor = torch.zeros(1, 1, 1)
    batch = Batch(("a",), {"audio": Padded(tensor, tensor[..., 0].bool(), tensor.bool())}, tensor[0])
    moved = batch.to(torch.device("meta"))
    assert moved.targets.device.type == "meta"
    assert all(t.device.type == "meta" for t in moved.inputs["audio"])


def test_gradients_are_clipped(splits):
    """Adam forgets the scale of gradients, but not of those far below its epsilon: then nothing moves."""
    recipe, first, _ = splits
    seed_everything(recipe.training.seed)
    start = make_head("psa-mf", recipe.options, first.specs, 1).state_dict()
    moved = {
        clip: float(
            (fit(splits, epochs=1, clip=clip, weight_decay=0.0)[1].weights["text.weight"] - start["text.weight"])
            .abs()
            .max()
        )
        for clip in (1.0, 1e-14)
    }
    assert moved[1.0] > 1e-4
    assert moved[1e-14] < 1e-7


def test_plateau_is_told_of_dev(splits):
    """Without progress on dev the rates of later epochs are halved."""
    rates = {"main": 0.0, "encoder": 1e-30}
    _, result = fit(splits, epochs=3, patience=1, schedule="plateau", plateau=2, warmup=0.0, learning_rates=rates)
    assert [epoch.rates["encoder"] for epoch in result.epochs] == [1e-30, 1e-30]
    _, result = fit(splits, epochs=6, patience=4, schedule="plateau", plateau=2, warmup=0.0, learning_rates=rates)
    assert [epoch.rates["encoder"] for epoch in result.epochs] == [1e-30] * 4 + [5e-31]


def test_held_on_the_device_or_not_the_numbers_are_the_same(splits):
    one, other = (fit(splits, device_cache=choice)[1] for choice in (False, True))
    assert [epoch.losses for epoch in one.epochs] == [epoch.losses for epoch in other.epochs]
    assert [epoch.dev_losses for epoch in one.epochs] == [epoch.dev_losses for epoch in other.epochs]
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)

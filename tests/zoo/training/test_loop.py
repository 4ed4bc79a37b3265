"""The training loop: determinism, the choice by dev alone, schedules, stopping, order."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
import torch

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.split import Batch, Counts, Split, Statistics
from featzoo.zoo.head import Head, Padded, make_head
from featzoo.zoo.heads.psa_mf import PsaMf
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.dev_stack import DevStack
from featzoo.zoo.recipe import Training, find_recipe
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training.batch_order import shuffled
from featzoo.zoo.training.epoch_choice import criterion_of
from featzoo.zoo.training.evaluation import evaluate, output_of, predictions
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train
from featzoo.zoo.training.schedule import Schedule
from zoo.conftest import SMALL, TERMS, fill, make_clips, sets_for


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
    pred = predictions(head, dev, recipe.training.batch_size, torch.device("cpu"), "main", dev.targets)
    assert float(np.abs(pred - dev.targets).mean()) == result.best.dev_mae
    assert set(result.epochs[0].losses) == {*TERMS, "total"}
    assert set(result.epochs[0].dev_losses) == set(result.epochs[0].losses)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_what_a_head_fits_on_dev_is_that_of_the_best_epoch(splits, average):
    recipe, first, dev = splits
    assert recipe.options["stacked"]
    head, result = fit((recipe, first, dev), epochs=4, patience=0, average=average)
    device = torch.device("cpu")
    _, predicted = evaluate(head, dev, recipe.training.batch_size, device, "main")
    parts = output_of(head, dev, recipe.training.batch_size, device, "predictions")
    fitted = DevStack(parts.shape[1], 1)
    fitted.prepare(torch.from_numpy(first.labels).float())
    assert fitted.level == np.float32(np.median(first.targets))
    fitted.fit(parts, dev.targets)
    for name in ("weight", "shift"):
        np.testing.assert_allclose(getattr(head.stack, name), getattr(fitted, name), rtol=1e-5)  # float32
    np.testing.assert_allclose(predicted, fitted(torch.from_numpy(parts).float()), atol=1e-5)
    left = fitted.left_out(parts, dev.targets)
    assert float(np.abs(left - dev.targets).mean()) == pytest.approx(result.best.dev_mae, abs=1e-12)
    assert result.best.dev_mae > float(np.abs(predicted - dev.targets).mean())


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
        head, first, dev, Training(batch_size=10, epochs=1, learning_rates=rates), accelerator_on("cpu", "fp32")
    )
    for stage, seen in (("first", head.seen[:4]), ("second", head.seen[4:])):
        assert sorted(size for _, training, size in seen[:3] if training) == [4, 10, 10]
        assert seen[3] == (stage, False, 8)
        assert {name for name, _, _ in seen} == {stage}
    assert [epoch.stage for epoch in result.epochs] == ["first", "second"]


class Table(Head):
    """Predicts the row of its epoch, whatever it is told to learn."""

    roles = {}
    by_loss = ("loss",)

    def __init__(self, rows, stage="main"):
        super().__init__(None, {}, 1)
        self.stages, self.rows, self.epoch = (stage,), torch.tensor(rows), -1
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def train(self, mode=True):
        """Called with True once an epoch."""
        self.epoch += mode
        return super().train(mode)

    def forward(self, inputs):
        """The number of the clip is its only feature."""
        chosen = self.rows[self.epoch, inputs["audio"].values[:, 0, 0].long()]
        return {"prediction": chosen[:, None] + 0 * self.unused}

    def losses(self, outputs, targets, stage):
        """Binary cross entropy."""
        return {"bce": torch.nn.functional.binary_cross_entropy(outputs["prediction"], targets)}


# Six clips of yes, two of no. Error and loss like the first row best; balanced accuracy (11/12) the others, of which
# the third has the lowest loss.
EPOCHS = [
    [0.9] * 8,
    [0.55, 0.55, 0.55, 0.55, 0.55, 0.05, 0.45, 0.45],
    [0.60, 0.60, 0.60, 0.60, 0.60, 0.10, 0.40, 0.40],
    [0.52, 0.52, 0.52, 0.52, 0.52, 0.05, 0.48, 0.48],
]


@pytest.mark.parametrize(
    ("metrics", "stage", "chosen", "name", "score"),
    [
        ("regression", "main", 1, "MAE", 0.3),
        ("regression", "loss", 1, "loss", 0.6547),
        ("binary", "main", 3, "BA", 11 / 12),
    ],
)
def test_the_criterion_of_the_recipe_chooses_the_epoch(metrics, stage, chosen, name, score):
    truth = np.array([[1.0]] * 6 + [[0.0]] * 2)
    features = {"audio": [np.array([[number]], dtype=np.float32) for number in range(8)]}
    split = Split("valid", tuple("abcdefgh"), features, truth, {"audio": InputSpec(1)}, Statistics({}, {}), Counts(8))
    settings = Training(batch_size=3, epochs=4, learning_rates={"main": 0.0})
    result = train(
        Table(EPOCHS, stage), split, split, settings, accelerator_on("cpu", "fp32"), criterion=criterion_of(metrics)
    )  # fmt: skip
    assert result.best.epoch == chosen
    assert (result.best.chosen_by, result.best.score) == (name, pytest.approx(score, abs=1e-4))
    assert [epoch.epoch for epoch in result.epochs if epoch.best] == ([1, 2, 3] if metrics == "binary" else [1])


def test_a_dev_split_of_one_class_cannot_choose():
    truth, features = np.ones((8, 1)), {"audio": [np.array([[n]], dtype=np.float32) for n in range(8)]}
    split = Split("valid", tuple("abcdefgh"), features, truth, {"audio": InputSpec(1)}, Statistics({}, {}), Counts(8))
    settings = Training(epochs=1, learning_rates={"main": 0.0})
    with pytest.raises(FeatzooError, match=r"dev cannot choose an epoch: target 1 .* all 8 labels are 1"):
        train(Table(EPOCHS), split, split, settings, accelerator_on("cpu", "fp32"), criterion=criterion_of("binary"))


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


def test_bf16_trains_near_32_bit(splits):
    """Mixed precision: products have 8 bits, so terms differ by about 2^-8 of themselves; weights keep their 32."""
    recipe, first, dev = splits
    options = find_recipe("psa-mf.published", SMALL).options  # with few clips, further terms add up to more than that
    found = {}
    for precision in ("fp32", "bf16"):
        accelerator = accelerator_on("cpu", precision)
        seed_everything(0)
        head = make_head("psa-mf", options, first.specs, 1)
        for module in head.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        products = set()
        dense = head.encoder.layers[0].output.dense
        dense.register_forward_hook(lambda module, given, out, seen=products: seen.add(out.dtype))
        found[precision] = train(head, first, dev, dataclasses.replace(recipe.training, epochs=2), accelerator)
        # Dev is judged in 32 bit.
        assert products == {torch.float32, torch.bfloat16 if precision == "bf16" else torch.float32}
        assert {p.dtype for p in head.parameters()} == {torch.float32}
    for plain, mixed in zip(found["fp32"].epochs, found["bf16"].epochs, strict=True):
        assert mixed.losses != plain.losses
        assert mixed.losses == pytest.approx(plain.losses, rel=0.02)
        assert mixed.dev_mae == pytest.approx(plain.dev_mae, rel=0.02)


def test_a_run_in_mixed_precision_is_evaluated_as_it_was_scored(small_store, tmp_path):
    run = train_recipe("psa-mf", small_store, tmp_path, SMALL | {"training.precision": "bf16"}, "cpu")
    assert evaluate_run(run.path, small_store, "test", "cpu").metrics == run.metrics["test"]


@pytest.mark.parametrize("settings", [{"gradient_checkpointing": True}, {"device_cache": True}])
def test_settings_for_time_or_memory_do_not_change_a_digit(splits, settings):
    one, other = (fit(splits, **each)[1] for each in ({"device_cache": False}, settings))
    assert [(e.losses, e.dev_losses) for e in one.epochs] == [(e.losses, e.dev_losses) for e in other.epochs]
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize("frozen", [0, 2])
def test_a_training_on_kept_layers_is_the_same_training(splits, frozen, monkeypatch):
    """Rounding aside: the frozen layers meet other batches when they are computed once."""
    recipe, first, dev = splits
    recipe = dataclasses.replace(recipe, options={**recipe.options, "frozen_layers": frozen})
    _, kept = fit((recipe, first, dev), epochs=3)
    monkeypatch.setattr(PsaMf, "distil", lambda self, inputs: None)
    _, computed = fit((recipe, first, dev), epochs=3)
    for one, other in zip(kept.epochs, computed.epochs, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-5)
        assert one.dev_mae == pytest.approx(other.dev_mae, rel=1e-5)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:99", "cpu0"])
def test_unknown_devices(device):
    with pytest.raises(InvalidOption, match=f"device '{device}'"):
        accelerator_on(device, "fp32")


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

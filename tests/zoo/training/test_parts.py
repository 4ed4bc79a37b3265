"""Batches that do not fit in the memory: the real loop on a head that raises torch's error, as a full GPU does."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from featzoo.errors import FeatzooError
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import Head, NoOptions, Role
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import Training
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

SETTINGS = Training(batch_size=8, epochs=2, learning_rates={"main": 0.01})


class Hungry(Head):
    """The mean over time and a linear layer, on a device whose memory holds `room` clips."""

    roles: ClassVar = {"audio": Role("features")}
    room = 1000

    def build(self, options, inputs, targets):
        self.out = nn.Linear(inputs["audio"].width, targets)

    def forward(self, inputs):
        values = inputs["audio"].values
        if self.training and len(values) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"prediction": self.out(values.mean(dim=1))}

    def losses(self, outputs, targets, stage):
        return {"mse": (outputs["prediction"] - targets).square().mean()}


def drawn(name, clips):
    rng = np.random.default_rng(clips)
    features = {"audio": [rng.normal(size=(4, 3)).astype(np.float32) for _ in range(clips)]}
    truth, ids = rng.normal(size=(clips, 1)), tuple(f"{name}{number}" for number in range(clips))
    return Split(name, ids, features, truth, {"audio": InputSpec(3)}, Statistics({}, {}), Counts(clips))


def fit(room):
    seed_everything(0)
    splits = [drawn("train", 21), drawn("valid", 5)]
    head = Hungry(NoOptions(), splits[0].specs, 1)
    head.room = room
    return train(head, *splits, SETTINGS, accelerator_on("cpu", "fp32"))


def test_a_batch_in_parts_gives_the_weights_of_the_whole_batch(caplog):
    """21 clips in batches of 8, 8 and 5: three clips fit, so the batches are computed in four parts."""
    whole, parted = fit(1000), fit(3)
    for name, weights in whole.weights.items():
        torch.testing.assert_close(parted.weights[name], weights, rtol=1e-5, atol=1e-6)
    for one, other in zip(whole.epochs, parted.epochs, strict=True):
        assert other.losses == pytest.approx(one.losses, rel=1e-5)
    assert [epoch.parts for epoch in whole.epochs] == [1, 1]
    assert [epoch.parts for epoch in parted.epochs] == [4, 4]
    said = "a batch of 8 clips does not fit in the memory of cpu: continuing in {} parts, adding up their gradients"
    assert [record.getMessage() for record in caplog.records] == [said.format(2), said.format(4)]


def test_a_single_clip_that_does_not_fit_ends_the_training_with_the_settings_to_change():
    with pytest.raises(FeatzooError, match=r"8 clips does not fit in the memory of cpu, even in parts: lower training"):
        fit(0)

"""The events of a training, as TensorBoard's own reader gives them."""

from __future__ import annotations

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from featzoo.errors import StoreError
from featzoo.zoo.runs.events import EventsFile


def test_tensorboard_reads_every_value_and_step(tmp_path):
    file = EventsFile(tmp_path / "tensorboard")
    for step in (1, 2, 3):
        file.add({"train/mse": 0.5 / step, "valid/mae": step}, step)
    file.close()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert read.Tags()["scalars"] == ["train/mse", "valid/mae"]
    assert [(each.step, each.value) for each in read.Scalars("train/mse")] == [
        (step, pytest.approx(0.5 / step)) for step in (1, 2, 3)
    ]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot write to .*file/tensorboard: Not a directory"):
        EventsFile(tmp_path / "file" / "tensorboard")

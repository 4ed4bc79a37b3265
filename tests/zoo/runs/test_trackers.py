"""Trackers get every epoch's values. The packages are large, so a module with their documented functions stands in."""

import sys
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from featzoo.errors import MissingPackage
from featzoo.zoo.runs.run import train_recipe
from zoo.conftest import SMALL


def wandb_like(calls):
    return SimpleNamespace(
        init=lambda project, name, config: calls.append(("init", project, name, config)),
        log=lambda values, step: calls.append(("log", values, step)),
        finish=lambda: calls.append(("finish",)),
    )


def mlflow_like(calls):
    return SimpleNamespace(
        set_experiment=lambda name: calls.append(("experiment", name)),
        start_run=lambda run_name: calls.append(("init", "", run_name, {})),
        log_params=lambda params: calls.append(("params", params)),
        log_metrics=lambda values, step: calls.append(("log", values, step)),
        end_run=lambda: calls.append(("finish",)),
    )


@pytest.mark.parametrize(("name", "like"), [("trackio", wandb_like), ("wandb", wandb_like), ("mlflow", mlflow_like)])
def test_a_tracker_gets_what_tensorboard_gets(name, like, small_store, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setitem(sys.modules, name, like(calls))
    changes = SMALL | {"training.tracker": name}
    run = train_recipe("psa-mf", small_store, tmp_path, changes, "cpu", folder="r")
    assert calls[-1] == ("finish",)
    assert [call[2] for call in calls if call[0] == "init"] == ["r"]
    logged = [call[1:] for call in calls if call[0] == "log"]
    assert [step for _, step in logged] == [1, 2]
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    for tag in events.Tags()["scalars"]:
        assert [values[tag] for values, _ in logged] == pytest.approx([each.value for each in events.Scalars(tag)])


def test_a_tracker_that_is_not_installed_is_named_before_training(small_store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingPackage, match="pip install wandb"):
        train_recipe("psa-mf", small_store, tmp_path, SMALL | {"training.tracker": "wandb"}, "cpu")

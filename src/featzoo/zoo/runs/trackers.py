"""Experiment trackers that a training also logs to, if the user asks for one: trackio, wandb or mlflow."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from featzoo.errors import MissingPackage

PROJECT = "featzoo"
# mlflow's limit of a parameter's length.
LONGEST = 500


class Tracker(NamedTuple):
    """A run in a tracker.

    Attributes:
        add: Logs values by name at a step.
        close: Ends the run.
    """

    add: Callable[[Mapping[str, float], int], Any]
    close: Callable[[], Any]


def open_tracker(package: str, name: str, settings: Mapping[str, Any]) -> Tracker:
    """Start a run in a tracker.

    Args:
        package: trackio, wandb or mlflow.
        name: Name of the run.
        settings: Dotted recipe field to value.

    Raises:
        MissingPackage: If it is not installed.
    """
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingPackage(f"the tracker {package} is not installed: pip install {package}") from error
    if package == "mlflow":
        module.set_experiment(PROJECT)
        module.start_run(run_name=name)
        module.log_params({key: str(value)[:LONGEST] for key, value in settings.items()})
        return Tracker(lambda values, step: module.log_metrics(dict(values), step=step), module.end_run)
    module.init(project=PROJECT, name=name, config=dict(settings))  # trackio has wandb's interface
    return Tracker(lambda values, step: module.log(dict(values), step=step), module.finish)

"""Recipes: TOML files that choose a head, its features and its training. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from featzoo import plugins
from featzoo.config import build, read_toml
from featzoo.devices import Precision
from featzoo.errors import InvalidOption, UnknownName, suggestion
from featzoo.zoo.split_rule import SplitRule
from featzoo.zoo.target import Target

FOLDER = Path(__file__).parent / "recipes"
# Fields that a recipe does not take from the one that it extends.
NOT_INHERITED = ("name", "description", "published", "ablations")


@dataclass(frozen=True)
class Input:
    """The source of one of a head's inputs.

    Attributes:
        features: Requests for feature sets; the first that the store holds is used. With an empty list
            the head is trained with this input masked for every clip.
        rows: Every step, or only the `first` ([CLS] of a BERT set).
        standardise: Subtract the train split's mean and divide by its standard deviation, column by column; or
            `range`: scale the train split's lowest and highest value to 0 and 1.
        max_steps: Maximum number of steps of a clip.
        longer: How a longer clip is shortened: `cut` keeps the first steps (for token ids also the last one, the
            separator), `mean` averages equal spans.
        required: Leave out a clip that lacks this input, instead of masking it.
        of: The clip whose features are read: the clip itself (`itself`), those of the `previous` or `next` utterance of
            the same video, or of the sibling with that name (`en`: the clip `row/en` for `row/fr`); of the same split.
    """

    features: tuple[str, ...]
    rows: Literal["all", "first"] = "all"
    standardise: bool | Literal["range"] = False
    max_steps: int = 500
    longer: Literal["cut", "mean"] = "cut"
    required: bool = False
    of: str = "itself"

    def __post_init__(self) -> None:
        if self.required and not self.features:
            raise ValueError("a required input must name at least one feature set")
        if self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1; got {self.max_steps}")


@dataclass(frozen=True)
class Stage:
    """The settings that differ in one of a head's training stages; 0 keeps those of `Training`.

    Attributes:
        epochs: See `Training`.
        batch_size: See `Training`.
    """

    epochs: int = 0
    batch_size: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 0:
            raise ValueError(f"epochs and batch_size must not be negative; got {self.epochs} and {self.batch_size}")


@dataclass(frozen=True)
class Training:
    """How a head is trained.

    Attributes:
        batch_size: Clips in a step, over all devices.
        epochs: Maximum number of passes over the train split, per stage.
        stages: Name of a stage of the head to the settings that differ there.
        learning_rates: Rate of each parameter group of the head; `main` always exists.
        optimizer: `adam` (weight decay as L2) or `adamw` (decoupled).
        weight_decay: Weight decay of every group.
        decay: What decays: `all` parameters, or only `matrices`: not biases and the weights of norms.
        schedule: `constant`; `linear` or `cosine` down to the share `end` of the rates over all epochs; `plateau`
            halves the rates when the dev MAE has not improved for more than `plateau` epochs.
        plateau: See `schedule`.
        end: See `schedule`.
        warmup: Share of all steps in which the rates rise from 0.
        clip: Maximum norm of gradients; 0 does not clip them.
        patience: Stop after this many epochs without a better dev MAE; 0 never stops.
        average: Dev and test are predicted with a running average of the weights, of which each step keeps this share
            (0.99 is about the last 100 steps); `epoch` averages about the last epoch, whatever its number of steps; 0
            uses the weights themselves.
        group_by_length: Batch clips of similar length (in shuffled pools), which reduces padding.
        checkpoint_seconds: Seconds between the checkpoints from which a run can be resumed.
        device_cache: Keep train and dev on the device and pad there, without copying in the loop. `auto` does so on
            a GPU if they take at most a tenth of its memory. The numbers are the same.
        gradient_checkpointing: The layers of an encoder keep only their inputs and are computed again for the
            gradients: less memory, about a third more time, the same numbers.
        compile: Compile the layers of an encoder for training. Evaluation is never compiled.
        precision: `fp32`; `bf16` and `fp16`: mixed precision in training; `auto`: bf16 on a GPU that has it, else fp32.
        tracker: A tracker that gets every epoch beside TensorBoard's events: `trackio`, `wandb` or `mlflow`.
        seed: Seed of weights, order and dropout.
    """

    batch_size: int = 32
    epochs: int = 20
    stages: Mapping[str, Stage] = field(default_factory=dict)
    learning_rates: Mapping[str, float] = field(default_factory=lambda: {"main": 1e-3})
    optimizer: Literal["adam", "adamw"] = "adamw"
    weight_decay: float = 1e-4
    decay: Literal["all", "matrices"] = "all"
    schedule: Literal["constant", "linear", "cosine", "plateau"] = "constant"
    plateau: int = 5
    end: float = 0.0
    warmup: float = 0.0
    clip: float = 1.0
    patience: int = 10
    average: float | Literal["epoch"] = 0.0
    group_by_length: bool = True
    device_cache: bool | Literal["auto"] = "auto"
    gradient_checkpointing: bool = False
    compile: bool = False
    precision: Precision = "auto"
    checkpoint_seconds: float = 60.0
    tracker: Literal["", "trackio", "wandb", "mlflow"] = ""
    seed: int = 1111

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.epochs < 1:
            raise ValueError(f"batch_size and epochs must be at least 1; got {self.batch_size} and {self.epochs}")
        for name in ("warmup",) if self.average == "epoch" else ("average", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1); got {getattr(self, name)}")
        if not 0 <= self.end <= 1:
            raise ValueError(f"end must be in [0, 1]; got {self.end}")
        numbers = (self.clip, self.patience, self.plateau, self.weight_decay, self.checkpoint_seconds)
        if min(*numbers, *self.learning_rates.values()) < 0:
            raise ValueError(
                "clip, patience, plateau, weight_decay, checkpoint_seconds and learning rates must not be negative"
            )

    def of(self, stage: str) -> Training:
        """The settings of one stage."""
        own = self.stages.get(stage, Stage())
        epochs, batch_size = own.epochs or self.epochs, own.batch_size or self.batch_size
        return replace(self, epochs=epochs, batch_size=batch_size)


@dataclass(frozen=True)
class Ablation:
    """A variant of a recipe, for `zoo ablate`.

    Attributes:
        set: Dotted recipe field to value, such as `inputs.personality.features` to [].
        published: Metric to the value that a paper gives for this variant; empty for a control of ours.
    """

    set: Mapping[str, Any]
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A head with its inputs, target and training.

    Attributes:
        head: Name of a head.
        description: One line.
        inputs: Role to its source.
        target: The labels that the head predicts.
        split: Which clips are train, dev and test.
        options: The head's options that differ from its defaults.
        training: How the head is trained.
        name: The recipe's own name; its file's stem.
        published: Metric to the value that the paper gives for the full model.
        ablations: Name to variant, for `zoo ablate`.
        tune: Dotted field to the values that `zoo tune` tries: a list of choices, or a table with `low`, `high` and
            `log`.
    """

    head: str
    inputs: Mapping[str, Input]
    target: Target
    description: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    split: SplitRule = field(default_factory=SplitRule)
    name: str = ""
    published: Mapping[str, float] = field(default_factory=dict)
    ablations: Mapping[str, Ablation] = field(default_factory=dict)
    tune: Mapping[str, Any] = field(default_factory=dict)


def recipes() -> dict[str, Recipe]:
    """The recipes that come with featzoo and those of other packages, by name.

    Raises:
        InvalidOption: If two packages have a recipe with the same name.
    """
    return {name: read(_only(name, paths)) for name, paths in sorted(plugins.recipe_files(FOLDER).items())}


def _only(name: str, paths: Sequence[Path]) -> Path:
    if len(paths) > 1:
        both = " and ".join(map(str, paths))
        raise InvalidOption(f"the recipe name '{name}' is taken twice, by {both}: rename one, or give a path")
    return paths[0]


def find_recipe(name: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name or path.

    Args:
        name: `psa-mf`, or the path of a .toml file.
        overrides: Dotted field to value, such as `training.epochs` to 3.

    Raises:
        UnknownName: If the recipe does not exist.
        InvalidOption: If the file or an override is invalid.
    """
    path = Path(name)
    if path.suffix == ".toml" and (path.is_file() or path.parent != Path()):
        return read(path, overrides)
    return read(_installed(str(name)), overrides)


def read(path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe from a file, which may contain only the differences from another: `extends = "psa-mf"`.

    `extends` is a recipe's name, or a path relative to the file that ends in .toml. Fields that a recipe does not set
    are taken from the one that it extends, also inside tables, except `published` and `ablations`.

    Raises:
        InvalidOption: If a file or an override is invalid, or recipes extend each other in a circle.
        UnknownName: If the extended recipe does not exist.
    """
    table = _extended(path)
    table.setdefault("name", path.stem)
    for dotted, value in (overrides or {}).items():
        _set(table, dotted.split("."), value, dotted)
    return build(Recipe, table, f"recipe {path.name}")


def _installed(name: str) -> Path:
    """The file of an installed recipe."""
    files = plugins.recipe_files(FOLDER)
    if name not in files:
        raise UnknownName(f"no '{name}' among the recipes{suggestion(name, files)}; a path ends in .toml")
    return _only(name, files[name])


def _extended(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file's table, completed by those that it extends; `above` are those that extend it."""
    table = read_toml(path)
    if "extends" not in table:
        return table
    base = str(table.pop("extends"))
    found = path.parent / base if base.endswith(".toml") else _installed(base)
    if found in (path, *above):
        raise InvalidOption(
            f"recipe {path.name} extends {base}, which extends {path.name}: one of them must not extend another"
        )
    under = _extended(found, (path, *above))
    return _merged({key: value for key, value in under.items() if key not in NOT_INHERITED}, table)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over`, completed by the fields of `under` that it does not set."""
    both = {key: _merged(under[key], over[key]) for key in under.keys() & over.keys() if _tables(under[key], over[key])}
    return {**under, **over, **both}


def _tables(*values: Any) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _set(table: dict[str, Any], keys: list[str], value: Any, dotted: str) -> None:
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InvalidOption(f"cannot set '{dotted}': '{key}' is {inner!r}, not a table")
        table = inner
    table[keys[-1]] = value

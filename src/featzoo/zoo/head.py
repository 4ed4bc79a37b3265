"""The contract of a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from featzoo.config import build
from featzoo.errors import InvalidOption, suggestion
from featzoo.plugins import HEADS, find, parse
from featzoo.sequence import Array
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.objective import Objective


class Padded(NamedTuple):
    """One role's features for a batch.

    Attributes:
        values: (B, T, D) float32, standardised if the recipe requires it, 0 where not observed;
            or (B, T) int64 token ids, 0 for padding. T > 0.
        mask: (B, T) bool, the true steps; a clip without this modality has none.
        observed: Like `values`, bool: the values that were observed.
    """

    values: Tensor
    mask: Tensor
    observed: Tensor


Inputs = Mapping[str, Padded]
Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class Role:
    """One of a head's inputs.

    Attributes:
        description: One line, for `zoo show`.
        ids: Whether it is token ids (T, 1) rather than features (T, D).
        optional: Whether a recipe may leave it out; the head then has no part for it.
        for_losses: Whether only `losses` needs it; the head predicts without it.
    """

    description: str
    ids: bool = False
    optional: bool = False
    for_losses: bool = False


@dataclass(frozen=True)
class NoOptions:
    """The options class of a head without options."""


class Head(nn.Module):
    """A model on features.

    A subclass sets `roles`, and `options_class` if it has options; it makes its layers in `build` and implements
    `forward` and `losses`. Parameters are used in `forward` only, so that several devices can share the head.
    `featzoo.testing.check_head` checks the whole contract.

    Args:
        options: An instance of `options_class`.
        inputs: Role to what the store holds for it.
        targets: K, the number of values predicted for a clip.
        assets: The result of `assets` when the head was trained; None for a head that will be trained.
        objective: What the targets are; numbers by default.

    Attributes:
        roles: Role name to what the head expects of it.
        options_class: A frozen dataclass with the head's options, each with a default.
        predicts: Kinds of targets that the head can learn, see `Objective.kind`. For `class` and `classes` its
            `prediction` is scores, and `losses` uses `self.objective`.
        after_frozen: Names of options that change nothing in what `distil` gives. What it gave is used again by
            trainings that differ in them alone, such as those of `zoo tune`.
        stages: Names of the training stages, in order.
        by_loss: Stages whose best epoch has the lowest dev loss instead of the lowest dev MAE, because they do not
            change predictions.
        memory: Values that training keeps from step to step beside the weights (pseudo labels, earlier batches). They
            are not part of the model, but a resumed training needs them.
        keeps_batches: Whether batches are made of clips of like length although `distil` has shortened them all.
        measured: Roles whose statistics over the train split `measure` gets before training.
        fits_dev: The output that `fit_dev` and `left_out` get after every epoch; empty if the head fits nothing on
            dev.
        specs: The argument `inputs`.
        saved_assets: The argument `assets`.
    """

    roles: ClassVar[Mapping[str, Role]]
    options_class: ClassVar[type] = NoOptions
    predicts: ClassVar[tuple[str, ...]] = ("numbers",)
    after_frozen: ClassVar[tuple[str, ...]] = ()
    stages: tuple[str, ...] = ("main",)
    by_loss: tuple[str, ...] = ()
    keeps_batches: ClassVar[bool] = False
    measured: tuple[str, ...] = ()
    fits_dev: str = ""

    def __init__(
        self,
        options: Any,
        inputs: Mapping[str, InputSpec],
        targets: int,
        assets: Mapping[str, str] | None = None,
        objective: Objective | None = None,
    ) -> None:
        super().__init__()
        self.objective = objective or Objective()
        self.options = options
        self.specs = dict(inputs)
        self.saved_assets = assets
        self.memory: dict[str, Tensor] = {}
        self.build(options, inputs, targets)

    def build(self, options: Any, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers: called once, when the head is made.

        Args:
            options: `self.options`.
            inputs: Role to width and kind of its features.
            targets: K.

        Raises:
            InvalidOption: If the options do not match the features.
        """

    def forward(self, inputs: Inputs) -> Outputs:
        """Predict; never sees a target.

        Returns:
            `prediction` (B, K) and whatever `losses` needs.
        """
        raise NotImplementedError

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """Named terms, already weighted; their sum is minimised and each is logged.

        Args:
            outputs: The result of `forward`.
            targets: (B, K); (B, 1) class numbers if the objective's kind is `class`.
            stage: One of `stages`.
        """
        raise NotImplementedError

    def prepare(self, targets: Tensor) -> None:
        """Called once before training with the (N, K) train targets, for example to set class weights."""

    def measure(self, role: str, mean: Tensor, std: Tensor) -> None:
        """Called before training for each role of `measured`, with its (D,) train means and standard deviations."""

    def fit_dev(self, output: Array, targets: Array) -> None:
        """Called after every epoch, before its score, with the output `fits_dev` on dev and dev's (N, K) targets."""

    def left_out(self, output: Array, targets: Array) -> Array:
        """(N, K) predictions of dev, each by what `fit_dev` would fit without it, for the score; NaN is not seen."""
        raise NotImplementedError

    def begin(self, stage: str) -> None:
        """Called before each of `stages`: choose the part to train. A new head is in its last stage."""

    def reads(self, stage: str) -> tuple[str, ...] | None:
        """The roles that `forward` needs in a stage; None for all of them."""
        return None

    def distil(self, inputs: Inputs) -> Inputs | None:
        """The inputs after the parts that are frozen in this stage; `forward` gets the result instead of the inputs.

        It is computed once before the stage, in evaluation mode. An input that is returned as the same object
        is read from the store as before; one that is not returned is no longer read. None if nothing is frozen.
        """
        return None

    def see(self, rows: Tensor) -> None:
        """Called before each training step with the (B,) row numbers of its clips in the train split of N clips."""

    def parameter_groups(self, stage: str, lr: Mapping[str, float]) -> list[dict[str, Any]]:
        """Groups for the optimiser.

        Args:
            stage: One of `stages`.
            lr: Rate name to learning rate; `main` always exists.

        Raises:
            InvalidOption: If a rate is missing or nothing uses it.
        """
        return groups({"main": [p for p in self.parameters() if p.requires_grad]}, lr)

    def export(self, folder: Path) -> None:
        """Write files for other programs into the run's folder, such as a trained encoder; by default none."""

    def assets(self) -> dict[str, str]:
        """Files (name to text) for the run folder that allow building the head without the original weights."""
        return {}


def groups(named: Mapping[str, list[nn.Parameter]], lr: Mapping[str, float]) -> list[dict[str, Any]]:
    """Optimiser groups, each with the rate of its name.

    Raises:
        InvalidOption: If a rate is missing or nothing uses it.
    """
    for name in named:
        if name not in lr:
            raise InvalidOption(f"training.learning_rates lacks '{name}': this head trains {', '.join(named)}")
    for name in lr:
        if name not in named:
            raise InvalidOption(f"no parameters train at the learning rate '{name}'{suggestion(name, named)}")
    return [{"name": name, "params": params, "lr": lr[name]} for name, params in named.items() if params]


def find_head(name: str) -> type[Head]:
    """The class of the head `name`: an entry point of `featzoo.heads`, or `module:Class`.

    Raises:
        UnknownName: If no head has the name.
        InvalidOption: If the class is not a head.
    """
    found, _ = find(HEADS, parse(name).name)
    if not issubclass(found, Head):
        raise InvalidOption(f"'{name}' is {found.__name__}, which is not a featzoo.zoo.head.Head")
    return found


def roles_for_losses(name: str) -> frozenset[str]:
    """The roles of a head that are not needed for predictions.

    Raises:
        UnknownName: If no head has the name.
    """
    return frozenset(role for role, wanted in find_head(name).roles.items() if wanted.for_losses)


def make_head(
    name: str,
    options: Mapping[str, Any],
    inputs: Mapping[str, InputSpec],
    targets: int,
    assets: Mapping[str, str] | None = None,
    objective: Objective | None = None,
) -> Head:
    """Build a head for the available features.

    Args:
        name: The head.
        options: The options that differ from its defaults.
        inputs: Role to what the store holds for it.
        targets: K.
        assets: The result of `Head.assets` when the head was trained; without it, the original weights are loaded.
        objective: What the targets are; numbers by default.

    Raises:
        UnknownName: If no head has the name.
        InvalidOption: For an unknown option, a missing role, or features or targets of the wrong kind.
        MissingWeights: If an encoder's weights are not on this machine.
    """
    cls = find_head(name)
    check_inputs(name, cls, inputs)
    kind = (objective or Objective()).kind
    if kind not in cls.predicts:
        raise InvalidOption(f"head {name} learns {' or '.join(cls.predicts)}, not {kind}: its losses need them")
    return cls(build(cls.options_class, options, f"head {name}"), inputs, targets, assets, objective)


def check_inputs(name: str, cls: type[Head], inputs: Mapping[str, InputSpec]) -> None:
    """Check that the features match a head's roles.

    Args:
        name: The head's name, for error messages.
        cls: The head.
        inputs: Role to what the store holds for it.

    Raises:
        InvalidOption: For an unknown or missing role, or features of the wrong kind.
    """
    for role in inputs:
        if role not in cls.roles:
            raise InvalidOption(f"head {name} has no input '{role}'{suggestion(role, cls.roles)}")
    for role, wanted in cls.roles.items():
        if wanted.optional and role not in inputs:
            continue
        if role not in inputs:
            raise InvalidOption(f"head {name} needs the input '{role}': {wanted.description}")
        if wanted.for_losses and not inputs[role].given:
            continue
        if wanted.ids and not inputs[role].given:
            raise InvalidOption(f"head {name} cannot go without '{role}': it learns from {wanted.description}")
        if wanted.ids and not inputs[role].ids:
            raise InvalidOption(f"head {name} needs token ids as '{role}', such as bert.ids; the set holds features")
        if inputs[role].ids and not wanted.ids:
            raise InvalidOption(f"head {name} needs features as '{role}'; the set holds token ids")

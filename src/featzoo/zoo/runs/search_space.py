"""What a tuning varies: the recipe's `[tune]` table, or rates, weight decay, dropout and widths by default."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from featzoo.errors import InvalidOption, suggestion
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import find_head
from featzoo.zoo.recipe import Recipe

# Options of heads that are widths of layers.
WIDTHS = {"hidden", "width", "wide", "fused", "fusion", "memory"}


class Suggests(Protocol):
    """The part of an Optuna trial that draws values."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number."""
        ...

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""
        ...


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole numbers if both are. With `log`, even on a logarithmic scale.

    Attributes:
        low: The lowest value; above 0 with `log`.
        high: The highest value.
        log: Whether small values are tried as often as large ones.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise InvalidOption(
                f"a range has low below high, and low above 0 with log; got low = {self.low:g}, high = {self.high:g}"
            )

    def draw(self, name: str, trial: Suggests) -> Any:
        """A value for a trial."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Choices:
    """Values of any kind, such as lists of feature sets."""

    values: tuple[Any, ...]

    def draw(self, name: str, trial: Suggests) -> Any:
        """A value for a trial."""
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in self.values]))


Space = dict[str, Range | Choices]


def search_space(recipe: Recipe) -> Space:
    """Dotted recipe field to the values that are tried.

    Raises:
        InvalidOption: If `[tune]` is wrong, or there is none for a head whose defaults leave nothing to vary.
    """
    space = {name: _read(name, value) for name, value in recipe.tune.items()} if recipe.tune else _usual(recipe)
    if not space:
        raise InvalidOption(
            f"head {recipe.head} has no learning rate, dropout or width to vary: name fields in the [tune] table of a "
            "recipe"
        )
    options = {field.name for field in dataclasses.fields(find_head(recipe.head).options_class)}
    for name in space:
        option = name.removeprefix("options.")
        if option != name and option not in options:
            raise InvalidOption(
                f"[tune] {name}: head {recipe.head} has no option '{option}'{suggestion(option, options)}"
            )
    return space


def _read(name: str, value: Any) -> Range | Choices:
    if isinstance(value, list | tuple) and len(value) > 1:
        return Choices(tuple(value))
    if isinstance(value, Mapping) and value.keys() <= {"low", "high", "log"} and {"low", "high"} <= value.keys():
        numbers = [value["low"], value["high"]]
        if all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
            return Range(numbers[0], numbers[1], bool(value.get("log", False)))
    raise InvalidOption(
        f"[tune] {name} = {value!r}: expected two or more choices, such as [32, 64], or {{ low = 1e-4, high = 1e-2, "
        "log = true }}"
    )


def _usual(recipe: Recipe) -> Space:
    """Rates up to ten times higher and lower, weight decay, every dropout, and widths of half and twice the size."""
    head = find_head(recipe.head)
    if issubclass(head, FittedHead):
        return {}
    rates = recipe.training.learning_rates
    space: Space = {
        f"training.learning_rates.{name}": Range(rate / 10, rate * 10, True) for name, rate in rates.items()
    }
    space["training.weight_decay"] = Range(1e-6, 1e-1, True)
    for field in dataclasses.fields(head.options_class):
        value = recipe.options.get(field.name, field.default)
        if field.name.endswith("dropout") and isinstance(value, float):
            space[f"options.{field.name}"] = Range(0.0, 0.6)
        elif isinstance(value, int) and (field.name in WIDTHS or field.name.endswith("_hidden")) and value > 1:
            space[f"options.{field.name}"] = Choices((value // 2, value, 2 * value))
    return space

"""Options of the commands that train a recipe, and the hints that they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from featzoo.commands.options import DEVICE, FOLDER, STORE
from featzoo.config import parse_value
from featzoo.errors import InvalidOption, MissingFeatures


@dataclass(frozen=True)
class RecipeOptions:
    """What the user asked of a training.

    Attributes:
        store: The feature store.
        runs: Where run folders are made.
        changes: Dotted recipe field to value.
        jobs: Trainings at the same time.
        device: auto, cpu, cuda, cuda:N or mps.
    """

    store: Path
    runs: Path
    changes: dict[str, Any]
    jobs: int
    device: str


OPTIONS = (
    STORE,
    click.option("--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Where run folders are made."),
    click.option("--without", multiple=True, metavar="ROLE", help="Mask this input for every clip; repeatable."),
    click.option("--epochs", type=click.IntRange(1), help="Short for --set training.epochs=N."),
    click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a field of the recipe."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        help="Short for --set training.precision=...: auto trains in bf16 on a GPU that has it.",
    ),
    click.option(
        "--track",
        type=click.Choice(["trackio", "wandb", "mlflow"]),
        help="Short for --set training.tracker=...: log every epoch there too.",
    ),
    click.option("-j", "--jobs", default=1, show_default=True, help="Trainings at the same time, on the CPU."),
    DEVICE,
)


def takes_recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a training, as one `RecipeOptions`."""

    @wraps(command)
    def gathered(
        store: Path,
        runs: Path,
        without: tuple[str, ...],
        epochs: int | None,
        changes: tuple[str, ...],
        precision: str | None,
        track: str | None,
        jobs: int,
        device: str,
        **rest: Any,
    ) -> None:
        table = parse_changes(changes)
        for role in without:
            table |= {f"inputs.{role}.features": [], f"inputs.{role}.required": False}
        if epochs is not None:
            table["training.epochs"] = epochs
        if precision is not None:
            table["training.precision"] = precision
        if track is not None:
            table["training.tracker"] = track
        command(RecipeOptions(store, runs, table, jobs, device), **rest)

    for option in reversed(OPTIONS):
        gathered = option(gathered)
    return gathered


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """`training.epochs=3` strings as a table of dotted fields.

    Raises:
        InvalidOption: If one is not field=value.
    """
    table: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise InvalidOption(f"--set {change}: expected field=value, such as training.epochs=3")
        table[name.strip()] = parse_value(value.strip())
    return table


@contextmanager
def hint_for_missing_features(recipe: str, store: Path) -> Iterator[None]:
    """Add the command that extracts the missing features to the error."""
    try:
        yield
    except MissingFeatures as error:
        if error.roles:
            place = "" if store == Path("features") else f" --store {store}"
            error.hint = f"extract them: feat extract FOLDER --for {recipe}{place}"
            from featzoo.zoo.recipe import find_recipe

            # Many heads cannot go without text, and none without all inputs.
            if "text" not in error.roles and set(find_recipe(recipe).inputs) - set(error.roles):
                without = " ".join(f"--without {role}" for role in error.roles)
                error.hint += f"\nor go without: zoo train {recipe}{place} {without}"
        raise

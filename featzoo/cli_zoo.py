"""The `zoo` commands' printing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featzoo.errors import InvalidOption
from featzoo.recipe import parse_value
from featzoo.zoo.metrics import format_metrics
from featzoo.zoo.recipes import find_recipe, recipes, to_toml

if TYPE_CHECKING:
    from featzoo.zoo.runs import Run


def list_recipes() -> None:
    """Print the recipes."""
    for name, recipe in recipes().items():
        click.echo(f"{name}  {recipe.description}")
        for role, wanted in recipe.inputs.items():
            click.echo(f"    {role}: {' | '.join(wanted.features)}")


def show_recipe(name: str) -> None:
    """Print a recipe as TOML, with every default filled in.

    Raises:
        FeatzooError: If there is no such recipe.
    """
    click.echo(to_toml(find_recipe(name)).rstrip())


def overrides(changes: Sequence[str], seed: int | None) -> dict[str, Any]:
    """`training.epochs=3` strings to a table of changes.

    Raises:
        InvalidOption: If one is not field=value.
    """
    table: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise InvalidOption(f"--set {change}: write field=value, such as training.epochs=3")
        table[name.strip()] = parse_value(value.strip())
    if seed is not None:
        table["training.seed"] = seed
    return table


def train(
    recipe: str,
    features: Path,
    runs: Path,
    seed: int | None,
    changes: Sequence[str],
    without: Sequence[str],
    device: str,
) -> Run:
    """Train, print the metrics, and give the run.

    Raises:
        FeatzooError: If recipe, features, labels, weights or device do not allow it.
    """
    from featzoo.zoo.runs import train_recipe

    table = overrides(changes, seed) | {f"inputs.{role}.features": [] for role in without}
    run = train_recipe(recipe, features, runs, table, device)
    for role, key in run.used.items():
        click.echo(f"{role}: {key or 'without'}")
    click.echo(f"{run.epochs} epochs in {run.seconds:.0f} s; dev chose epoch {run.best_epoch}")
    for split, metrics in run.metrics.items():
        _print(split, metrics, run.constant[split])
    click.echo(f"run: {run.path}")
    click.echo(f"pictures: {run.picture}")
    return run


def evaluate(run: Path, features: Path | None, split: str, device: str) -> None:
    """Compute metrics again and print them.

    Raises:
        FeatzooError: If the run is not finished, or the store holds other features.
    """
    from featzoo.zoo.evaluation import evaluate_run

    found = evaluate_run(run, features, split, device)
    _print(found.split, found.metrics, found.constant)
    if found.stored is not None:
        same = all(found.metrics[k] == v or v != v for k, v in found.stored.items())
        click.echo(f"stored metrics: {'equal to the last digit' if same else 'DIFFER: ' + str(dict(found.stored))}")


def _print(split: str, metrics: Mapping[str, float], constant: Mapping[str, Mapping[str, float]]) -> None:
    name = "dev (valid)" if split == "valid" else split
    click.echo(f"\n{name}")
    click.echo(format_metrics(metrics, constant))

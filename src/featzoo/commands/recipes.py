"""`zoo list` and `zoo show`: the recipes, and which of them a store can train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.options import STORE
from featzoo.config import to_toml
from featzoo.zoo.recipe import Recipe, find_recipe, recipes

if TYPE_CHECKING:
    from featzoo.cache.store import FeatureStore

# Headings, by what a recipe predicts.
TASKS = {
    "sentiment": "Sentiment, from -3 to 3",
    "sims": "Sentiment, from -1 to 1",
    "traits": "Apparent personality, from 0 to 1",
    "regression": "Other numbers",
    "binary": "Yes or no, as probabilities",
}


@click.command(name="list")
@STORE
def list_recipes(store: Path) -> None:
    """List the recipes and what this store can train.

    Recipes marked with a star can be trained on the store; the others name what it lacks.

    \b
    zoo list
    zoo list --store mosi
    """
    from featzoo.cache.store import FeatureStore

    opened = FeatureStore(store) if (store / "STORE.json").is_file() else None
    every = recipes()
    lacking = _lacking(opened, every) if opened is not None else {}
    formatter = click.get_current_context().make_formatter()
    for kind, title in TASKS.items():
        of_kind = {name: recipe for name, recipe in every.items() if recipe.target.metrics == kind}
        if of_kind:
            with formatter.section(title):
                formatter.write_dl([_row(name, recipe, lacking.get(name)) for name, recipe in of_kind.items()])
    click.echo(formatter.getvalue())
    if opened is None:
        click.echo(f"no feature store at {store}: zoo list --store PATH marks the recipes that a store can train")
    else:
        click.echo(f"* can be trained on {store}")


def _lacking(store: FeatureStore, every: Mapping[str, Recipe]) -> dict[str, list[str]]:
    """Name of each recipe to what the store lacks for it."""
    from featzoo.zoo.data.trainable import lacking

    clips = store.clips()
    return {name: lacking(store, recipe, clips) for name, recipe in every.items()}


def _row(name: str, recipe: Recipe, lacking: list[str] | None) -> tuple[str, str]:
    """The name, with a star if the recipe can be trained, and its description with what the store lacks."""
    lacks = f" [lacks {', '.join(lacking)}]" if lacking else ""
    return f"{'*' if lacking == [] else ' '} {name}", recipe.description + lacks


@click.command(name="show")
@click.argument("recipe")
def show_recipe(recipe: str) -> None:
    """Show a recipe with every default filled in.

    RECIPE is a name that `zoo list` shows, or the path of a .toml file. Save the output, change it, and train it by its
    path.

    \b
    zoo show psa-mf
    zoo show psa-mf > mine.toml; zoo train ./mine.toml
    """
    click.echo(to_toml(find_recipe(recipe)).rstrip())

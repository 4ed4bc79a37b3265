"""`zoo list` and `zoo show`: the recipes, and which of them a store can train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.formatting import wrap_text

from featzoo.commands.options import STORE
from featzoo.commands.printing import echo, echo_lines
from featzoo.config import to_toml
from featzoo.errors import InvalidOption
from featzoo.wording import some
from featzoo.zoo.citations import citation
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
    "class": "Classes",
}


@click.command(name="list")
@STORE
@click.option("--pretrained", is_flag=True, help="List the pretrained heads instead.")
def list_recipes(store: Path, pretrained: bool) -> None:
    """List the recipes and what this store can train.

    Each recipe is listed with the inputs that it needs, whether the store can train it, and the features, labels and
    splits that the store lacks for it.

    \b
    zoo list
    zoo list --store mosi
    zoo list --pretrained
    """
    if pretrained:
        _list_pretrained()
        return
    from featzoo.cache.store import FeatureStore

    opened = FeatureStore(store) if (store / "STORE.json").is_file() else None
    every = recipes()
    lacking = _lacking(opened, every) if opened is not None else {}
    columns = click.get_current_context().make_formatter().width
    width = max(map(len, every))
    for kind, title in TASKS.items():
        of_kind = {name: recipe for name, recipe in every.items() if recipe.target.metrics == kind}
        if of_kind:
            echo(f"{title}:", bold=True)
            echo(f"  {'recipe':<{width}}  {'' if opened is None else 'trains  '}needs")
            for name, recipe in of_kind.items():
                row = f"  {name:<{width}}  {_answer(lacking.get(name))}"
                echo_lines(wrap_text(_needs(recipe, lacking.get(name, ())), columns, row, " " * len(row)))
                echo_lines(wrap_text(recipe.description, columns, " " * 6, " " * 6), dim=True)
            echo()
    if opened is None:
        echo(f"no feature store at {store}: zoo list --store PATH says which recipes a store can train")


def _list_pretrained() -> None:
    """Each head, and the file that has its protocol."""
    from featzoo.zoo.runs.pretrained import card, pretrained

    width = click.get_current_context().make_formatter().width
    for name, folder in pretrained().items():
        told = card(name)
        echo(f"{name}: {told.predicts}", bold=True)
        rows = {
            "reads": f"{told.reads} (pip install 'featzoo[{told.needs}]')",
            "held-out": f"{told.held_out}; constant: {told.floor}",
            "data": told.data,
            "licence": told.licence,
            "card": str(folder / "README.md"),
        }
        for title, text in rows.items():
            start = f"  {title + ':':<10}"
            echo_lines(wrap_text(text, width, start, " " * len(start)))
        echo()
    echo("zoo predict NAME CLIPS; zoo predict --help")


def _lacking(store: FeatureStore, every: Mapping[str, Recipe]) -> dict[str, list[str]]:
    """Name of each recipe to what the store lacks for it."""
    from featzoo.zoo.data.trainable import lacking

    clips = store.clips()
    return {name: lacking(store, recipe, clips) for name, recipe in every.items()}


def _answer(lacking: list[str] | None) -> str:
    """Whether the store can train a recipe, as a column of the table; empty without a store."""
    return "" if lacking is None else "no      " if lacking else "yes     "


def _needs(recipe: Recipe, lacking: Sequence[str]) -> str:
    """The inputs that a recipe reads, and what the store lacks for it."""
    needs = ", ".join(role for role, wanted in recipe.inputs.items() if wanted.features)
    return f"{needs} (lacks {some(lacking)})" if lacking else needs


@click.command(name="show")
@click.argument("recipe")
@click.option("--bibtex", is_flag=True, help="Show the entry of its paper instead.")
def show_recipe(recipe: str, bibtex: bool) -> None:
    """Show a recipe with every default filled in.

    RECIPE is a name that `zoo list` shows, or the path of a .toml file. Save the output, change it, and train it by its
    path.

    \b
    zoo show psa-mf
    zoo show psa-mf > mine.toml; zoo train ./mine.toml
    zoo show psa-mf --bibtex
    """
    found = find_recipe(recipe)
    if not bibtex:
        echo_lines(to_toml(found).rstrip())
        return
    entry = citation(found)
    if entry is None:
        raise InvalidOption(f"recipe {found.name} follows no single paper; CITATION.cff has the entry of featzoo")
    echo_lines(entry)

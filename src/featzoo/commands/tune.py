"""`zoo tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.printing import echo, echo_lines
from featzoo.commands.recipe_options import RecipeOptions, hint_for_missing_features, takes_recipe_options
from featzoo.wording import count
from featzoo.zoo.recipe import find_recipe

if TYPE_CHECKING:
    from featzoo.zoo.runs.tune import Tried

# Trials in the table.
SHOWN = 5


@click.command()
@click.argument("recipe")
@click.option("--trials", type=click.IntRange(1), default=50, show_default=True, help="Number of trials in all.")
@click.option("--folds", type=click.IntRange(2), help="Score on N inner folds of train and dev, instead of dev.")
@click.option("--seed", default=1, show_default=True, help="Seed of the search.")
@takes_recipe_options
def tune(options: RecipeOptions, recipe: str, trials: int, folds: int | None, seed: int) -> None:
    """Search for better settings of a recipe, on dev.

    The [tune] table of a recipe says what is varied; by default learning rates, weight decay, dropouts and widths. The
    test split is not read. Trials are kept: the same command continues a stopped search, and several at once share it.

    \b
    zoo tune lf-dnn --store mosi --trials 50
    zoo tune mlp --store emodb --folds 5 -j 2
    zoo train runs/lf-dnn-tune/best.toml --store mosi
    """
    from featzoo.zoo.data.trainable import check_training

    with hint_for_missing_features(recipe, options.store):
        check_training(recipe, options.store, options.changes)
    from featzoo.zoo.runs.tune import Search
    from featzoo.zoo.runs.tune import tune as search

    folder = options.runs / f"{find_recipe(recipe).name}-tune"
    wanted = Search(recipe, options.store, folder, options.changes, trials, folds or 0, seed, options.device)
    found = search(wanted, options.jobs, _tell)
    ended = sorted((trial for trial in found.trials if trial.state == "complete"), key=lambda one: one.score)
    if found.criterion in ("BA", "UAR"):
        ended.reverse()
    others = {state: sum(one.state == state for one in found.trials) for state in ("pruned", "failed")}
    notes = ", ".join(f"{number} {state}" for state, number in others.items() if number)
    where = f"{folds} inner folds" if folds else "dev"
    echo(f"{count(len(found.trials), 'trial')}{' (' if notes else ''}{notes}{')' if notes else ''}, scored on {where}")
    echo_lines(_table(ended[:SHOWN], found.criterion))
    echo(f"best recipe: {found.recipe}")
    echo(f"all trials: {folder / 'history.csv'}")
    place = "" if options.store == Path("features") else f" --store {options.store}"
    echo(f"train it: zoo train {found.recipe}{place}")


def _tell(trial: Tried) -> None:
    score = f"{trial.score:.4f}" if trial.score == trial.score else trial.said or trial.state
    echo(f"trial {trial.number}: {score}  {_values(trial)}", err=True)


def _values(trial: Tried) -> str:
    return "  ".join(
        f"{name.rpartition('.')[2]} {value:.4g}" if isinstance(value, float) else f"{name.rpartition('.')[2]} {value}"
        for name, value in trial.values.items()
    )


def _table(trials: list[Tried], criterion: str) -> str:
    from featzoo.zoo.metrics.tables import text_table

    rows = [["trial", criterion, "values"]]
    rows += [[str(one.number), f"{one.score:.4f}", _values(one)] for one in trials]
    return text_table(rows)

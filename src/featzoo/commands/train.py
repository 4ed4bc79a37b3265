"""The `zoo` command: parse, call one function, print. Nothing heavy is imported before it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from featzoo import __version__
from featzoo.commands.options import DEVICE, FOLDER, Commands

JOBS = click.option("-j", "--jobs", default=1, show_default=True, help="Trainings at the same time, on the CPU.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def zoo() -> None:
    """Train, evaluate and apply published heads on stored features.

    \b
    zoo list
    zoo train psa-mf                         on ./features, into ./runs
    zoo train psa-mf --set training.epochs=3 --seed 7
    zoo evaluate runs/psa-mf-...
    """


@zoo.command(name="list")
def list_recipes() -> None:
    """List the recipes."""
    from featzoo.commands import zoo_printing as cli_runs

    cli_runs.list_recipes()


@zoo.command(name="show")
@click.argument("recipe")
def show_recipe(recipe: str) -> None:
    """Show a RECIPE as it would run, with every default filled in: save it, change it, train it by its path."""
    from featzoo.commands import zoo_printing as cli_runs

    cli_runs.show_recipe(recipe)


@zoo.command()
@click.argument("recipe", required=False)
@click.option("--features", type=FOLDER, default=Path("features"), show_default=True, help="The feature store.")
@click.option("--media", multiple=True, type=FOLDER, metavar="SOURCE", help="First extract what RECIPE needs and the "
              "store lacks from this folder, manifest or file; repeatable.")  # fmt: skip
@click.option("--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Where the run's folder is made.")
@click.option("--without", multiple=True, metavar="ROLE", help="Go without this input; every clip lacks it.")
@click.option("--epochs", type=int, help="Short for --set training.epochs=N.")
@click.option("--seed", type=int, help="Of the training; short for --set training.seed=N.")
@click.option("--seeds", type=int, help="Train so many times, with consecutive seeds, and print mean and spread.")
@click.option("--set", "changes", multiple=True, help="field=value of the recipe: training.epochs=3.")
@JOBS
@click.option("--resume", type=FOLDER, metavar="RUN", help="Go on with a run that was stopped, instead of RECIPE.")
@DEVICE
def train(
    recipe: str | None,
    features: Path,
    media: tuple[Path, ...],
    runs: Path,
    without: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
    seeds: int | None,
    changes: tuple[str, ...],
    jobs: int,
    resume: Path | None,
    device: str,
) -> None:
    """Train RECIPE (a name, or a .toml file) and report dev and test beside a constant predictor.

    \b
    zoo train psa-mf
    zoo train my-recipe.toml --features mosi --device cuda
    zoo train psa-mf --features mosi --without vision
    zoo train psa-mf --features mosi --seeds 5
    zoo train siamese --media videos/
    zoo train --resume runs/psa-mf-2026-11-20-1a2b3c
    """
    from featzoo.commands import extract as cli_extract
    from featzoo.commands import zoo_printing as cli_runs

    if (recipe is None) == (resume is None):
        raise click.UsageError("give a RECIPE, or --resume RUN")
    if recipe is None or resume is not None:
        if without or changes or media or any(given is not None for given in (epochs, seed, seeds)):
            raise click.UsageError(
                "a resumed run keeps its recipe: no --media, --without, --epochs, --seed, --seeds or --set"
            )
        cli_runs.resume(resume or Path(), device)
        return
    table = cli_runs.overrides(changes, seed, without)
    if epochs is not None:
        table["training.epochs"] = epochs
    if media:
        cli_extract.run_for(recipe, media, features, table, device)
    if seeds is not None:
        cli_runs.train_seeds(recipe, features, runs, table, seeds, device, jobs)
    else:
        cli_runs.train(recipe, features, runs, table, device)


@zoo.command()
@click.argument("run", type=FOLDER)
@click.option("--features", type=FOLDER, help="Another feature store than the one it was trained on.")
@click.option("--split", default="test", show_default=True, help="train, valid or test.")
@DEVICE
def evaluate(run: Path, features: Path | None, split: str, device: str) -> None:
    """Compute a RUN's metrics again from its stored weights.

    \b
    zoo evaluate runs/psa-mf-2026-11-20-1a2b3c
    """
    from featzoo.commands import zoo_printing as cli_runs

    cli_runs.evaluate(run, features, split, device)


@dataclass(frozen=True)
class Trials:
    """What the commands take that train a recipe many times."""

    recipe: str
    features: Path
    runs: Path
    changes: dict[str, Any]
    seeds: int
    device: str
    jobs: int


def takes_trials(command: Callable[[Trials], None]) -> Callable[..., None]:
    """A command whose arguments and options become one `Trials`."""

    @wraps(command)
    def gathered(
        seeds: int, epochs: int | None, without: tuple[str, ...], changes: tuple[str, ...], **rest: Any
    ) -> None:
        from featzoo.commands import zoo_printing as cli_runs

        table = cli_runs.overrides(changes, None, without)
        command(Trials(changes=table if epochs is None else {**table, "training.epochs": epochs}, seeds=seeds, **rest))

    for option in (
        DEVICE,
        JOBS,
        click.option("--set", "changes", multiple=True, help="field=value of the recipe, for every variant."),
        click.option("--without", multiple=True, metavar="ROLE", help="Go without this input; every clip lacks it."),
        click.option("--epochs", type=int, help="Short for --set training.epochs=N."),
        click.option("--seeds", default=1, show_default=True, help="Trainings of each variant."),
        click.option("--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Where the folder is made."),
        click.option("--features", type=FOLDER, default=Path("features"), show_default=True, help="The feature store."),
        click.argument("recipe"),
    ):
        gathered = option(gathered)
    return gathered


@zoo.command()
@takes_trials
def ablate(given: Trials) -> None:
    """Train RECIPE and each of its ablations, and print them beside the published table.

    Trainings that are finished are kept: the same command again goes on where it was stopped.

    \b
    zoo ablate psa-mf --features mosi --without vision --seeds 5
    zoo ablate psa-mf --epochs 2
    """
    from featzoo.commands import zoo_printing as cli_runs

    cli_runs.ablate(given.recipe, given.features, given.runs, given.changes, given.seeds, given.device, given.jobs)


@zoo.command()
@takes_trials
def layers(given: Trials) -> None:
    """Train RECIPE aligned at each hidden state of its encoder in turn, and draw the curve.

    Trainings that are finished are kept: the same command again goes on where it was stopped.

    \b
    zoo layers psa-mf --features mosi --without vision --seeds 3
    """
    from featzoo.commands import zoo_printing as cli_runs

    cli_runs.layers(given.recipe, given.features, given.runs, given.changes, given.seeds, given.device, given.jobs)


@zoo.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--against", "others", multiple=True, required=True, type=FOLDER, help="A run of side B; repeatable.")
@click.option("--split", default="test", show_default=True, help="train, valid or test.")
def compare(runs: tuple[Path, ...], others: tuple[Path, ...], split: str) -> None:
    """Is A better than B? RUNS (one, or several seeds) against other runs on the same clips.

    \b
    zoo compare runs/a-s1111 runs/a-s1112 --against runs/b-s1111 --against runs/b-s1112
    """
    from featzoo.commands import zoo_printing as cli_runs

    cli_runs.compare(runs, others, "valid" if split == "dev" else split)


@zoo.command()
@click.argument("run", type=FOLDER)
@click.argument("sources", nargs=-1, required=True, type=FOLDER)
@click.option("--without", multiple=True, metavar="ROLE", help="Mask this input.")
@click.option("--features", type=FOLDER, help="Keep the extracted features in this store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-j", "--jobs", default=-1, show_default=True, help="Worker processes; -1 is one for each core.")
@DEVICE
def predict(
    run: Path,
    sources: tuple[Path, ...],
    without: tuple[str, ...],
    features: Path | None,
    as_json: bool,
    jobs: int,
    device: str,
) -> None:
    """Apply a RUN's head to new clips: SOURCES are media files, folders or manifests, transcripts beside them.

    Just the feature sets that the head was trained on are extracted. Exit status 1 if a clip has no prediction.

    \b
    zoo predict runs/psa-mf-2026-11-20-1a2b3c clip.mp4
    zoo predict runs/psa-mf-2026-11-20-1a2b3c videos/ --json
    """
    from featzoo.commands import zoo_printing as cli_runs

    if cli_runs.predict(run, sources, without, features, as_json, jobs, device):
        raise SystemExit(1)

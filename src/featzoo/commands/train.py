"""`zoo train` and `zoo evaluate`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.ending import status_of
from featzoo.commands.options import DEVICE, ENCODING, FOLDER, RUN, TRUST, Option
from featzoo.commands.printing import echo, echo_lines
from featzoo.commands.recipe_options import RecipeOptions, hint_for_missing_features, takes_recipe_options
from featzoo.errors import TrainingStopped
from featzoo.wording import count
from featzoo.zoo.recipe import find_recipe

if TYPE_CHECKING:
    from featzoo.zoo.runs.run import Run


@click.command()
@click.argument("recipe", required=False)
@click.option("--media", multiple=True, type=FOLDER, metavar="SOURCE",
              help="First extract missing features from this folder, manifest or file; repeatable.")  # fmt: skip
@ENCODING
@click.option("--seed", type=int, help="Random seed; short for --set training.seed=N.")
@click.option("--seeds", type=click.IntRange(1), help="Train N times with consecutive seeds; print mean and spread.")
@click.option("--folds", metavar="N|leave-one-out", help="Train N folds, or one for each name in --by.")
@click.option("--by", metavar="COLUMN", help="Keep clips with one name in this column in one split; default: speaker.")
@click.option("--strict", is_flag=True, help="Refuse to train if `zoo audit` would find a leak.")
@click.option("--resume", type=FOLDER, metavar="RUN", help="Resume this stopped run, instead of RECIPE.")
@TRUST
@takes_recipe_options
def train(
    options: RecipeOptions,
    recipe: str | None,
    media: tuple[Path, ...],
    encoding: str | None,
    seed: int | None,
    seeds: int | None,
    folds: str | None,
    by: str | None,
    strict: bool,
    resume: Path | None,
    trust: bool,
) -> None:
    """Train a recipe and score it on dev and test.

    RECIPE is a name that `zoo list` shows, or the path of a .toml file. Metrics are printed beside those of a constant
    predictor.

    \b
    zoo train psa-mf
    zoo train psa-mf --store mosi --without vision
    zoo train siamese --media videos/
    zoo train svm --store emodb --folds leave-one-out --by speaker
    zoo train --resume runs/psa-mf-2026-11-20-1a2b3c
    """
    if (recipe is None) == (resume is None):
        raise click.UsageError("give a RECIPE, or --resume RUN")
    if resume is not None:
        if options.changes or media or encoding or strict or (seed, seeds, folds, by) != (None, None, None, None):
            raise click.UsageError(
                "a resumed run keeps its recipe: no --media, --encoding, --without, --epochs, --seed, --seeds, "
                "--folds, --by, --strict or --set"
            )
        _resume(resume, options.device, trust)
        return
    recipe = str(recipe)
    if seed is not None:
        options.changes["training.seed"] = seed
    if folds is not None:
        options.changes["split.folds"] = int(folds) if folds.isdecimal() else folds
    if by is not None:
        options.changes["split.by"] = by
    if media:
        _extract(recipe, media, encoding, options)
    _train(options, recipe, seeds, strict)


def _extract(recipe: str, sources: tuple[Path, ...], encoding: str | None, options: RecipeOptions) -> None:
    """Extract what a recipe needs and the store lacks, and print a report; training masks clips that failed."""
    from featzoo.commands.extract import run
    from featzoo.commands.selection import Selection
    from featzoo.extraction.options import ExtractOptions

    selection = Selection(sources, recipe=recipe, changes=options.changes, encoding=encoding)
    run(selection, options.store, ExtractOptions(device=options.device))


def _train(options: RecipeOptions, recipe: str, seeds: int | None, strict: bool) -> None:
    from featzoo.zoo.data.trainable import check_training

    with hint_for_missing_features(recipe, options.store):
        check_training(recipe, options.store, options.changes)
        from featzoo.commands.trials import train_every_fold, train_seeds
        from featzoo.zoo.runs.run import train_recipe

        several = find_recipe(recipe, options.changes).split.all_folds
        if strict and (several or seeds is not None):
            raise click.UsageError("--strict checks one training: run zoo audit --strict before several of them")
        if seeds is not None and several:
            raise click.UsageError("give --seeds or folds, not both")
        if several:
            train_every_fold(options, recipe)
        elif seeds is not None:
            train_seeds(options, recipe, seeds)
        else:
            with telling_how_to_resume(options.device):
                run = train_recipe(recipe, options.store, options.runs, options.changes, options.device, strict=strict)
            print_run(run)


def _resume(run: Path, device: str, trust: bool) -> None:
    from featzoo.zoo.runs.folder import RunFolder

    RunFolder.open(run)  # refuses a wrong folder before torch is imported
    from featzoo.zoo.runs.run import resume_run

    with telling_how_to_resume(device):
        finished = resume_run(run, device, trust)
    print_run(finished)


@contextmanager
def telling_how_to_resume(device: str) -> Iterator[None]:
    """Print the command that resumes a training that is stopped in the block, and exit as an interrupted command."""
    try:
        yield
    except TrainingStopped as stopped:
        if os.environ.get("RANK", "0") == "0":  # of several processes, only the first one prints
            state = f"the state after epoch {stopped.saved} is saved" if stopped.saved else "no epoch is saved"
            words = ["zoo", "train", "--resume", str(stopped.run)] + (["--device", device] if device != "auto" else [])
            echo_lines(f"\nstopped: {state}. To continue:\n{shlex.join(words)}", err=True)
        raise SystemExit(status_of(stopped)) from None


@click.command()
@click.argument("run", type=RUN)
@click.option("-o", "--store", cls=Option, older=("--features",), type=FOLDER,
              help="Another feature store than the one the run was trained on.")  # fmt: skip
@click.option("--split", default="test", show_default=True, help="train, valid (dev) or test.")
@TRUST
@DEVICE
def evaluate(run: Path, store: Path | None, split: str, trust: bool, device: str) -> None:
    """Compute a run's metrics again from its stored weights.

    The metrics come with 95 % bootstrap intervals over speakers, or over clips that have no speakers.

    \b
    zoo evaluate runs/psa-mf-2026-11-20-1a2b3c
    zoo evaluate runs/psa-mf-2026-11-20-1a2b3c --store other --split dev
    """
    from featzoo.zoo.runs.folder import RunFolder

    RunFolder.open_finished(run)
    from featzoo.zoo.runs.evaluate import evaluate_run

    found = evaluate_run(run, store, split, device, trust)
    print_metrics(found.split, found.metrics, found.constant, found.intervals)
    few = "" if found.units.enough else ": too few for an interval to be trusted"
    echo(f"intervals over {found.units}{few}")
    if found.stored is not None:
        same = all(found.metrics[k] == v or v != v for k, v in found.stored.items())
        echo(f"stored metrics: {'equal to the last digit' if same else 'DIFFER: ' + str(dict(found.stored))}")


def print_run(run: Run) -> None:
    """Print a finished training; of several processes, only the first one prints."""
    from accelerate.state import PartialState

    if not PartialState().is_main_process:
        return
    for role, key in run.used.items():
        echo(f"{role}: {key or 'not used'}")
    if run.epochs:
        said = f"{count(run.epochs, 'epoch')} in {run.seconds:.0f} s; best epoch on dev: {run.best_epoch}"
        if run.chosen_by:
            name, best, last = run.chosen_by
            said += f" ({name} {best:.4f}; last epoch {last:.4f})"
        echo(said)
    else:
        echo(f"fitted in {run.seconds:.0f} s")
    for split, metrics in run.metrics.items():
        print_metrics(split, metrics, run.constant[split])
    echo(f"run: {run.path}")
    if run.picture.exists():
        echo(f"plots: {run.picture}")


def print_metrics(
    split: str,
    metrics: Mapping[str, float],
    constant: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Print the table of one split's metrics."""
    from featzoo.zoo.metrics.tables import format_metrics

    echo_lines(f"\n{'dev (valid)' if split == 'valid' else split}")
    echo_lines(format_metrics(metrics, constant, intervals))

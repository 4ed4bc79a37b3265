"""Commands that train a recipe several times, or compare runs: `zoo ablate`, `zoo layers` and `zoo compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featzoo.commands.options import RUN
from featzoo.commands.printing import echo, echo_lines
from featzoo.commands.recipe_options import RecipeOptions, hint_for_missing_features, takes_recipe_options
from featzoo.wording import count
from featzoo.zoo.recipe import find_recipe

if TYPE_CHECKING:
    from featzoo.zoo.runs.trials import Trial

# The metrics in a table of trials, by kind of target.
SHOWN = {
    "sentiment": ("mae", "corr", "acc2_non0", "f1_non0"),
    "sims": ("mae", "corr", "mult_acc2", "f1"),
    "regression": ("mae", "corr", "ccc"),
    "traits": ("r_acc", "ccc", "r2"),
    "binary": ("ba", "f1", "ece"),
    "class": ("uar", "acc", "f1_macro"),
}
SEEDS = click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Trainings per variant.")


@click.command()
@click.argument("recipe")
@SEEDS
@takes_recipe_options
def ablate(options: RecipeOptions, recipe: str, seeds: int) -> None:
    """Train a recipe and its ablations.

    The table shows each result beside the published one.

    Finished trainings are kept: run a stopped command again to continue it.

    \b
    zoo ablate psa-mf --store mosi --without vision --seeds 5
    zoo ablate psa-mf --epochs 2
    """
    _check(options, recipe)
    from featzoo.zoo.runs.trials import variants

    wanted = variants(find_recipe(recipe, options.changes), options.changes)
    _run(options, recipe, _folder(options, recipe, "ablation"), wanted, seeds)


@click.command()
@click.argument("recipe")
@SEEDS
@takes_recipe_options
def layers(options: RecipeOptions, recipe: str, seeds: int) -> None:
    """Train a recipe aligned at each layer of its encoder.

    The table is printed and the curve drawn. Finished trainings are kept: run a stopped command again to continue it.

    \b
    zoo layers psa-mf --store mosi --without vision --seeds 3
    """
    _check(options, recipe)
    from featzoo.durable import write
    from featzoo.zoo.runs.report import layer_curve
    from featzoo.zoo.runs.trials import layer_variants, spread

    with hint_for_missing_features(recipe, options.store):
        wanted = layer_variants(find_recipe(recipe, options.changes), options.store, options.changes)
    folder = _folder(options, recipe, "layers")
    trials = _run(options, recipe, folder, wanted, seeds)
    splits = [split for split in ("valid", "test") if all(split in trial.metrics for trial in trials)]
    points = {
        split: [spread([t for t in trials if t.variant == name], split, "mae") for name in wanted] for split in splits
    }
    write(folder / "layers.png", layer_curve(list(wanted), points, "MAE"))
    echo(f"plot: {folder / 'layers.png'}")


def _check(options: RecipeOptions, recipe: str) -> None:
    """Refuse what cannot be trained, before torch is imported."""
    from featzoo.zoo.data.trainable import check_training

    with hint_for_missing_features(recipe, options.store):
        check_training(recipe, options.store, options.changes)


def train_seeds(options: RecipeOptions, recipe: str, seeds: int) -> None:
    """Train with several seeds; print each one, their mean and spread.

    Raises:
        FeatzooError: If recipe, features, labels, weights or device do not allow it.
    """
    _run(options, recipe, _folder(options, recipe, "seeds"), {"full model": options.changes}, seeds)


def train_every_fold(options: RecipeOptions, recipe: str) -> None:
    """Train every fold; print each one, and the metrics of all predictions together.

    Raises:
        FeatzooError: If recipe, features, labels, weights or device do not allow it.
    """
    from featzoo.zoo.metrics.tables import format_metrics, text_table
    from featzoo.zoo.runs.folds import train_folds

    columns = SHOWN[find_recipe(recipe, options.changes).target.metrics]

    def tell(trial: Trial) -> None:
        scores = "  ".join(f"{key} {trial.metrics['test'][key]:.4f}" for key in columns)
        echo(f"{trial.variant}: {scores}  ({'kept' if trial.kept else f'{trial.seconds:.0f} s'})", err=True)

    folder = _folder(options, recipe, "folds")
    found = train_folds(recipe, options.store, folder, options.changes, options.device, options.jobs, tell)
    echo_lines(text_table(found.table))
    echo_lines(f"\ntest of all folds, {sum(found.clips)} clips")
    echo_lines(format_metrics(found.metrics, found.constant, found.intervals))
    few = "" if found.units.enough else ": too few for an interval to be trusted"
    echo(f"intervals over {found.units}{few}")
    echo(f"runs: {found.path}")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RUN)
@click.option(
    "--against", "others", multiple=True, type=RUN, help="A run of side B; repeatable. Not needed for two RUNS."
)
@click.option("--split", default="test", show_default=True, help="train, valid (dev) or test.")
def compare(runs: tuple[Path, ...], others: tuple[Path, ...], split: str) -> None:
    """Tell whether some runs are better than others.

    A side is a run, a folder of runs that differ in their seed, the folds of a recipe, or several of these; two RUNS
    are side A and side B. All predict the same clips. The clips' speakers are resampled for the interval, and swapped
    between the sides for p; clips without speakers are taken one by one. A difference is clear if 0 is outside the
    interval and p is below .05.

    \b
    zoo compare runs/psa-mf-seeds runs/text-alone-seeds
    zoo compare runs/a-s1111 runs/a-s1112 --against runs/b-s1111 --against runs/b-s1112
    """
    from featzoo.vocabulary import split_name
    from featzoo.zoo.metrics.tables import number, shown, text_table
    from featzoo.zoo.runs.compare import LEVEL, RESAMPLES
    from featzoo.zoo.runs.compare import compare as differences
    from featzoo.zoo.runs.permutation import EXACT_UNITS, PERMUTATIONS
    from featzoo.zoo.runs.units import FEWEST

    split = split_name(split) or split
    a, b = _sides(runs, others)
    found = differences(a, b, split)
    rows = [["metric", f"A ({len(a)})", f"B ({len(b)})", "A - B", f"{100 * LEVEL:.0f} % interval", "p", ""]]
    for key in shown(found):
        one = found[key]
        span = f"{number(one.interval[0])} to {number(one.interval[1])}"
        values = [number(value) for value in (one.a, one.b, one.a - one.b)]
        rows.append([key, *values, span, number(one.p), "clear" if one.clear else ""])
    units = next(iter(found.values())).units
    swaps = "all" if units.total <= EXACT_UNITS else f"{PERMUTATIONS:,} random"
    echo(
        f"{split}: means over runs; interval from a paired bootstrap over {units} ({RESAMPLES:,} resamples), p from a "
        f"paired permutation test ({swaps} swaps)"
    )
    echo_lines(text_table(rows))
    if not units.enough:
        echo(
            f"{units} cannot tell: by chance alone, a difference has the same sign in all of them in more than 1 of 20 "
            f"comparisons. {FEWEST} or more can",
            fg="yellow",
        )


def _sides(runs: tuple[Path, ...], others: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
    """The runs of each side; two RUNS are a side each."""
    from featzoo.zoo.runs.listing import seeds_in

    if not others and len(runs) != 2:
        raise click.UsageError(f"name two runs, or the runs of side B with --against; got {count(len(runs), 'run')}")
    sides = (runs, others) if others else (runs[:1], runs[1:])
    return seeds_in(sides[0]), seeds_in(sides[1])


def _folder(options: RecipeOptions, recipe: str, kind: str) -> Path:
    """The folder of trainings that belong together; psa-mf.context has another than psa-mf."""
    return options.runs / f"{find_recipe(recipe).name}-{kind}"


def _run(
    options: RecipeOptions, recipe: str, folder: Path, wanted: Mapping[str, Mapping[str, Any]], seeds: int
) -> list[Trial]:
    """Train every variant with every seed, and print their tables."""
    from featzoo.zoo.metrics.tables import text_table
    from featzoo.zoo.runs.trials import run_trials, table

    resolved = find_recipe(recipe, next(iter(wanted.values())))
    columns = SHOWN[resolved.target.metrics]
    numbers = range(resolved.training.seed, resolved.training.seed + seeds)
    total, done = seeds * len(wanted), 0

    def tell(trial: Trial) -> None:
        nonlocal done
        done += 1
        split = "valid" if "valid" in trial.metrics else "test"
        named = "dev" if split == "valid" else split
        scores = "  ".join(f"{key} {trial.metrics[split][key]:.4f}" for key in columns)
        took = "kept" if trial.kept else f"{trial.seconds:.0f} s"
        echo(f"{done}/{total}  {trial.variant}, seed {trial.seed}: {named} {scores}  ({took})", err=True)

    with hint_for_missing_features(recipe, options.store):
        trials = run_trials(recipe, options.store, folder, wanted, numbers, options.device, options.jobs, tell)
    for split in ("valid", "test"):
        if all(split in trial.metrics for trial in trials):
            echo_lines(f"\n{'dev (valid)' if split == 'valid' else split}")
            echo_lines(text_table(table(resolved, trials, split, columns)))
            _print_ensembles(trials, split, columns)
    echo(f"runs: {folder}")
    return trials


def _print_ensembles(trials: Sequence[Trial], split: str, columns: Sequence[str]) -> None:
    """Print the metrics of the mean of each variant's predictions, if it has several runs."""
    from featzoo.zoo.runs.ensemble import ensemble_metrics

    for variant in dict.fromkeys(trial.variant for trial in trials):
        runs = [trial.path for trial in trials if trial.variant == variant]
        if len(runs) > 1:
            found = ensemble_metrics(runs, split)
            scores = "  ".join(f"{key} {found[key]:.4f}" for key in columns)
            echo(f"mean of the predictions of {variant}, {len(runs)} runs: {scores}")

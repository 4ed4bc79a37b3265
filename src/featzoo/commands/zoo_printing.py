"""The `zoo` commands' printing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featzoo.config import parse_value, to_toml
from featzoo.errors import InvalidOption
from featzoo.zoo.metrics.tables import format_metrics, number, shown, text_table
from featzoo.zoo.recipe import find_recipe, recipes

if TYPE_CHECKING:
    from featzoo.zoo.runs.run import Run
    from featzoo.zoo.runs.trials import Trial


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


def overrides(changes: Sequence[str], seed: int | None = None, without: Sequence[str] = ()) -> dict[str, Any]:
    """`training.epochs=3` strings, a seed and roles to go without, as a table of changes.

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
    return table | {f"inputs.{role}.features": [] for role in without}


def train(recipe: str, features: Path, runs: Path, changes: Mapping[str, Any], device: str) -> None:
    """Train, and print the metrics.

    Raises:
        FeatzooError: If recipe, features, labels, weights or device do not allow it.
    """
    from featzoo.zoo.runs.run import train_recipe

    _print_run(train_recipe(recipe, features, runs, changes, device))


def resume(run: Path, device: str) -> None:
    """Go on with a stopped run, and print the metrics.

    Raises:
        FeatzooError: If it cannot go on.
    """
    from featzoo.zoo.runs.run import resume_run

    _print_run(resume_run(run, device))


def _print_run(run: Run) -> None:
    from accelerate.state import PartialState

    if not PartialState().is_main_process:  # of the processes of one training the first speaks
        return
    for role, key in run.used.items():
        click.echo(f"{role}: {key or 'without'}")
    click.echo(f"{run.epochs} epochs in {run.seconds:.0f} s; dev chose epoch {run.best_epoch}")
    for split, metrics in run.metrics.items():
        _print(split, metrics, run.constant[split])
    click.echo(f"run: {run.path}")
    click.echo(f"pictures: {run.picture}")


def evaluate(run: Path, features: Path | None, split: str, device: str) -> None:
    """Compute metrics again and print them.

    Raises:
        FeatzooError: If the run is not finished, or the store holds other features.
    """
    from featzoo.zoo.runs.evaluate import evaluate_run

    found = evaluate_run(run, features, split, device)
    _print(found.split, found.metrics, found.constant, found.intervals)
    if found.stored is not None:
        same = all(found.metrics[k] == v or v != v for k, v in found.stored.items())
        click.echo(f"stored metrics: {'equal to the last digit' if same else 'DIFFER: ' + str(dict(found.stored))}")


def compare(a: Sequence[Path], b: Sequence[Path], split: str) -> None:
    """Print the paired difference of two sides.

    Raises:
        FeatzooError: If the runs are not finished or not comparable.
    """
    from featzoo.zoo.runs.compare import LEVEL, RESAMPLES
    from featzoo.zoo.runs.compare import compare as difference

    rows = [["metric", f"A ({len(a)})", f"B ({len(b)})", "A - B", f"{100 * LEVEL:.0f} % interval", ""]]
    found = difference(a, b, split)
    for key in shown(found):
        one = found[key]
        span = f"{number(one.interval[0])} to {number(one.interval[1])}"
        rows.append([key, number(one.a), number(one.b), number(one.a - one.b), span, "clear" if one.clear else ""])
    click.echo(f"{split}: means over runs; paired bootstrap over clips, {RESAMPLES} resamples")
    click.echo(text_table(rows))


def predict(
    run: Path,
    sources: Sequence[Path],
    without: Sequence[str],
    features: Path | None,
    as_json: bool,
    jobs: int,
    device: str,
) -> bool:
    """Predict, and print. Returns whether a clip has no prediction.

    Raises:
        FeatzooError: If the run's features cannot be made here, or there is no clip.
    """
    from featzoo.zoo.runs.predict import predict as apply

    found = apply(run, sources, store=features, without=without, jobs=jobs, device=device)
    if as_json:
        plain = {"run": str(run), "used": dict(found.used), "clips": [dataclasses.asdict(p) for p in found.predictions]}
        click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return bool(found.failed)
    for role, key in found.used.items():
        click.echo(f"{role}: {key or 'without'}")
    for one in found.predictions:
        values = "  ".join(f"{name} {value:+.3f}" for name, value in one.values.items())
        click.echo(f"{one.clip}  {values or 'no prediction'}")
        for role, reason in one.missing.items():
            click.secho(f"    without {role}: {reason}", fg="yellow")
    return bool(found.failed)


# What a table of trials shows of each kind of target.
SHOWN = {
    "sentiment": ("mae", "corr", "acc2_non0", "f1_non0"),
    "regression": ("mae", "corr", "ccc"),
    "traits": ("r_acc", "ccc", "r2"),
    "binary": ("ba", "f1", "ece"),
}


def train_seeds(
    recipe: str, features: Path, runs: Path, changes: Mapping[str, Any], count: int, device: str, jobs: int
) -> None:
    """Train with several seeds; print each, mean and spread.

    Raises:
        FeatzooError: If recipe, features, labels, weights or device do not allow it.
    """
    _trials(recipe, features, _folder(recipe, runs, "seeds"), {"full model": changes}, count, device, jobs)


def ablate(
    recipe: str, features: Path, runs: Path, changes: Mapping[str, Any], count: int, device: str, jobs: int
) -> None:
    """Train a recipe and each of its ablations; print the table beside the published one.

    Raises:
        FeatzooError: If recipe, features, labels, weights or device do not allow it.
    """
    from featzoo.zoo.runs.trials import variants

    wanted = variants(find_recipe(recipe, changes), changes)
    _trials(recipe, features, _folder(recipe, runs, "ablation"), wanted, count, device, jobs)


def layers(
    recipe: str, features: Path, runs: Path, changes: Mapping[str, Any], count: int, device: str, jobs: int
) -> None:
    """Train a recipe aligned at each hidden state; print the table and draw the curve.

    Raises:
        FeatzooError: If the head aligns at no layer, or features, labels, weights or device do not allow it.
    """
    from featzoo.durable import write
    from featzoo.zoo.runs.report import layer_curve
    from featzoo.zoo.runs.trials import layer_variants, spread

    wanted = layer_variants(find_recipe(recipe, changes), features, changes)
    folder = _folder(recipe, runs, "layers")
    trials = _trials(recipe, features, folder, wanted, count, device, jobs)
    splits = [split for split in ("valid", "test") if all(split in trial.metrics for trial in trials)]
    points = {
        split: [spread([t for t in trials if t.variant == name], split, "mae") for name in wanted] for split in splits
    }
    write(folder / "layers.png", layer_curve(list(wanted), points, "MAE"))
    click.echo(f"picture: {folder / 'layers.png'}")


def _folder(recipe: str, runs: Path, what: str) -> Path:
    """Of trainings that belong together; each recipe has its own: psa-mf.context is not psa-mf."""
    return runs / f"{find_recipe(recipe).name}-{what}"


def _trials(
    recipe: str,
    features: Path,
    folder: Path,
    wanted: Mapping[str, Mapping[str, Any]],
    count: int,
    device: str,
    jobs: int,
) -> list[Trial]:
    from featzoo.zoo.runs.trials import run_trials, table

    resolved = find_recipe(recipe, next(iter(wanted.values())))
    columns = SHOWN[resolved.target.metrics]
    seeds = range(resolved.training.seed, resolved.training.seed + count)
    total = count * len(wanted)
    done = 0

    def tell(trial: Trial) -> None:
        nonlocal done
        done += 1
        scores = "  ".join(f"{key} {trial.metrics['valid'][key]:.4f}" for key in columns)
        took = "was there" if trial.kept else f"{trial.seconds:.0f} s"
        click.echo(f"{done}/{total}  {trial.variant}, seed {trial.seed}: dev {scores}  ({took})", err=True)

    trials = run_trials(recipe, features, folder, wanted, seeds, device, jobs, tell)
    for split in ("valid", "test"):
        if all(split in trial.metrics for trial in trials):
            click.echo(f"\n{'dev (valid)' if split == 'valid' else split}")
            click.echo(text_table(table(resolved, trials, split, columns)))
    click.echo(f"runs: {folder}")
    return trials


def _print(
    split: str,
    metrics: Mapping[str, float],
    constant: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    name = "dev (valid)" if split == "valid" else split
    click.echo(f"\n{name}")
    click.echo(format_metrics(metrics, constant, intervals))

"""The `feat` and `zoo` commands: parse, call one function, print. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
from pathlib import Path

import click

from featzoo import __version__
from featzoo.cli_exchange import export_, import_
from featzoo.cli_options import DEVICE, FOLDER, STORE, Commands

# torch's threads spin while they wait for each other. Where other processes want the cores too, each then waits
# for one that is not running: an epoch of PSA-MF on two busy cores took seven times as long as with sleeping ones.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def feat() -> None:
    """Raw media to feature sequences, kept in a store that other projects can read.

    \b
    feat extract videos/                     every extractor that can run here
    feat extract videos/ -x egemaps,bert.minilm -j 8
    feat extract videos/ --for psa-mf        what a recipe needs
    feat ls; feat show egemaps; feat plot clip01.mp4
    feat doctor                              what can run here, and what to type for the rest
    """


@feat.command()
@click.argument("sources", nargs=-1, type=FOLDER)
@click.option("-x", "--extractors", help="Comma-separated: egemaps,bert.minilm,'resnet50[rate=5]'.")
@click.option("--for", "recipe", help="Extract what this recipe needs (see `zoo list`).")
@STORE
@click.option("-j", "--jobs", default=-1, show_default=True, help="Worker processes; -1 is one for each core.")
@DEVICE
@click.option("--dry-run", is_flag=True, help="Say what would be computed, is cached or stale; change nothing.")
@click.option("--retry", is_flag=True, help="Try clips again that are known to fail.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that one clip may take.")
@click.option("-v", "--verbose", is_flag=True, help="A line for each clip as soon as it is stored.")
def extract(
    sources: tuple[Path, ...],
    extractors: str | None,
    recipe: str | None,
    store: Path,
    jobs: int,
    device: str,
    dry_run: bool,
    retry: bool,
    timeout: float,
    verbose: bool,
) -> None:
    """Extract features of all clips in SOURCES: folders, manifests (.csv, .parquet) or media files.

    Without SOURCES, of the clips that the store already knows. Clips that are stored and unchanged are
    not computed again. Exit status 1 if any clip failed; the others are stored all the same.

    \b
    feat extract videos/
    feat extract clips.csv -x egemaps.functionals -o features
    feat extract videos/ -x 'frames[rate=5]' --dry-run
    """
    from featzoo import cli_extract

    failed = cli_extract.run(
        sources, extractors, recipe, store, jobs=jobs, device=device, dry_run=dry_run, retry=retry,
        timeout=timeout, verbose=verbose,
    )  # fmt: skip
    if failed:
        raise SystemExit(1)


@feat.command(name="ls")
@click.argument("feature_set", required=False)
@STORE
@click.option("--failed", is_flag=True, help="List the clips that failed, with their reasons.")
def list_sets(feature_set: str | None, store: Path, failed: bool) -> None:
    """List a store's feature sets, or the clips of one FEATURE_SET.

    \b
    feat ls
    feat ls egemaps --failed
    """
    from featzoo import cli_show

    cli_show.list_sets(store, feature_set, failed)


@feat.command()
@click.argument("feature_set")
@click.argument("clip", required=False)
@STORE
def show(feature_set: str, clip: str | None, store: Path) -> None:
    """Show a FEATURE_SET's shape, rate, columns, statistics and provenance; of one CLIP, if named.

    \b
    feat show egemaps
    feat show egemaps clip01.mp4
    """
    from featzoo import cli_show

    cli_show.show(store, feature_set, clip)


@feat.command()
@click.argument("clip")
@click.argument("feature_sets", nargs=-1)
@STORE
@click.option("--columns", help="Comma-separated column names; default: the first of each set.")
@click.option("--to", "picture", type=FOLDER, help="The PNG to write; default CLIP.png.")
def plot(clip: str, feature_sets: tuple[str, ...], store: Path, columns: str | None, picture: Path | None) -> None:
    """Draw a timeline of a CLIP: waveform, frames, words and features under each other.

    \b
    feat plot clip01.mp4
    feat plot clip01.mp4 egemaps --columns F0semitoneFrom27.5Hz_sma3nz,Loudness_sma3
    """
    from featzoo.plot import plot_clip

    wanted = [name.strip() for name in columns.split(",")] if columns else None
    place = plot_clip(store, clip, feature_sets, wanted, picture)
    click.echo(f"drew {place}")


@feat.command()
def doctor() -> None:
    """Say which extractors and heads can run here, what the others lack, and what to type."""
    from featzoo.doctor import examine

    for line in examine():
        click.echo(line)


@feat.command()
@STORE
@click.option(
    "--repair", is_flag=True, help="Set damaged shards aside; `feat extract` then computes their clips again."
)
def check(store: Path, repair: bool) -> None:
    """Compare every stored clip with its digest. Exit status 1 if anything is damaged.

    \b
    feat check
    feat check --repair -o features
    """
    from featzoo import cli_show

    if cli_show.check(store, repair):
        raise SystemExit(1)


@feat.command()
@STORE
@click.option("--grace", default=3600.0, show_default=True, help="Seconds for which merged shards stay for readers.")
def pack(store: Path, grace: float) -> None:
    """Merge small shards into few, verify them, and delete merged ones after a grace period.

    \b
    feat pack
    feat pack --grace 0        nobody is reading the store
    """
    from featzoo import cli_show

    cli_show.pack(store, grace)


@feat.command()
@STORE
@click.option("--to", "target", type=FOLDER, default=Path("featzoo.lock.json"), show_default=True)
@click.option(
    "--check", "lock", type=FOLDER, help="Compare the store with this lock instead; exit status 1 if it differs."
)
def lock(store: Path, target: Path, lock: Path | None) -> None:
    """Write the digests of data set, feature sets and clips: proof that another project has the same features.

    \b
    feat lock -o features
    feat lock -o features --check featzoo.lock.json
    """
    from featzoo import cli_show

    if cli_show.lock(store, target, lock):
        raise SystemExit(1)


feat.add_command(import_)
feat.add_command(export_)


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
    from featzoo import cli_zoo

    cli_zoo.list_recipes()


@zoo.command(name="show")
@click.argument("recipe")
def show_recipe(recipe: str) -> None:
    """Show a RECIPE as it would run, with every default filled in: save it, change it, train it by its path."""
    from featzoo import cli_zoo

    cli_zoo.show_recipe(recipe)


@zoo.command()
@click.argument("recipe")
@click.option("--features", type=FOLDER, default=Path("features"), show_default=True, help="The feature store.")
@click.option("--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Where the run's folder is made.")
@click.option("--without", multiple=True, metavar="ROLE", help="Go without this input; every clip lacks it.")
@click.option("--seed", type=int, help="Of the training; short for --set training.seed=N.")
@click.option("--set", "changes", multiple=True, help="field=value of the recipe: training.epochs=3.")
@DEVICE
def train(
    recipe: str,
    features: Path,
    runs: Path,
    without: tuple[str, ...],
    seed: int | None,
    changes: tuple[str, ...],
    device: str,
) -> None:
    """Train RECIPE (a name, or a .toml file) and report dev and test beside a constant predictor.

    \b
    zoo train psa-mf
    zoo train my-recipe.toml --features mosi --device cuda
    zoo train psa-mf --features mosi --without vision
    """
    from featzoo import cli_zoo

    cli_zoo.train(recipe, features, runs, seed, changes, without, device)


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
    from featzoo import cli_zoo

    cli_zoo.evaluate(run, features, split, device)

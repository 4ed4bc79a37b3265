"""The `feat` and `zoo` commands: parse, call one function, print. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
from pathlib import Path

import click

from featzoo import __version__
from featzoo.commands.align import align
from featzoo.commands.augment import augment
from featzoo.commands.exchange import export, import_
from featzoo.commands.leakage import probe_leakage
from featzoo.commands.options import DEVICE, FOLDER, STORE, Commands
from featzoo.commands.train import zoo
from featzoo.commands.transcribe import transcribe
from featzoo.commands.weights import takes_weights, weights

__all__ = ["feat", "zoo"]

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
@click.option("--for", "recipe", help="Extract what this recipe (see `zoo list`) or trained run needs.")
@click.option("--clips", "pattern", metavar="PATTERN", help="Only clips whose ids fit, such as '*/en'.")
@STORE
@click.option("-j", "--jobs", default=-1, show_default=True, help="Worker processes; -1 is one for each core.")
@DEVICE
@click.option("--dry-run", is_flag=True, help="Say what would be computed, is cached or stale; change nothing.")
@click.option("--retry", is_flag=True, help="Try clips again that are known to fail.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that one clip may take.")
@click.option("--memory", metavar="SIZE", help="What one worker process may take, model included: 4GB, 500MB.")
@click.option(
    "--backend",
    type=click.Choice(["loky", "dask", "ray"]),
    default="loky",
    show_default=True,
    help="Where workers run: on this machine, or on a Dask or Ray cluster.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Of the Dask scheduler or the Ray cluster.")
@takes_weights
@click.option("--rank", type=int, help="Take only this share of the clips, of --world shares; counted from 0.")
@click.option("--world", type=int, help="How many processes share the clips, each with a --rank of its own.")
@click.option("-v", "--verbose", is_flag=True, help="A line for each clip as soon as it is stored.")
def extract(
    sources: tuple[Path, ...],
    extractors: str | None,
    recipe: str | None,
    pattern: str | None,
    store: Path,
    jobs: int,
    device: str,
    dry_run: bool,
    retry: bool,
    timeout: float,
    memory: str | None,
    backend: str,
    scheduler: str | None,
    rank: int | None,
    world: int | None,
    verbose: bool,
) -> None:
    """Extract features of all clips in SOURCES: folders, manifests (.csv, .parquet) or media files.

    Without SOURCES, of the clips that the store already knows. Clips that are stored and unchanged are
    not computed again. Exit status 1 if any clip failed; the others are stored all the same.

    \b
    feat extract videos/
    feat extract clips.csv -x egemaps.functionals -o features
    feat extract videos/ -x 'frames[rate=5]' --dry-run
    feat extract videos/ -j 4 --memory 4GB --timeout 120
    feat extract videos/ --backend dask --scheduler tcp://10.0.0.1:8786
    feat extract videos/ --rank $SLURM_ARRAY_TASK_ID --world 8
    """
    from featzoo.commands import extract as cli_extract

    failed = cli_extract.run(
        sources, extractors, recipe, store, jobs=jobs, device=device, dry_run=dry_run, retry=retry,
        timeout=timeout, verbose=verbose, memory=memory, backend=backend, scheduler=scheduler, rank=rank, world=world,
        pattern=pattern,
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
    from featzoo.commands import store as cli_show

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
    from featzoo.commands import store as cli_show

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
    from featzoo.commands.plot import plot_clip

    wanted = [name.strip() for name in columns.split(",")] if columns else None
    place = plot_clip(store, clip, feature_sets, wanted, picture)
    click.echo(f"drew {place}")


@feat.command()
@takes_weights
def doctor() -> None:
    """Say which extractors and heads can run here, what the others lack, and what to type."""
    from featzoo.commands.doctor import examine

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
    from featzoo.commands import store as cli_show

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
    from featzoo.commands import store as cli_show

    cli_show.pack(store, grace)


@feat.command()
@STORE
@click.option("--set", "sets", multiple=True, metavar="NAME", help="Delete this feature set as a whole, too.")
@click.option("--superseded", is_flag=True, help="Delete sets of which the store holds a higher version, too.")
@click.option("--grace", default=3600.0, show_default=True, help="Seconds for which replaced shards stay for readers.")
@click.option("-y", "--yes", is_flag=True, help="Delete without asking.")
def gc(store: Path, sets: tuple[str, ...], superseded: bool, grace: float, yes: bool) -> None:
    """List what nothing uses, with its size, and delete it if you say so.

    Features of media, segments or words that have changed since, where newer ones are stored; shards that were
    merged; failures of clips that are stored now; what `feat check --repair` set aside; unfinished files.

    
    feat gc
    feat gc --yes --grace 0    nobody is reading the store
    feat gc --set egemaps
    """
    from featzoo.commands import store as cli_show

    cli_show.gc(store, sets, superseded, grace, yes)


@feat.command()
@click.argument("other", type=FOLDER)
@STORE
@click.option("--dry-run", is_flag=True, help="Say what would be taken in; change nothing.")
def merge(other: Path, store: Path, dry_run: bool) -> None:
    """Take all that the store OTHER holds into this one. Exit status 1 if some of it is damaged.

    
    feat merge ../colleague/features
    feat merge cluster/features -o features --dry-run
    """
    from featzoo.commands import store as cli_show

    if cli_show.merge(store, other, dry_run):
        raise SystemExit(1)


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
    from featzoo.commands import store as cli_show

    if cli_show.lock(store, target, lock):
        raise SystemExit(1)


feat.add_command(align)
feat.add_command(transcribe)
feat.add_command(weights)
feat.add_command(import_)
feat.add_command(export)
zoo.add_command(augment)
zoo.add_command(probe_leakage)

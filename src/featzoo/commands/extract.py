"""`feat extract`: compute and store what is missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featzoo.commands.ending import nothing_done_yet, status_of_parts
from featzoo.commands.options import DEVICE, ENCODING, FOLDER, STORE, TRUST, ListOption
from featzoo.commands.printing import echo
from featzoo.commands.weights import takes_weights
from featzoo.errors import InvalidOption, StoreError

if TYPE_CHECKING:
    from featzoo.cache.store import FeatureStore
    from featzoo.commands.selection import Selection
    from featzoo.extraction.options import ExtractOptions

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@click.command()
@click.argument("sources", nargs=-1, type=FOLDER)
@click.option("-x", "--extractors", cls=ListOption, help="Comma-separated: egemaps,bert.minilm,'resnet50[rate=5]'.")
@click.option("--for", "recipe", help="Extract what this recipe (see `zoo list`) or trained run needs.")
@TRUST
@click.option("--clips", "pattern", metavar="PATTERN", help="Extract only clips whose ids match, such as '*/en'.")
@ENCODING
@STORE
@click.option("-j", "--jobs", default=-1, show_default=True, help="Worker processes; -1 is one for each core.")
@DEVICE
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True,
              help="Precision of models that have the option; bf16 and fp16 make separate sets.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what is missing, stale, cached or failed; compute nothing.")
@click.option("--retry", is_flag=True, help="Try clips again that are known to fail.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that one clip may take.")
@click.option("--memory", metavar="SIZE", help="Memory that one worker may use, model included: 4GB, 500MB.")
@click.option("--max-damage", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Share of damaged frames at which a clip fails.")  # fmt: skip
@click.option(
    "--backend",
    type=click.Choice(["loky", "dask", "ray"]),
    default="loky",
    show_default=True,
    help="Run workers on this machine (loky), or on a Dask or Ray cluster.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Address of the Dask scheduler or the Ray cluster.")
@takes_weights
@click.option("--rank", type=int, help="Extract only this share of the clips, from 0 to WORLD - 1.")
@click.option("--world", type=int, help="Number of processes that share the clips, each with its own --rank.")
@click.option("-v", "--verbose", is_flag=True, help="Print a line for each clip as soon as it is stored.")
def extract(store: Path, memory: str | None, dry_run: bool, verbose: bool, **given: Any) -> None:
    """Extract features of clips into a store.

    SOURCES are folders, manifests (.csv, .parquet) or media files; without them, the clips in the store are used.
    Clips that are stored and unchanged are not computed again. The exit status is 1 if some clips failed and the others
    are stored, and 3 if nothing is stored.

    \b
    feat extract videos/
    feat extract clips.csv -x egemaps.functionals -o features
    feat extract videos/ -x 'frames[rate=5]' --dry-run
    feat extract videos/ -j 4 --memory 4GB --timeout 120
    feat extract videos/ --backend dask --scheduler tcp://10.0.0.1:8786
    feat extract videos/ --rank $SLURM_ARRAY_TASK_ID --world 8
    """
    from featzoo.commands.selection import Selection
    from featzoo.extraction.options import ExtractOptions

    if given["extractors"] and given["recipe"]:
        raise click.UsageError("give -x or --for, not both")
    if given["recipe"] and given["precision"] not in ("auto", "fp32"):
        raise click.UsageError("a recipe names its features, with their precision: give --precision with -x")
    names = ("sources", "extractors", "recipe", "pattern", "rank", "world", "encoding", "precision", "trust")
    chosen = {name: given.pop(name) for name in names}
    size = memory_bytes(memory) if memory else None
    options = ExtractOptions(memory=size, pack=chosen["world"] is None, **given)
    raise SystemExit(run(Selection(**chosen), store, options, dry_run=dry_run, verbose=verbose))


def run(
    selection: Selection, path: Path, options: ExtractOptions, *, dry_run: bool = False, verbose: bool = False
) -> int:
    """Extract, print a report, and give the exit status: 0, 1 if clips failed, or 3 if all did.

    Raises:
        FeatzooError: If there are no clips, or nothing can run.
        click.UsageError: If options do not fit together.
    """
    from featzoo.cache.store import FeatureStore
    from featzoo.commands.extract_report import print_duplicates, print_plan, print_report, progress
    from featzoo.commands.selection import print_missing_transcripts, select_clips, select_extractors
    from featzoo.extraction.driver import run_plan
    from featzoo.extraction.engines import check_backend
    from featzoo.extraction.plan import make_plan

    try:
        check_backend(options.backend, options.scheduler)  # before any media file is read
    except InvalidOption as error:
        raise click.BadParameter(str(error), param_hint="--scheduler") from error
    with nothing_done_yet():
        clips = select_clips(selection, path)
        extractors = select_extractors(selection, clips, path)
    if not extractors:
        echo("nothing to extract")
        return 0
    print_missing_transcripts(selection, extractors, clips)
    exists = (path / "STORE.json").is_file()
    store = FeatureStore.create(path) if exists or not dry_run else None
    plan = make_plan(store, extractors, clips)
    if dry_run or store is None:
        print_plan(plan)
        return 0
    with progress(len(clips) * len(extractors), verbose) as tell:
        report = run_plan(plan, store, options, tell)
    print_report(report, extractors, path)
    print_duplicates(store)
    if selection.world is None:
        _pack_many(store)
    else:
        echo(f"when all {selection.world} ranks are done: feat pack -o {path}")
    failed = len(report.failed)
    return status_of_parts(len(report.outcomes) - failed, failed)


def memory_bytes(text: str) -> int:
    """`4GB`, `1.5GB` or `500MiB` in bytes.

    Raises:
        click.BadParameter: If it is not a positive number with a unit.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B)", text.strip())
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(f"'{text}' is not a size such as 4GB or 500MB", param_hint="--memory")
    return round(float(found[1]) * UNITS[found[2]])


def _pack_many(store: FeatureStore) -> None:
    """After a large run, merge its shards, so that the store opens fast."""
    from featzoo.cache.pack import MANY, pack_store

    if all(len(found.index.headers()) < MANY for found in store.sets()):
        return
    try:
        for done in pack_store(store, fewest=MANY):
            echo(f"packed {done.key}: {done.merged} shards into {done.into}")
    except StoreError as error:
        # The features are stored all the same.
        echo(f"not packed: {error}", err=True, fg="yellow")

"""`feat align`: features pooled onto words."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import STORE

# Those of featzoo.alignment.HOWS, whose import would cost NumPy's before it is needed.
WAYS = ("mean", "weighted", "sum", "std", "max", "min", "first")


@click.command()
@click.argument("feature_set")
@click.option("--to", "onto", default="words", show_default=True, help="words (of the transcripts), or a feature set.")
@click.option(
    "--how", type=click.Choice(WAYS), default="mean", show_default=True, help="What stands for a word's rows."
)
@STORE
def align(feature_set: str, onto: str, how: str, store: Path) -> None:
    """Pool FEATURE_SET onto words: one row a word, as CMU-MultimodalSDK's align, in a feature set of its own.

    Clips that were pooled from the same features and words are left as they are. Exit status 1 if any clip
    cannot be pooled; the others are stored all the same.

    \b
    feat align egemaps --to words -o features
    feat align egemaps --to 'bert.minilm[output=words]' --how max
    """
    from typing import cast

    from featzoo.alignment import How
    from featzoo.cache.align import align_set
    from featzoo.cache.store import FeatureStore

    done = align_set(FeatureStore(store), feature_set, onto, cast(How, how))
    click.echo(f"{done.key}: {done.stored} stored, {done.cached} cached, {len(done.refused)} failed")
    for clip_id, reason in done.refused.items():
        click.secho(f"    {clip_id}: {reason}", fg="yellow")
    if done.stale:
        said = f"{done.stale} clips of {feature_set} are older than their media or words: feat extract -x {feature_set}"
        click.secho(f"warning: {said}", err=True, fg="yellow")
    if done.refused:
        raise SystemExit(1)

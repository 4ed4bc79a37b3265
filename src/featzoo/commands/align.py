"""`feat align`: features pooled onto words."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.ending import nothing_done_yet, status_of_parts
from featzoo.commands.options import STORE
from featzoo.commands.printing import echo
from featzoo.wording import count

# The same as featzoo.alignment.HOWS, which cannot be imported here without NumPy.
WAYS = ("mean", "weighted", "sum", "std", "max", "min", "first")


@click.command()
@click.argument("feature_set")
@click.option("--to", "onto", default="words", show_default=True, help="words (of the transcripts), or a feature set.")
@click.option("--how", type=click.Choice(WAYS), default="mean", show_default=True, help="How a word's rows are pooled.")
@STORE
def align(feature_set: str, onto: str, how: str, store: Path) -> None:
    """Pool a feature set onto words.

    FEATURE_SET becomes a new set with one row for each word, as the align function of CMU-MultimodalSDK makes it.
    Clips that were pooled before from the same features and words are not pooled again. The exit status is 1 if
    some clips cannot be pooled and the others are stored, and 3 if none can be.

    \b
    feat align egemaps --to words -o features
    feat align egemaps --to 'bert.minilm[output=words]' --how max
    """
    from typing import cast

    from featzoo.alignment import How
    from featzoo.cache.align import align_set
    from featzoo.cache.store import FeatureStore

    with nothing_done_yet():
        done = align_set(FeatureStore(store), feature_set, onto, cast(How, how))
    echo(f"{done.key}: {done.stored} stored, {done.cached} cached, {len(done.refused)} failed")
    for clip_id, reason in done.refused.items():
        echo(f"    {clip_id}: {reason}", fg="yellow")
    if done.stale:
        stale = f"{count(done.stale, 'clip')} of {feature_set} computed from older media or words"
        echo(f"warning: {stale}: feat extract -x {feature_set}", err=True, fg="yellow")
    raise SystemExit(status_of_parts(done.stored + done.cached, len(done.refused)))

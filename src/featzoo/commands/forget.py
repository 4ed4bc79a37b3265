"""`feat forget`: take clips out of a store."""

from __future__ import annotations

import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import click

from featzoo.commands.options import STORE
from featzoo.commands.printing import echo
from featzoo.wording import count, some


@click.command()
@click.argument("patterns", nargs=-1, metavar="PATTERN...")
@click.option("--missing", is_flag=True, help="Clips whose media files are not there.")
@STORE
@click.option("-y", "--yes", is_flag=True, help="Forget without asking.")
def forget(patterns: tuple[str, ...], missing: bool, store: Path, yes: bool) -> None:
    """Take clips out of the store.

    PATTERN is a clip id, or a pattern of ids such as 'old/*'. Training and exports no longer see the clips. Their
    features stay until `feat gc` deletes them, and are used again if a later `feat extract` finds the clips.

    \b
    feat forget interview/a.mp4
    feat forget 'old/*' --yes
    feat forget --missing
    """
    from featzoo.cache.store import FeatureStore
    from featzoo.errors import MissingFeatures

    if not patterns and not missing:
        raise click.UsageError("name clips, or use --missing")
    opened = FeatureStore(store)
    clips = opened.clips()
    chosen = {name for name, clip in clips.items() if missing and clip.path and not os.path.lexists(clip.path)}
    for pattern in patterns:
        matching = {pattern} if pattern in clips else {name for name in clips if fnmatchcase(name, pattern)}
        if not matching:
            raise MissingFeatures(f"no clip id in {store} matches '{pattern}'")
        chosen |= matching
    if not chosen:
        echo("nothing to forget: every media file is there")
        return
    said = f"{count(len(chosen), 'clip')} of {len(clips)}: {some(sorted(chosen))}"
    if not yes and not (sys.stdin.isatty() and click.confirm(f"{said}. Forget?")):
        echo(f"{said}. Nothing was forgotten: add --yes")
        return
    opened.catalogue.forget(sorted(chosen))
    echo(f"{said}: forgotten. feat gc deletes their features")

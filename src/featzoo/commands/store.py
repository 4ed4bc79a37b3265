"""`feat ls` and `feat show`: what a store holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.clip_list import list_clips
from featzoo.commands.options import FOLDER, STORE
from featzoo.commands.printing import echo
from featzoo.errors import DamagedFile, StoreError
from featzoo.wording import count, some

if TYPE_CHECKING:
    from featzoo.cache.featureset import FeatureSet
    from featzoo.cache.store import FeatureStore
    from featzoo.sequence import FeatureSequence

# Clips whose statistics are computed; `feat show SET CLIP` shows one clip exactly.
SAMPLE = 200


@click.command(name="ls")
@click.argument("feature_set", metavar="[FEATURE_SET|STORE]", required=False)
@STORE
@click.option("--failed", is_flag=True, help="List the clips that failed, with the reasons.")
@click.option("--where", metavar="CONDITION", help="List the clips that meet a condition, as in SQL.")
@click.option("--to", "place", type=FOLDER, help="Write the clips to a .parquet or .csv file, with all columns.")
def list_sets(feature_set: str | None, store: Path, failed: bool, where: str | None, place: Path | None) -> None:
    """List feature sets, or the clips of one.

    CONDITION compares columns: clip, set, state (stored, failed, missing), split, speaker, seconds, media, path, and
    each label by its name.

    \b
    feat ls
    feat ls path/to/store
    feat ls egemaps --failed
    feat ls --where "split = 'test' and emotion in ('angry', 'sad') and seconds > 2"
    feat ls --to clips.parquet
    """
    from featzoo.cache import marker
    from featzoo.cache.store import FeatureStore

    if feature_set is not None and (Path(feature_set) / marker.NAME).is_file():
        store, feature_set = Path(feature_set), None
    opened = FeatureStore(store)
    if where is not None or place is not None:
        if failed:
            raise click.UsageError("--failed does not go with --where or --to: --where \"state = 'failed'\"")
        list_clips(opened, feature_set, where or "", place)
    elif feature_set is None:
        for line in _table(opened):
            echo(line)
    else:
        _list_set(opened[feature_set], failed)


def _list_set(found: FeatureSet, failed: bool) -> None:
    if failed:
        for failure in found.failures():
            echo(f"{failure.clip}  {failure.reason}  {failure.message}")
    else:
        noted = {kind: set(clip_ids) for kind, clip_ids in found.noted().items()}
        for clip_id in found:
            kinds = ", ".join(kind for kind, clip_ids in noted.items() if clip_id in clip_ids)
            for sequence in _read(found, [clip_id]):
                echo(f"{clip_id}  {sequence.features.shape}" + (f"  note: {kinds}" if kinds else ""))
    _warn_of_damage(found)


@click.command()
@click.argument("feature_set")
@click.argument("clip", required=False)
@STORE
def show(feature_set: str, clip: str | None, store: Path) -> None:
    """Show a feature set's shape, rate, columns and provenance.

    The statistics of FEATURE_SET are computed from up to 200 clips, or from CLIP alone if it is given.

    \b
    feat show egemaps
    feat show egemaps clip01.mp4
    """
    from featzoo.cache.store import FeatureStore
    from featzoo.commands.statistics import describe

    found = FeatureStore(store)[feature_set]
    echo(f"{found.key}   {found.describe()}")
    if clip is None:
        ids = found.ids()
        sample = _read(found, ids[:: max(1, len(ids) // SAMPLE)][:SAMPLE])
        echo(f"clips: {len(ids)} stored, {len(found.failures())} failed")
        for kind, noted in found.noted().items():
            echo(f"note {kind}: {len(noted)} ({some(noted)})")
    else:
        sample = [found[clip]]
        for kind, text in found.notes(clip).items():
            echo(f"note {kind}: {text}")
    for line in describe(sample):
        echo(line)
    if found.reads:
        echo(f"reads: {', '.join(found.reads)}")
    for name, value in found.provenance.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        if value != "":
            echo(f"{name}: {value}")
    _warn_of_damage(found)


def _table(store: FeatureStore) -> list[str]:
    """One line for each set of a store."""
    rows = [("set", "clips", "failed", "row", "MB", "options")]
    for found in store.sets():
        headers = found.index.headers()
        shape = f"{'x'.join(map(str, headers[-1].tail))} {headers[-1].kind[1].name}" if headers else "-"
        size = sum(found.index.path(p.name).stat().st_size for p in (found.folder / "shards").glob("*.h5"))
        counts = (str(len(found)), str(len(found.failures())))
        rows.append((found.key, *counts, shape, f"{size / 1e6:.1f}", found.describe()))
        _warn_of_damage(found)
    for error in store.bad.values():
        _warn(error)
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row[:5], widths, strict=True)), row[5]]) for row in rows]
    try:
        clips = count(len(store.catalogue), "clip")
    except DamagedFile as error:
        _warn(error)
        clips = "an unknown number of clips"
    return [f"{store.path}: {clips}", *(line.rstrip() for line in lines)]


def _read(found: FeatureSet, clip_ids: Sequence[str]) -> list[FeatureSequence]:
    """The clips that can be read, with a warning for each other."""
    sequences = []
    for clip_id in clip_ids:
        try:
            sequences.append(found[clip_id])
        except DamagedFile as error:
            _warn(error)
    return sequences


def _warn_of_damage(found: FeatureSet) -> None:
    for name, reason in {**found.index.bad, **found.index.newer}.items():
        echo(f"warning: shard {name} of {found.key} cannot be read: {reason}", err=True, fg="yellow")


def _warn(error: StoreError) -> None:
    echo(f"warning: {error}", err=True, fg="yellow")

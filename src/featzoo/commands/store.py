"""What `feat ls`, `show`, `check`, `pack`, `gc`, `merge` and `lock` print."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import click
import numpy as np

from featzoo.cache.check import check_store
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.pack import pack_store
from featzoo.cache.store import FeatureStore
from featzoo.sequence import Array, FeatureSequence

# Columns of a set whose statistics are shown; `feat show SET CLIP` is for looking closer.
COLUMNS = 40
# Clips that statistics are taken over.
SAMPLE = 200


def list_sets(path: Path, request: str | None, failed: bool) -> None:
    """Print the sets of a store, or the clips of one set.

    Raises:
        FeatzooError: If there is no such store or set.
    """
    store = FeatureStore(path)
    if request is None:
        for line in table(store):
            click.echo(line)
        return
    found = store[request]
    for failure in found.failures() if failed else ():
        click.echo(f"{failure.clip}  {failure.reason}  {failure.message}")
    for clip_id in () if failed else found:
        click.echo(f"{clip_id}  {found.array(clip_id).shape}")
    _warn_of_bad(found)


def table(store: FeatureStore) -> list[str]:
    """One line for each set of a store."""
    rows = [("set", "clips", "failed", "row", "MB", "options")]
    for found in store.sets():
        headers = found.index.headers()
        shape = "x".join(map(str, headers[-1].tail)) + f" {np.dtype(headers[-1].dtype).name}" if headers else "-"
        size = sum(found.index.path(p.name).stat().st_size for p in (found.folder / "shards").glob("*.h5"))
        rows.append(
            (
                found.key,
                str(len(found)),
                str(len(found.failures())),
                shape,
                f"{size / 1e6:.1f}",
                found.describe(),
            )
        )
        _warn_of_bad(found)
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row[:5], widths, strict=True)), row[5]]) for row in rows]
    return [f"{store.path}: {len(store.clip_ids())} clips", *(line.rstrip() for line in lines)]


def _warn_of_bad(found: FeatureSet) -> None:
    for name, reason in found.index.bad.items():
        click.secho(f"warning: shard {name} of {found.key} cannot be read: {reason}", err=True, fg="yellow")


def show(path: Path, request: str, clip_id: str | None) -> None:
    """Print what is known of a set, or of one clip in it.

    Raises:
        FeatzooError: If there is no such store, set or clip.
    """
    found = FeatureStore(path)[request]
    click.echo(f"{found.key}   {found.describe()}")
    if clip_id is None:
        ids = found.ids()
        sample = [found[each] for each in ids[:: max(1, len(ids) // SAMPLE)][:SAMPLE]]
        click.echo(f"clips: {len(ids)} stored, {len(found.failures())} failed")
        for kind, clip_ids in found.noted().items():
            more = f" and {len(clip_ids) - 3} more" if len(clip_ids) > 3 else ""
            click.echo(f"note {kind}: {len(clip_ids)} ({', '.join(clip_ids[:3])}{more})")
    else:
        sample = [found[clip_id]]
        for kind, text in found.notes(clip_id).items():
            click.echo(f"note {kind}: {text}")
    for line in _describe(sample):
        click.echo(line)
    for name, value in found.provenance.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        click.echo(f"{name}: {value}")
    _warn_of_bad(found)


def check(path: Path, repair: bool) -> bool:
    """Print what is damaged. Returns whether anything is.

    Raises:
        FeatzooError: If there is no such store, or it cannot be repaired.
    """
    store = FeatureStore(path)
    damaged = list(check_store(store, repair))
    for damage in damaged:
        click.secho(f"{damage.key} {damage.shard.name}: {damage.problem}", fg="red")
    clips = sum(len(found) for found in store.sets())
    click.echo(f"{len(store.sets())} sets, {clips} stored sequences, {len(damaged)} damaged shards")
    if damaged:
        said = "set aside; feat extract computes their clips again" if repair else "feat check --repair sets them aside"
        click.echo(said)
    return bool(damaged)


def pack(path: Path, grace: float) -> None:
    """Merge shards and print what was done.

    Raises:
        FeatzooError: If there is no such store, a shard is damaged, or the disk refuses.
    """
    done = list(pack_store(FeatureStore(path), grace))
    for each in done:
        click.echo(f"{each.key}: {each.merged} shards into {each.into}, {each.deleted} merged ones deleted")
    if not done:
        click.echo("nothing to merge")


GARBAGE = {
    "rows": "stored sequences that are out of date or stored again",
    "merged": "merged shards",
    "failure": "failures of clips that are stored now",
    "aside": "damaged shards set aside",
    "temporary": "unfinished files",
    "index": "indexes",
    "set": "feature set",
}


def gc(path: Path, sets: tuple[str, ...], superseded: bool, grace: float, yes: bool) -> None:
    """Print what nothing uses, and delete it if the user says so.

    Raises:
        FeatzooError: If there is no such store or set, or the disk refuses.
    """
    from featzoo.cache.gc import Garbage, find_garbage, remove_garbage

    store = FeatureStore(path)
    garbage = list(find_garbage(store, sets, superseded, grace))
    groups: dict[tuple[str, str], list[Garbage]] = defaultdict(list)
    for each in garbage:
        groups[each.key, each.kind].append(each)
    for (key, kind), members in groups.items():
        clips = [clip for each in members for clip in each.clips]
        names = clips or [each.place.name for each in members]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        size = sum(each.size for each in members) / 1e6
        click.echo(f"{key or path}: {len(names)} {GARBAGE[kind]}, {size:.1f} MB: {', '.join(names[:3])}{more}")
    if not garbage:
        click.echo("nothing to delete")
        return
    total = f"{sum(each.size for each in garbage) / 1e6:.1f} MB in all"
    if not yes and not (sys.stdin.isatty() and click.confirm(f"{total}. Delete?")):
        click.echo(f"{total}. Nothing was deleted: feat gc --yes deletes it")
        return
    remove_garbage(store, garbage, grace)
    later = f". Shards that were written anew go {grace:.0f} s from now, with the next feat gc" if grace else ""
    click.echo(f"{total}: deleted{later if any(each.kind == 'rows' for each in garbage) else ''}")


def merge(path: Path, other: Path, dry_run: bool) -> bool:
    """Take another store in, and print what was done. Returns whether some of it is damaged.

    Raises:
        FeatzooError: If there is no such store, or it cannot be written.
    """
    from featzoo.cache.merge import merge_stores

    theirs = FeatureStore(other)
    store = FeatureStore.create(path) if not dry_run or (path / "STORE.json").is_file() else None
    damaged = False
    for each in merge_stores(store, theirs, dry_run):
        verb = "would be taken in" if dry_run else "taken in"
        click.echo(f"{each.key}: {each.taken} sequences {verb}, {each.same} were here, {each.failures} failures")
        for names, which in ((each.theirs, f"now read as in {other}"), (each.ours, f"read as before in {path}")):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                click.secho(f"    {len(names)} differ, {which}: {', '.join(names[:3])}{more}", fg="yellow")
        for damage in each.damaged:
            damaged = True
            click.secho(f"    refused {damage.shard}: {damage.problem}", fg="red")
    return damaged


def lock(path: Path, target: Path, against: Path | None) -> bool:
    """Write a lock, or compare with one. Returns whether the store differs.

    Raises:
        FeatzooError: If there is no such store or lock, or it cannot be written.
    """
    from featzoo.cache.lock import differences, read_lock, write_lock

    store = FeatureStore(path)
    if against is None:
        made = write_lock(store, target)
        click.echo(f"locked {len(made['sets'])} sets in {target}")
        return False
    found = list(differences(store, read_lock(against)))
    for line in found:
        click.secho(line, fg="red")
    click.echo(f"{path} {'differs from' if found else 'holds all of'} {against}")
    return bool(found)


def _describe(sample: list[FeatureSequence]) -> list[str]:
    if not sample:
        return ["nothing stored yet"]
    rows = [len(sequence) for sequence in sample]
    first = sample[0].features
    lines = [f"shape: ({min(rows)} to {max(rows)}, {', '.join(map(str, first.shape[1:]))}) {first.dtype}"]
    hops = np.concatenate([np.diff(sequence.intervals[:, 0]) for sequence in sample])
    hops = hops[np.isfinite(hops) & (hops > 0)]
    spans = np.concatenate([np.diff(sequence.intervals, axis=1)[:, 0] for sequence in sample])
    spans = spans[np.isfinite(spans)]
    if len(hops):
        lines.append(f"rate: {1 / np.median(hops):.3g} rows/s, each {np.median(spans):.3g} s long (medians)")
    else:
        lines.append("rate: one row a clip" if max(rows) == 1 else "rate: times not known")
    values = np.concatenate([s.features.reshape(-1, first.shape[-1]) for s in sample])  # (sum T, D)
    width = max(map(len, sample[0].names[:COLUMNS]))
    lines.append(f"{'column':<{width}}  {'mean':>10} {'std':>10} {'min':>10} {'max':>10}  not observed")
    for number, name in enumerate(sample[0].names[:COLUMNS]):
        lines.append(f"{name:<{width}}  {_statistics(values[:, number])}")
    if len(sample[0].names) > COLUMNS:
        lines.append(f"... and {len(sample[0].names) - COLUMNS} more columns")
    return lines


def _statistics(column: Array) -> str:
    numbers = column.astype(np.float64)
    seen = numbers[~np.isnan(numbers)]
    if not len(seen):
        return f"{'-':>10} {'-':>10} {'-':>10} {'-':>10}  100 %"
    figures = " ".join(f"{value:>10.4g}" for value in (seen.mean(), seen.std(), seen.min(), seen.max()))
    return f"{figures}  {100 * (1 - len(seen) / len(numbers)):.3g} %"

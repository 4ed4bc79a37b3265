"""`feat check`, `pack`, `gc`, `merge` and `lock`: commands that look after a store."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.options import DRY_RUN, FOLDER, STORE, Option
from featzoo.commands.printing import echo
from featzoo.errors import DamagedFile
from featzoo.wording import count, some

if TYPE_CHECKING:
    from featzoo.cache.gc import Garbage
    from featzoo.cache.merge import Merged

GRACE = click.option(
    "--grace", default=3600.0, show_default=True, help="Seconds to keep replaced shards for processes that read them."
)


@contextmanager
def _advising_repair(store: Path) -> Iterator[None]:
    try:
        yield
    except DamagedFile as error:
        error.hint = f"feat check --repair -o {store}"
        raise


@click.command()
@STORE
@click.option("--repair", is_flag=True, help="Set damaged files aside; `feat extract` then replaces them.")
def check(store: Path, repair: bool) -> None:
    """Verify every stored clip and every file against its digest.

    The exit status is 1 if a file is damaged or has a newer format.

    \b
    feat check
    feat check --repair -o features
    """
    from featzoo.cache.check import check_store
    from featzoo.cache.check_files import check_marker
    from featzoo.cache.shard import FORMAT
    from featzoo.cache.store import FeatureStore

    found = list(check_marker(store, repair))
    opened = FeatureStore(store, declared=FORMAT if found else None)
    found += check_store(opened, repair)
    for each in found:
        echo(f"{each.problem}" if each.newer else f"{each.key} {each.place.name}: {each.problem}".lstrip(), fg="red")
    damaged, sets = [each for each in found if not each.newer], opened.sets()
    clips = sum(len(found) for found in sets)
    echo(f"{count(len(sets), 'set')}, {count(clips, 'stored sequence')}, {count(len(damaged), 'damaged file')}")
    if damaged:
        echo("moved to damaged/; feat extract replaces them" if repair else "feat check --repair sets them aside")
    if found:
        raise SystemExit(1)


@click.command()
@STORE
@GRACE
def pack(store: Path, grace: float) -> None:
    """Merge small shards into few.

    The merged shards are verified, and the small ones deleted after the grace period.

    \b
    feat pack
    feat pack --grace 0        nobody is reading the store
    """
    from featzoo.cache.pack import pack_store
    from featzoo.cache.store import FeatureStore

    with _advising_repair(store):
        done = list(pack_store(FeatureStore(store), grace))
    for each in done:
        merged = count(each.merged, "shard")
        echo(f"{each.key}: {merged} merged into {each.into}, {each.deleted} merged earlier deleted")
    if not done:
        echo("nothing to merge")


# What each kind of garbage is, for one and for several.
GARBAGE = {
    "rows": ("outdated or duplicate sequence", ""),
    "forgotten": ("sequence of a forgotten clip", "sequences of forgotten clips"),
    "merged": ("merged shard", ""),
    "failure": ("failure of a clip that is stored now", "failures of clips that are stored now"),
    "aside": ("damaged file set aside", "damaged files set aside"),
    "temporary": ("unfinished file", ""),
    "index": ("index", "indexes"),
    "frozen": ("file with outputs of frozen layers", "files with outputs of frozen layers"),
    "set": ("feature set", ""),
}


@click.command()
@STORE
@click.option(
    "--delete", "sets", cls=Option, older=("--set",), multiple=True, metavar="NAME",
    help="Also delete this whole feature set; repeatable.",
)  # fmt: skip
@click.option("--superseded", is_flag=True, help="Also delete sets of which the store holds a higher version.")
@GRACE
@click.option("-y", "--yes", is_flag=True, help="Delete without asking.")
def gc(store: Path, sets: tuple[str, ...], superseded: bool, grace: float, yes: bool) -> None:
    """List data that is no longer used, and delete it.

    This is: features of media, segments or words that have changed since, if newer ones are stored; features of
    forgotten clips; shards that were merged; failures of clips that are stored now; shards that `feat check --repair`
    set aside; unfinished files; outputs of frozen layers that no training has read for 30 days.
    Nothing is deleted before you confirm it.

    \b
    feat gc
    feat gc --yes --grace 0    nobody is reading the store
    feat gc --delete egemaps
    """
    from featzoo.cache.gc import find_garbage, remove_garbage
    from featzoo.cache.store import FeatureStore

    opened = FeatureStore(store)
    garbage = list(find_garbage(opened, sets, superseded, grace))
    if not garbage:
        echo("nothing to delete")
        return
    _print_garbage(garbage, store)
    total = f"{sum(each.size for each in garbage) / 1e6:.1f} MB in total"
    if not yes and not (sys.stdin.isatty() and click.confirm(f"{total}. Delete?")):
        echo(f"{total}. Nothing was deleted: feat gc --yes deletes it")
        return
    with _advising_repair(store):
        remove_garbage(opened, garbage, grace)
    echo(f"{total}: deleted")
    if grace and any(each.kind in ("rows", "forgotten") for each in garbage):
        echo(f"the next feat gc after {grace:.0f} s deletes the shards that were rewritten")


def _print_garbage(garbage: Sequence[Garbage], path: Path) -> None:
    groups: dict[tuple[str, str], list[Garbage]] = defaultdict(list)
    for each in garbage:
        groups[each.key, each.kind].append(each)
    for (key, kind), members in groups.items():
        names = [clip for each in members for clip in each.clips] or [each.place.name for each in members]
        size = sum(each.size for each in members) / 1e6
        number = len(members) if kind == "set" else len(names)
        echo(f"{key or path}: {count(number, *GARBAGE[kind])}, {size:.1f} MB: {some(names)}")


@click.command()
@click.argument("other", type=FOLDER)
@STORE
@DRY_RUN
def merge(other: Path, store: Path, dry_run: bool) -> None:
    """Copy another store's features and clips into this one.

    OTHER is left as it is. The exit status is 1 if some of it is damaged; the rest is copied.

    \b
    feat merge ../colleague/features
    feat merge cluster/features -o features --dry-run
    """
    from featzoo.cache.merge import merge_stores
    from featzoo.cache.store import FeatureStore

    theirs = FeatureStore(other)
    ours = FeatureStore.create(store) if not dry_run or (store / "STORE.json").is_file() else None
    damaged = False
    for each in merge_stores(ours, theirs, dry_run):
        _print_merged(each, store, other, dry_run)
        damaged |= bool(each.damaged)
    if damaged:
        raise SystemExit(1)


def _print_merged(each: Merged, store: Path, other: Path, dry_run: bool) -> None:
    verb = "would be copied" if dry_run else "copied"
    failures = count(each.failures, "failure")
    echo(f"{each.key}: {count(each.taken, 'sequence')} {verb}, {each.same} already here, {failures}")
    for names, which in ((each.theirs, f"now read as in {other}"), (each.ours, f"read as before in {store}")):
        if names:
            echo(f"    {len(names)} different, {which}: {some(names)}", fg="yellow")
    for damage in each.damaged:
        echo(f"    refused {damage.place}: {damage.problem}", fg="red")


@click.command()
@STORE
@click.option(
    "--to",
    "target",
    type=FOLDER,
    default=Path("featzoo.lock.json"),
    show_default=True,
    help="The lock file to write.",
)
@click.option("--check", "against", type=FOLDER, help="Compare the store with this lock file; write none.")
def lock(store: Path, target: Path, against: Path | None) -> None:
    """Write a file of digests that identifies the features.

    The digests of the data set, feature sets and clips prove that another project uses the same features. The exit
    status is 1 if the store differs from the file given to --check.

    \b
    feat lock -o features
    feat lock -o features --check featzoo.lock.json
    """
    from featzoo.cache.lock import differences, read_lock, write_lock
    from featzoo.cache.store import FeatureStore

    opened = FeatureStore(store)
    if against is None:
        written = write_lock(opened, target)
        echo(f"locked {count(len(written['sets']), 'set')} in {target}")
        return
    found = list(differences(opened, read_lock(against)))
    for line in found:
        echo(line, fg="red")
    echo(f"{store} {'differs from' if found else 'holds all of'} {against}")
    if found:
        raise SystemExit(1)

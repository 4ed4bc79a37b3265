"""`feat merge`: copies the content of another store into this one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from featzoo.cache.check import check_shard
from featzoo.cache.clip_table import Record, read_records, tables
from featzoo.cache.damage import Damage
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.merged import merged_shards
from featzoo.cache.pack import entries_of
from featzoo.cache.shard import Header, VanishedShard
from featzoo.cache.shard_reader import read_header
from featzoo.cache.shard_writer import new_shard
from featzoo.cache.source import source_digest
from featzoo.cache.store import FeatureStore
from featzoo.durable import refused, replacing
from featzoo.errors import StoreError


@dataclass
class Merged:
    """The outcome for one feature set of the other store.

    Attributes:
        key: The feature set.
        taken: Sequences that this store lacked.
        same: Sequences that this store already held with the same source.
        theirs: Clips in both stores, made from different media, segments or words, for which the other store's
            sequence is now read, because it recorded them last.
        ours: Such clips for which this store's sequence is still read; and different sequences with the same source,
            as from imports.
        failures: Failures that this store lacked.
        damaged: Shards that were refused, or the `set.json` of a set that was.
    """

    key: str
    taken: int = 0
    same: int = 0
    theirs: list[str] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)
    failures: int = 0
    damaged: list[Damage] = field(default_factory=list)


def merge_stores(store: FeatureStore | None, other: FeatureStore, dry_run: bool = False) -> Iterator[Merged]:
    """Copy all feature sets, clips and failures of another store, which may be written to meanwhile.

    Clips are copied first: the newest record of a clip counts, and decides which of two sequences is read. Shards never
    change, so on the same file system they are linked, not copied. A second merge copies what is new.

    Args:
        store: The destination; None, with `dry_run`, for a store that does not exist yet.
        other: The source store; it is not changed.
        dry_run: Only report what would be copied.

    Yields:
        The outcome for each set of the other store.

    Raises:
        StoreError: If both are the same store, the clips of the other are damaged, or this store cannot be written.
    """
    if store is not None and store.path.resolve() == other.path.resolve():
        raise StoreError(f"{other.path} cannot be merged into itself")
    records = _merge_records(store, other, dry_run)
    for theirs in other.sets():
        ours = store.find(theirs.key) if store is not None else None
        if store is not None and not dry_run:
            ours = store.open_set(theirs.name, theirs.spec, theirs.provenance)
        yield _Merge(ours, theirs, records, dry_run).run()
    for place, error in other.bad.items():
        yield Merged(place.parent.name, damaged=[Damage(place.parent.name, place, str(error))])


def _merge_records(store: FeatureStore | None, other: FeatureStore, dry_run: bool) -> dict[str, Record]:
    """Copy the tables of clips, and return the newest record of every clip."""
    theirs = {place.name: place for place in tables(other.path / "clips")}
    ours = {place.name: place for place in tables(store.path / "clips")} if store is not None else {}
    records = read_records([place for _, place in sorted({**theirs, **ours}.items())])
    if store is not None and not dry_run:
        try:
            (store.path / "clips").mkdir(exist_ok=True)
        except OSError as error:
            raise refused(store.path, error) from error
        for name in sorted(theirs.keys() - ours.keys()):
            with replacing(store.path / "clips" / name) as temporary:
                _link(theirs[name], temporary)
    return records


@dataclass
class _Merge:
    """The merge of one feature set."""

    ours: FeatureSet | None
    theirs: FeatureSet
    records: dict[str, Record]
    dry_run: bool
    # Clip, source and digest of copied sequences, also in a dry run.
    planned: set[tuple[str, str, str]] = field(default_factory=set)

    def run(self) -> Merged:
        """Copy shards until no new ones appear, then failures."""
        self.report = Merged(self.theirs.key)
        index, seen = self.theirs.index, set[str]()
        while True:
            index.refresh()
            # Merged shards come last, when all of their sequences have been copied.
            merged = merged_shards(self.theirs)
            new = sorted(set(index.shards()) - seen, key=lambda name: (name in merged, index.header(name).created))
            if not new:
                break
            for name in new:
                seen.add(name)
                self._take(index.path(name))
        key = self.theirs.key
        self.report.damaged += [Damage(key, index.path(name), text) for name, text in index.bad.items()]
        self.report.damaged += [Damage(key, index.path(name), text, newer=True) for name, text in index.newer.items()]
        self._take_failures()
        return self.report

    def _take(self, place: Path) -> None:
        try:
            header = read_header(place)
        except VanishedShard:
            return  # packed since, into a shard that is listed next time
        except StoreError as error:
            self.report.damaged.append(Damage(self.theirs.key, place, str(error)))
            return
        taken, identical = [], 0
        for number in range(len(header.clip_ids)):
            state = self._compare(header, number)
            if state == "new":
                taken.append(number)
            identical += state == "same"
        if not taken:
            self.report.same += identical
            return
        try:
            problem = check_shard(place, self.ours or self.theirs)
            if problem:
                self.report.damaged.append(Damage(self.theirs.key, place, problem))
                return
            if self.ours is not None and not self.dry_run:
                self._store(self.ours, place, header, taken)
        except VanishedShard:
            return
        self._account(header, taken, identical)

    def _compare(self, header: Header, number: int) -> str:
        """Whether a sequence is `new` to this store, the `same`, or an `other` one with the same source."""
        clip_id, source, digest = header.clip_ids[number], header.sources[number], header.digests[number]
        if (clip_id, source, digest) in self.planned:
            return "same"
        places = self.ours.index.places(clip_id) if self.ours else []
        held = [place.digest for place in places if place.source == source]
        if digest in held:
            return "same"
        if held:
            self.report.ours.append(clip_id)
        return "other" if held else "new"

    def _store(self, ours: FeatureSet, place: Path, header: Header, taken: list[int]) -> None:
        if len(taken) == len(header.clip_ids):
            ours.store.upgrade()
            target = new_shard(ours.folder / "shards")
            with replacing(target) as temporary:
                _link(place, temporary)
                problem = check_shard(temporary, ours)
                if problem or read_header(temporary).digests != header.digests:
                    raise StoreError(
                        f"the copy of {place} differs from the original ({problem}): nothing of it was merged"
                    )
            ours.index.take(target)
        else:
            entries = list(entries_of(place))
            ours.put([entries[number] for number in taken], header.created)
        ours.settle(header.clip_ids[number] for number in taken)

    def _account(self, header: Header, taken: list[int], identical: int) -> None:
        report = self.report
        report.taken += len(taken)
        report.same += identical
        for number in taken:
            clip_id, source = header.clip_ids[number], header.sources[number]
            self.planned.add((clip_id, source, header.digests[number]))
            sources = set(self.ours.index.sources(clip_id)) - {source} if self.ours else set()
            if sources:
                record = self.records.get(clip_id)
                current = source_digest(*record, self.theirs.reads) if record else ""
                (report.theirs if current == source else report.ours).append(clip_id)

    def _take_failures(self) -> None:
        for failure in self.theirs.failures():
            ours = self.ours
            if ours is not None and (ours.holds(failure.clip, failure.source) or ours.failure(failure.clip)):
                continue
            self.report.failures += 1
            if ours is not None and not self.dry_run:
                ours.fail(failure.clip, failure.source, failure.reason, failure.message, failure.retry)


def _link(place: Path, target: Path) -> None:
    """A hard link to a file that never changes; a copy if linking is not possible."""
    try:
        os.link(place, target)
    except FileNotFoundError as error:
        raise VanishedShard(f"{place} is gone") from error
    except OSError:
        shutil.copyfile(place, target)

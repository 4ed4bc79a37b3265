"""`feat merge`: all that another store holds, taken into this one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from featzoo.cache.check import Damage, check_shard
from featzoo.cache.clip_table import Record, read_records, tables
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.pack import entries_of, merged_shards, write_verified
from featzoo.cache.shard import Header, VanishedShard, new_shard, read_header
from featzoo.cache.source import source_digest
from featzoo.cache.store import FeatureStore
from featzoo.durable import refused, replacing
from featzoo.errors import StoreError


@dataclass
class Merged:
    """What became of one feature set of the other store.

    Attributes:
        key: The feature set.
        taken: Sequences that were not here.
        same: Sequences that were here already, made from the same.
        theirs: Clips that both stores hold, made from different media, segments or words, and that are now read as
            the other store has them, because it recorded them last.
        ours: Such clips that are read as before; and those made from the same that differ, as imports may.
        failures: Failures that were not known here.
        damaged: Shards that were refused.
    """

    key: str
    taken: int = 0
    same: int = 0
    theirs: list[str] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)
    failures: int = 0
    damaged: list[Damage] = field(default_factory=list)


def merge_stores(store: FeatureStore | None, other: FeatureStore, dry_run: bool = False) -> Iterator[Merged]:
    """Take in all feature sets, clips and failures of another store, which may be written to meanwhile.

    Clips first: the newest record of a clip wins, and decides which of two sequences is read. Shards never change, so
    on one file system they are linked, not copied. A second merge takes what has come since.

    Args:
        store: To take them into; None, with `dry_run`, for one that is not there yet.
        other: Where they come from; it is not changed.
        dry_run: Change nothing, and say what would be done.

    Yields:
        What became of each set of the other store.

    Raises:
        StoreError: If both are one store, the clips of the other are damaged, or the disk refuses.
    """
    if store is not None and store.path.resolve() == other.path.resolve():
        raise StoreError(f"{other.path} cannot be merged into itself")
    records = _merge_records(store, other, dry_run)
    for theirs in other.sets():
        ours = store.find(theirs.key) if store else None
        if store is not None and not dry_run:
            ours = store.open_set(theirs.name, theirs.spec, theirs.provenance)
        yield _Merge(ours, theirs, records, dry_run).run()


def _merge_records(store: FeatureStore | None, other: FeatureStore, dry_run: bool) -> dict[str, Record]:
    """Take in the tables of clips; and every clip as the newest of both has it."""
    theirs = {place.name: place for place in tables(other.path / "clips")}
    ours = {place.name: place for place in tables(store.path / "clips")} if store else {}
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
    """One feature set on its way."""

    ours: FeatureSet | None
    theirs: FeatureSet
    records: dict[str, Record]
    dry_run: bool
    # Clip, source and digest of what was taken in: after a dry run, too.
    planned: set[tuple[str, str, str]] = field(default_factory=set)

    def run(self) -> Merged:
        """Take in shards until no new ones appear, then failures."""
        self.report = Merged(self.theirs.key)
        index, seen = self.theirs.index, set[str]()
        while True:
            index.refresh()
            # Merged shards last: by then all that is in them is here.
            merged = merged_shards(self.theirs)
            new = sorted(set(index.shards()) - seen, key=lambda name: (name in merged, index.header(name).created))
            if not new:
                break
            for name in new:
                seen.add(name)
                self._take(index.path(name))
        self.report.damaged += [Damage(self.theirs.key, index.path(name), text) for name, text in index.bad.items()]
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
        """Whether a sequence is `new` here, the `same`, or made from the same but `other`."""
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
            target = new_shard(ours.folder / "shards")
            with replacing(target) as temporary:
                _link(place, temporary)
                problem = check_shard(temporary, ours)
                if problem or read_header(temporary).digests != header.digests:
                    raise StoreError(f"{place} did not arrive as it was ({problem}): nothing of it was taken in")
            ours.index.take(target)
        else:
            entries = list(entries_of(place))
            ours.index.take(write_verified(ours, [entries[number] for number in taken], header.created))
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
            if ours and (ours.holds(failure.clip, failure.source) or ours.failure(failure.clip)):
                continue
            self.report.failures += 1
            if ours and not self.dry_run:
                ours.fail(failure.clip, failure.source, failure.reason, failure.message, failure.retry)


def _link(place: Path, target: Path) -> None:
    """A second name for a file that never changes; a copy where that cannot be."""
    try:
        os.link(place, target)
    except FileNotFoundError as error:
        raise VanishedShard(f"{place} is gone") from error
    except OSError:
        shutil.copyfile(place, target)

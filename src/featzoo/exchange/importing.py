"""Import into a store, the same for every format: entries are checked, counted, stored or refused with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.cache.shard import check_id
from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, StoreError
from featzoo.extractors.contract import spec_digest
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.wording import count


class Rows(NamedTuple):
    """One entry as a file holds it; infinite values and unnamed columns are corrected later.

    Attributes:
        features: (T, ..., D), or (T,) for one column.
        intervals: (T, 2) seconds from the clip's start; None if the file has no times.
        names: D column names; columns are numbered if there are no names, or not D of them.
    """

    features: Array
    intervals: Array | None = None
    names: Sequence[str] = ()


class Incoming(NamedTuple):
    """One feature set in a file.

    Attributes:
        name: The set's name.
        entries: Pairs of a clip id and a function that reads its rows, read once, in order. An entry whose function
            raises a ValueError or KeyError is refused with that reason; the others are imported.
        options: Options that distinguish this set from others of the same name; part of the key.
        provenance: Other information, such as the file, the licence and the `modality`.
        spec: Everything that decided the features, if the file says so; replaces `options`.
    """

    name: str
    entries: Iterable[tuple[str, Callable[[], Rows]]]
    options: Mapping[str, Any] = {}
    provenance: Mapping[str, Any] = {}
    spec: Mapping[str, Any] | None = None


class Arrival(NamedTuple):
    """The contents of a file or folder: feature sets, clips with splits and labels, and notes for the user.

    Notes are read after the sets, so that they can mention problems found there.
    """

    sets: Iterable[Incoming]
    clips: Sequence[Clip] = ()
    refused: Mapping[str, str] = {}
    notes: Iterable[str] = ()


class Imported(NamedTuple):
    """The result of one set: its key, clips, infinite values replaced by NaN, refused entries, and columns."""

    key: str
    clips: int
    infinite: int
    refused: dict[str, str]
    columns: tuple[str, ...] = ()


class Account(NamedTuple):
    """The result of an import, or of a dry run.

    Attributes:
        clips: Clips recorded, by split (`no split` for those without).
        sets: By feature set.
        refused: Entries that belong to no set, with the reason.
        notes: Notes for the user.
        dry_run: Whether nothing was written.
    """

    clips: Mapping[str, int]
    sets: tuple[Imported, ...]
    refused: Mapping[str, str]
    notes: tuple[str, ...]
    dry_run: bool

    @property
    def complete(self) -> bool:
        """Whether nothing was refused."""
        return not self.refused and not any(each.refused for each in self.sets)

    def lines(self) -> Iterator[str]:
        """The account as lines of text."""
        if self.dry_run:
            yield "dry run: nothing is written. It would be:"
        if self.clips:
            splits = ", ".join(f"{number} {split}" for split, number in self.clips.items())
            yield f"clips: {sum(self.clips.values())} ({splits})"
        for each in self.sets:
            size = f"{count(each.clips, 'clip')} x {count(len(each.columns), 'column')}"
            yield f"{each.key}: {size}, {len(each.refused)} refused"
            if each.columns:
                yield f"    columns: {_shortened(each.columns)}"
            if each.infinite:
                yield f"    {count(each.infinite, 'infinite value')} became NaN (not observed)"
            yield from (f"    refused {entry}: {reason}" for entry, reason in each.refused.items())
        yield from (f"refused {entry}: {reason}" for entry, reason in self.refused.items())
        yield from self.notes


def _shortened(columns: Sequence[str]) -> str:
    return ", ".join(columns if len(columns) <= 6 else [*columns[:3], "...", columns[-1]])


def bring_in(arrival: Arrival, store_path: Path, dry_run: bool = False) -> Account:
    """Import the contents of a file into a store. A dry run reads and checks everything and writes nothing.

    Words, times and media of clips that the store already knows are kept, but words with times replace words without.
    Split and labels are taken from the file.

    Args:
        arrival: The contents of the file.
        store_path: The store; created if it does not exist and anything can be read.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If nothing can be read.
        StoreError: If the store cannot be written, or its sets have other columns.
    """
    given, wrong = _sorted_out(arrival.clips)
    clips = Counter(clip.split or "no split" for clip in given)
    if dry_run and store_path.is_dir() and any(store_path.iterdir()):
        FeatureStore(store_path)  # raises an error if the folder is not a store
    if given and not dry_run:
        store = FeatureStore.create(store_path)
        known = store.records()
        media = {record.clip.path: record.media for record in known.values() if record.clip.path}
        store.record([_merged(known[c.id].clip, c) if c.id in known else c for c in given], media)
    sets = tuple(_one_set(incoming, store_path, dry_run) for incoming in arrival.sets)
    account = Account(clips, sets, {**arrival.refused, **wrong}, tuple(arrival.notes), dry_run)
    if not clips and not any(each.clips for each in sets):
        reasons = {**account.refused, **{entry: why for each in sets for entry, why in each.refused.items()}}
        raise InvalidClips(f"none of {len(reasons)} entries can be read: {dict(list(reasons.items())[:5])}")
    return account


def _sorted_out(clips: Sequence[Clip]) -> tuple[list[Clip], dict[str, str]]:
    """The clips that a store can hold, and the reasons against the others; the first clip with an id counts."""
    given: dict[str, Clip] = {}
    refused = {}
    for clip in clips:
        if why := _wrong_id(clip.id):
            refused[clip.id] = why
        elif clip.id in given:
            refused[f"{clip.id} (again)"] = f"its id occurs already in {given[clip.id].split or 'the file'}"
        else:
            given[clip.id] = clip
    return list(given.values()), refused


def _wrong_id(clip_id: str) -> str:
    """The reason why no store can hold this id; empty if one can."""
    try:
        check_id(clip_id)
    except StoreError as error:
        return str(error)
    return ""


def _merged(known: Clip, new: Clip) -> Clip:
    labels = {name: value for name, value in known.labels.items() if name not in new.categories}
    categories = {name: value for name, value in known.categories.items() if name not in new.labels}
    merged = replace(
        known,
        split=new.split or known.split,
        labels={**labels, **new.labels},
        categories={**categories, **new.categories},
    )
    if not known.words or (_untimed(known) and new.words and not _untimed(new)):
        merged = replace(merged, words=new.words, problem=new.problem)
    if known.path is None and (new.path is not None or known.end is None):
        merged = replace(merged, path=new.path, start=new.start, end=new.end)
    return merged


def _untimed(clip: Clip) -> bool:
    return all(word.start != word.start for word in clip.words)


def _one_set(incoming: Incoming, store_path: Path, dry_run: bool) -> Imported:
    counted = _Counted()
    sequences = counted.sequences(incoming.entries)
    first = next(sequences, None)
    plain = {"extractor": incoming.name, "version": 1, "reads": [], "digests": {}, "options": dict(incoming.options)}
    plain = plain if incoming.spec is None else {**plain, **incoming.spec}
    if first is not None:
        pairs = chain([first], sequences)
        if dry_run:
            for _ in pairs:
                pass
        else:
            FeatureStore.create(store_path).add(incoming.name, pairs, spec=plain, provenance=dict(incoming.provenance))
    key = f"{incoming.name}-{spec_digest(plain)[:8]}"
    columns = first[1].names if first is not None else ()
    return Imported(key, counted.clips, counted.infinite, counted.refused, columns)


class _Counted:
    """The sequences of a set, with counts of clips, infinite values and refused entries."""

    def __init__(self) -> None:
        self.clips, self.infinite = 0, 0
        self.refused: dict[str, str] = {}

    def sequences(self, entries: Iterable[tuple[str, Callable[[], Rows]]]) -> Iterator[tuple[str, FeatureSequence]]:
        kind: tuple[Any, ...] | None = None
        for entry, read in entries:
            try:
                if why := _wrong_id(entry):
                    raise ValueError(why)
                sequence, infinite = _sequence(read())
                found = (sequence.features.shape[1:], sequence.features.dtype, sequence.names)
                if kind is not None and found != kind:
                    raise ValueError(_differs(found, kind))
            except KeyError as error:
                self.refused[entry] = f"it lacks {error}"
                continue
            except ValueError as error:
                self.refused[entry] = str(error)
                continue
            kind = found
            self.clips += 1
            self.infinite += infinite
            yield entry, sequence


def _differs(found: tuple[Any, ...], kind: tuple[Any, ...]) -> str:
    if found[:2] == kind[:2]:
        return "its column names are not those of the first entry"
    return f"rows of shape {found[0]} and type {found[1]}, the first entry's are {kind[0]} and {kind[1]}"


def _sequence(rows: Rows) -> tuple[FeatureSequence, int]:
    """The checked sequence, and the number of infinite values that were replaced by NaN."""
    features = np.asarray(rows.features)
    features = features[:, None] if features.ndim == 1 else features  # (T, D)
    if features.ndim < 2 or features.dtype.kind not in "fiub":
        raise ValueError(f"features must be (T, D) numbers; got shape {features.shape} of {features.dtype}")
    infinite = np.isinf(features)
    if infinite.any():
        features = np.where(infinite, features.dtype.type(np.nan), features)
    intervals = np.full((len(features), 2), np.nan) if rows.intervals is None else rows.intervals
    names = rows.names if len(rows.names) == features.shape[-1] else numbered(features.shape[-1])
    return FeatureSequence(features, intervals, tuple(names)), int(infinite.sum())


def numbered(width: int) -> tuple[str, ...]:
    """Names for unnamed columns."""
    return tuple(f"column_{number}" for number in range(width))

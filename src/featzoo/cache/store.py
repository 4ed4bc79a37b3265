"""FeatureStore: a folder that any number of processes may write to at once, without a lock."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from featzoo import documents
from featzoo.cache.catalogue import Catalogue
from featzoo.cache.clip_table import Record
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.marker import read_marker, write_marker
from featzoo.cache.owner import Verify
from featzoo.cache.set_requests import matching
from featzoo.cache.shard import FORMAT, Entry
from featzoo.cache.source import source_digest
from featzoo.digests import ContentDigests
from featzoo.durable import probe, refused
from featzoo.errors import MissingFeatures, StoreError
from featzoo.extractors.contract import spec_digest
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence, untimed

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from featzoo.extractors.pooling import Pooling

# Features are written when this many bytes are waiting.
BUFFER_BYTES = 32 << 20


class FeatureStore:
    """Feature sequences of clips, by feature set.

    `store["egemaps"]["clip id"]` is a FeatureSequence of memory-mapped, read-only arrays. Two processes may
    add to one store at the same time; a process killed at any moment loses only features that it had not yet
    reported as stored.

    Args:
        path: The folder.
        verify: When a read compares a clip with its checksum: at its `first` read in a process, `always`, or
            `never`. A damaged clip is an error, never a wrong value.
        declared: Its format, for a store whose `STORE.json` is damaged; read from there by default.

    Raises:
        StoreError: If `path` is not a store, or has a newer format.
    """

    def __init__(self, path: str | Path, verify: Verify = "first", declared: int | None = None) -> None:
        self.path = Path(path)
        self.verify: Verify = verify
        if verify not in get_args(Verify):
            raise StoreError(f"verify must be first, always or never; got {verify!r}")
        self.format = read_marker(self.path) if declared is None else declared
        self._sets: dict[str, FeatureSet] = {}
        self.bad: dict[Path, StoreError] = {}
        self.catalogue = Catalogue(self.path)
        self.contents = ContentDigests(self.path / "index")

    def __reduce__(self) -> tuple[Any, ...]:
        return (FeatureStore, (self.path, self.verify))

    @classmethod
    def create(cls, path: str | Path) -> FeatureStore:
        """The store at `path`, created if missing.

        Raises:
            StoreError: If the folder cannot be made, holds other things, or is on a file system without atomic rename.
        """
        path = Path(path)
        marker = path / "STORE.json"
        if not marker.is_file():
            try:
                path.mkdir(parents=True, exist_ok=True)
                occupied = any(not place.name.startswith(".") for place in path.iterdir())
                # Checked again, because another process may have made the store in the meantime.
                if occupied and not marker.is_file():
                    raise StoreError(f"{path} exists and is not a feature store: give another folder with -o")
            except OSError as error:
                raise refused(path, error) from error
            probe(path)
            write_marker(path)
        return cls(path)

    def upgrade(self) -> None:
        """Declare that the store holds shards of the current format, so that an older featzoo does not misread them.

        Raises:
            StoreError: If the store cannot be written.
        """
        if self.format != FORMAT:
            write_marker(self.path)
            self.format = FORMAT

    def sets(self) -> list[FeatureSet]:
        """All feature sets that can be read, by key; the others are in `bad`."""
        self.bad = {}
        for place in sorted(self.path.glob("*/set.json")):
            if place.parent.name not in self._sets:
                try:
                    self._sets[place.parent.name] = FeatureSet(self, place.parent)
                except MissingFeatures:
                    continue  # deleted meanwhile
                except StoreError as error:
                    self.bad[place] = error
        return [self._sets[key] for key in sorted(self._sets)]

    def find(self, request: str) -> FeatureSet | None:
        """The feature set for a request (a key, or a name or `module:Class` with options); None if no set matches.

        See `set_requests.matching` for what matches.

        Raises:
            StoreError: If several sets match.
            InvalidOption: If the extractor does not have such options.
        """
        fitting = matching(request, self.sets(), self.bad)
        if len(fitting) > 1:
            keys = "; ".join(f"{found.key} ({found.describe()})" for found in fitting)
            raise StoreError(f"{self.path} holds {len(fitting)} sets that match '{request}': name one of {keys}")
        return fitting[0] if fitting else None

    def __iter__(self) -> Iterator[str]:
        return (found.key for found in self.sets())

    def __len__(self) -> int:
        return len(self.sets())

    def __contains__(self, request: str) -> bool:
        return self.find(request) is not None

    def __repr__(self) -> str:
        return f"FeatureStore({str(self.path)!r}: {', '.join(self) or 'empty'})"

    def __getitem__(self, request: str) -> FeatureSet:
        found = self.find(request)
        if found is None:
            held = ", ".join(each.key for each in self.sets()) or "none"
            raise MissingFeatures(
                f"{self.path} holds no '{request}' (it holds: {held}). "
                f"Make them with: feat extract FOLDER -x '{request}' -o {self.path}"
            )
        return found

    def open_set(self, label: str, spec: Mapping[str, Any], provenance: Mapping[str, Any] | None = None) -> FeatureSet:
        """The feature set of a spec, created if missing; it may have another variant's name if it was made by 0.1.

        Args:
            label: Its name, such as `egemaps` or `bert.minilm`.
            spec: Everything that determines its features, as plain values.
            provenance: Further facts: versions, licence, host.

        Raises:
            StoreError: If the store cannot be written, or another spec has the same key.
        """
        if not re.fullmatch(r"[\w.-]+", label) or label.startswith("."):
            raise StoreError(f"'{label}' cannot name a feature set: only letters, digits, - _ . are allowed")
        digest = spec_digest(spec)
        folder = self.path / f"{label}-{digest[:8]}"
        if not (folder / "set.json").is_file():
            base = label.split(".")[0]  # the extractor's name, without a variant
            same = [found for found in self.sets() if (found.digest, found.name.split(".")[0]) == (digest, base)]
            if same:
                return same[0]
            made = {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **(provenance or {})}
            document = {"format": FORMAT, "name": label, "digest": digest, "spec": spec, "provenance": made}
            try:
                (folder / "shards").mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise refused(self.path, error) from error
            documents.save(folder / "set.json", document)
        found = self._sets.get(folder.name) or FeatureSet(self, folder)
        if found.digest != digest:
            raise StoreError(f"{folder} belongs to another spec ({found.digest}): their first 8 digits agree")
        self._sets[folder.name] = found
        return found

    # Clips

    def records(self) -> Mapping[str, Record]:
        """Every recorded clip with its media's digest, from the newest run that named it."""
        return self.catalogue.records()

    def clips(self) -> dict[str, Clip]:
        """Every recorded clip with its split, labels and words, by id."""
        return {name: record.clip for name, record in self.records().items()}

    def clip_ids(self) -> list[str]:
        """The ids of all clips, sorted."""
        return sorted(self.records())

    def query(self, where: str = "", columns: Sequence[str] = (), sets: Sequence[str] = ()) -> pyarrow.Table:
        """Clips by split, speaker, labels, duration and state: `store.query("split = 'test' and seconds > 2")`.

        Args:
            where: A condition as in SQL, with =, <>, <, <=, >, >=, IN, LIKE, BETWEEN, IS NULL, AND, OR, NOT and
                parentheses; empty for all rows.
            columns: Columns to return; all by default. docs/reference/store-format.md lists them.
            sets: Feature sets; all by default.

        Returns:
            One row for each clip and set, sorted; `to_pandas()` makes a frame of it.

        Raises:
            InvalidOption: If the condition is not one, or a column does not exist.
            StoreError: If the store lacks a set, or a clip table is damaged.
        """
        from featzoo.cache.view import query

        return query(self, where, columns, [self[each] for each in sets] or None)

    def to_pandas(self, request: str, pool: Pooling | None = "mean", labels: bool = True) -> pandas.DataFrame:
        """A feature set as a frame; see `frame.frame_of`.

        Raises:
            MissingFeatures: If the store lacks the set.
            InvalidOption: If labels are asked for without pooling, or the features are integers and cannot be pooled.
            MissingPackage: If pandas is not installed.
        """
        return self[request].to_pandas(pool, labels)

    def record(self, clips: Iterable[Clip], media: Mapping[Path, str] | None = None) -> None:
        """Record the clips of a run; see `Catalogue.record`."""
        self.catalogue.record(clips, media)

    def source(self, clip_id: str, reads: Sequence[str]) -> str | None:
        """The digest of a clip's current inputs for an extractor with these `reads`; None if it is unknown."""
        record = self.records().get(clip_id)
        return None if record is None else source_digest(record.clip, record.media, reads)

    # Reading and writing

    def read(self, request: str, clip_id: str) -> FeatureSequence:
        """One clip of one feature set.

        Raises:
            MissingFeatures: If the store lacks the set, or the set lacks the clip.
        """
        return self[request][clip_id]

    def holds(self, request: str, clip_id: str, source: str | None = None) -> bool:
        """Whether a clip is stored, with this `source` if it is given."""
        found = self.find(request)
        return found is not None and found.holds(clip_id, source)

    def write(self, request: str, clip_id: str, sequence: FeatureSequence, source: str = "") -> None:
        """Store one clip durably. Many clips are written faster by `add`.

        Raises:
            MissingFeatures: If the store has no such set.
            StoreError: If it cannot be written.
        """
        self[request].write([Entry(clip_id, source, sequence)])

    def add(
        self,
        name: str,
        features: Mapping[str, FeatureSequence | Array] | Iterable[tuple[str, FeatureSequence | Array]],
        names: Sequence[str] | None = None,
        spec: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> FeatureSet:
        """Add features from any source; memory stays bounded for an iterable of pairs.

        Args:
            name: Name of the feature set.
            features: Clip id to a FeatureSequence, or to an array (T, D) or (D,) without times.
            names: D column names, for arrays.
            spec: Everything that determines the features; by default only their name.
            provenance: Their origin.

        Raises:
            StoreError: If rows differ in shape or type, or the store cannot be written.
            ValueError: If a sequence is malformed.
        """
        plain = {"extractor": name, "version": 1, "reads": [], "options": {}, "digests": {}}
        found = self.open_set(name, {**plain, **(spec or {})}, provenance)
        pairs = features.items() if isinstance(features, Mapping) else features
        waiting: list[Entry] = []
        size = 0
        for clip_id, value in pairs:
            sequence = value if isinstance(value, FeatureSequence) else untimed(np.asarray(value), names)
            waiting.append(Entry(clip_id, "", sequence))
            size += sequence.features.nbytes
            if size >= BUFFER_BYTES:
                found.write(waiting)
                waiting, size = [], 0
        if waiting:
            found.write(waiting)
        return found

"""The catalogue of a store's clips, as recorded by its runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from featzoo.cache.clip_columns import ClipColumns, clip_columns
from featzoo.cache.clip_table import Record, newest_records, same, tables, write_records
from featzoo.cache.shard import check_id
from featzoo.errors import StoreError
from featzoo.media.clip import Clip


class Catalogue:
    """The clips of a store, in one immutable table for each run.

    Args:
        store: The folder of the store.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._folder = store / "clips"
        self._records: dict[str, Record] | None = None
        self._forgotten: set[str] = set()
        self._tables: list[Path] = []

    def records(self) -> dict[str, Record]:
        """Every recorded clip with its media's digest, from the newest run that named it."""
        if self._records is None:
            self._tables = tables(self._folder)
            newest = newest_records(self._tables)
            self._records = {name: record for name, record in newest.items() if record is not None}
            self._forgotten = newest.keys() - self._records.keys()
        return self._records

    def columns(self, names: Sequence[str] = ()) -> ClipColumns:
        """Columns of the clip tables: one row for each clip; see `clip_columns`.

        Raises:
            DamagedFile: If a table is damaged.
        """
        return clip_columns(tables(self._folder), names)

    def __len__(self) -> int:
        """The number of recorded clips."""
        return len(self._records) if self._records is not None else len(self.columns().rows)

    def forgotten(self) -> Set[str]:
        """The ids of clips that were forgotten and have not been named since."""
        self.records()
        return self._forgotten

    def record(self, clips: Iterable[Clip], media: Mapping[Path, str] | None = None) -> None:
        """Record the clips of a run; unchanged clips are not written again.

        A split and names that a run does not give are kept from earlier runs.

        Args:
            clips: The clips.
            media: Digests of the media files' contents, where known.

        Raises:
            StoreError: If the store cannot be written, or an id cannot be stored.
        """
        known = self._refreshed()
        new = []
        for clip in clips:
            check_id(clip.id)
            before = known.get(clip.id)
            if before:
                clip = _completed(clip, before.clip)
            record = Record(clip, (media or {}).get(clip.path, "") if clip.path else "")
            if not before or not same(before, record):
                new.append(record)
        if new:
            self._tables = [*self._tables, write_records(self._folder, new)]
            known.update({record.clip.id: record for record in new})
            self._forgotten -= known.keys()

    def forget(self, clip_ids: Iterable[str]) -> None:
        """Remove clips; their features stay until garbage is deleted. A run that names a clip again restores it.

        Raises:
            StoreError: If a clip does not exist, or the store cannot be written.
        """
        known, ids = self._refreshed(), list(dict.fromkeys(clip_ids))
        for clip_id in ids:
            if clip_id not in known:
                raise StoreError(f"{self._store} has no clip '{clip_id}'")
        if ids:
            self._tables = [*self._tables, write_records(self._folder, [], ids)]
            self._forgotten |= {*ids}
            for clip_id in ids:
                del known[clip_id]

    def _refreshed(self) -> dict[str, Record]:
        if self._tables != tables(self._folder):
            self._records = None  # another run has recorded clips meanwhile
        return self.records()


def _completed(clip: Clip, before: Clip) -> Clip:
    """The clip with what an earlier run knew and this one does not say: a split, names, digests of files."""
    kept = {name: value for name, value in before.categories.items() if name not in clip.labels}
    return replace(
        clip,
        split=clip.split or before.split,
        categories={**kept, **clip.categories},
        files={**before.files, **clip.files},
    )

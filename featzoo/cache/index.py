"""Where each clip of a feature set lies: kept in `index/`, made again whenever it does not fit the shards."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from featzoo.cache.shard import Header, read_header
from featzoo.errors import StoreError


class Place(NamedTuple):
    """One stored clip: its shard, its number in it, and what it was made from."""

    shard: str
    number: int
    source: str
    digest: str


class SetIndex:
    """The shards of one feature set and the clips in them.

    Attributes:
        bad: Shards that cannot be read, with the reason: they are reported, never passed over in silence.
    """

    # So many shards that the saved index does not know make saving it worth while.
    SAVE_AFTER = 8

    def __init__(self, shards: Path, saved: Path) -> None:
        self._shards, self._saved = shards, saved
        self._headers: dict[str, Header] = {}
        self._places: dict[str, list[Place]] = defaultdict(list)
        self.bad: dict[str, str] = {}
        self._load()
        self.refresh()

    def refresh(self) -> None:
        """Take in shards that have appeared since, and forget those that are gone."""
        try:
            present = {entry.name for entry in os.scandir(self._shards) if entry.name.endswith(".h5")}
        except FileNotFoundError:
            present = set()
        gone = set(self._headers) - present
        if gone:
            kept = {name: header for name, header in self._headers.items() if name not in gone}
            self._headers.clear()
            self._places.clear()
            for name, header in kept.items():
                self._take(name, header)
        new = present - set(self._headers) - set(self.bad)
        for name in sorted(new):
            try:
                self._take(name, read_header(self._shards / name))
            except StoreError as error:
                self.bad[name] = str(error)
        if len(new) >= self.SAVE_AFTER or gone:
            self._save()

    def _take(self, name: str, header: Header) -> None:
        self._headers[name] = header
        for number, clip_id in enumerate(header.clip_ids):
            self._places[clip_id].append(Place(name, number, header.sources[number], header.digests[number]))

    def places(self, clip_id: str) -> list[Place]:
        """All copies of a clip, the newest shard last."""
        places = self._places.get(clip_id, [])
        return places if len(places) < 2 else sorted(places, key=lambda p: (self._headers[p.shard].created, p))

    def header(self, shard: str) -> Header:
        """The header of a shard."""
        return self._headers[shard]

    def headers(self) -> list[Header]:
        """The headers of all shards, the newest last."""
        return sorted(self._headers.values(), key=lambda header: header.created)

    def path(self, shard: str) -> Path:
        """The file of a shard."""
        return self._shards / shard

    def ids(self) -> list[str]:
        """The ids of all stored clips, sorted."""
        return sorted(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _save(self) -> None:
        """One small HDF5 file with a group for each shard; a folder that cannot be written does without."""
        temporary = self._saved.with_name(f".{self._saved.name}-{os.getpid()}.tmp")
        text = h5py.string_dtype("utf-8")
        try:
            self._saved.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(temporary, "w") as file:
                for name, header in self._headers.items():
                    group = file.create_group(name)
                    group.attrs.update(
                        {
                            "dtype": header.dtype,
                            "tail": header.tail,
                            "places": header.places,
                            "created": header.created,
                            "size": (self._shards / name).stat().st_size,
                        }
                    )
                    group.create_dataset("clip_ids", data=header.clip_ids, dtype=text)
                    group.create_dataset("sources", data=np.array(header.sources, dtype="S64"))
                    group.create_dataset("digests", data=np.array(header.digests, dtype="S64"))
                    group.create_dataset("offsets", data=header.offsets)
                    group.create_dataset("names", data=list(header.names), dtype=text)
            temporary.replace(self._saved)
        except OSError:
            with suppress(OSError):
                temporary.unlink()

    def _load(self) -> None:
        """Take what the saved index says of shards that are still there with the same size."""
        if not self._saved.is_file():
            return
        try:
            with h5py.File(self._saved, "r", locking=False) as file:
                for name, header in _saved_headers(file, self._shards):
                    self._take(name, header)
        except (OSError, KeyError, RuntimeError, ValueError):
            # Derived and replaceable: a damaged index is simply made again from the shards.
            self._headers.clear()
            self._places.clear()


def _saved_headers(file: h5py.File, shards: Path) -> Iterator[tuple[str, Header]]:
    for name, group in file.items():
        try:
            size = (shards / name).stat().st_size
        except OSError:
            continue
        if size != group.attrs["size"]:
            continue
        yield (
            name,
            Header(
                group["clip_ids"].asstr()[:].tolist(),
                [value.decode() for value in group["sources"][:].tolist()],
                [value.decode() for value in group["digests"][:].tolist()],
                group["offsets"][:],
                tuple(group["names"].asstr()[:].tolist()),
                str(group.attrs["dtype"]),
                tuple(map(int, group.attrs["tail"])),
                (int(group.attrs["places"][0]), int(group.attrs["places"][1])),
                int(group.attrs["created"]),
            ),
        )

"""Reads stored copies of clips back from the disk, before other copies are deleted."""

from __future__ import annotations

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.index import Place
from featzoo.cache.shard import Header, clip_digest
from featzoo.cache.shard_reader import Mapped, read_header
from featzoo.errors import DamagedShard, StoreError


class Copies:
    """The copies in a feature set as they are on the disk now, whatever the index says.

    Args:
        found: A feature set.
    """

    def __init__(self, found: FeatureSet) -> None:
        self._found = found
        self._shards: dict[str, tuple[Header, Mapped] | StoreError] = {}

    def damage(self, place: Place, clip_id: str) -> str:
        """How a copy differs from what was written; empty for an intact copy."""
        try:
            header, held = self._shard(place.shard)
            number = place.number
            recorded = [column[number] for column in (header.clip_ids, header.sources, header.digests)]
            held.verify(number, clip_id, place.digest)
        except StoreError as error:
            return str(error)
        if recorded != [clip_id, place.source, place.digest] or clip_digest(*held.rows(number)) != place.digest:
            return f"{self._found.index.path(place.shard)}: '{clip_id}' differs from what was written"
        return ""

    def intact(self, clip_id: str, source: str) -> bool:
        """Whether an intact copy of a clip with this source is stored."""
        places = self._found.index.places(clip_id)
        return any(place.source == source and not self.damage(place, clip_id) for place in places)

    def _shard(self, name: str) -> tuple[Header, Mapped]:
        if name not in self._shards:
            path = self._found.index.path(name)
            try:
                header = read_header(path)
                if len(header.clip_ids) != self._found.index.clips_of(name):
                    raise DamagedShard(f"{path} holds other clips than the index says")
                self._shards[name] = header, Mapped(path, header)
            except StoreError as error:
                self._shards[name] = error
        held = self._shards[name]
        if isinstance(held, StoreError):
            raise held
        return held

"""The part of a store that its feature sets need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from featzoo.cache.featureset import FeatureSet
    from featzoo.media.clip import Clip

# When a read compares a clip with its checksum: at the first read in a process, at every read, or never.
Verify = Literal["first", "always", "never"]


class Owner(Protocol):
    """The part of a store that a feature set needs: its folder, `verify`, current clips, and sets, for pickling."""

    path: Path
    verify: Verify

    def upgrade(self) -> None:
        """Declare that the store holds shards of the current format."""

    def clips(self) -> dict[str, Clip]:
        """Every recorded clip, by id."""

    def source(self, clip_id: str, reads: Sequence[str]) -> str | None:
        """The digest of a clip's current inputs; None if it is unknown."""

    def __getitem__(self, request: str) -> FeatureSet: ...

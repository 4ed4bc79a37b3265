"""Division of the clips among independent processes, such as the tasks of a batch system."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from featzoo.errors import InvalidOption
from featzoo.media.clip import Clip


def share(clips: Sequence[Clip], rank: int, world: int) -> list[Clip]:
    """The clips that one of `world` processes extracts; each clip belongs to exactly one rank.

    A clip's rank is the SHA-256 of its id modulo `world`. It does not depend on the other clips or on what is stored
    already, so a rank that is started again continues with the same clips.

    Raises:
        InvalidOption: If not 0 <= rank < world.
    """
    if not 0 <= rank < world:
        raise InvalidOption(f"rank {rank} of {world}: expected a rank from 0 to {world - 1}")
    return [clip for clip in clips if _number(clip.id) % world == rank]


def _number(clip_id: str) -> int:
    return int.from_bytes(hashlib.sha256(clip_id.encode("utf-8", "surrogatepass")).digest()[:8], "big")

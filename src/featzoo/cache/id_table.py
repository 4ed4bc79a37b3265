"""The ids of the clips in a saved index, found by their hashes: opening a large set makes no Python object per clip."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import xxhash

# Bytes of a clip in a table beside its id, and where the columns of its rows, hashes and places start.
WIDTH = 24
COLUMNS = (("<i8", 0), ("<u8", 8), ("<i8", 16))


def table_bytes(ids: Sequence[str], rows: Sequence[int]) -> tuple[bytes, bytes]:
    """The two parts of a table: ids, and numbers.

    Args:
        ids: Sorted; an id may occur more than once.
        rows: The row of each.
    """
    words = [clip_id.encode() for clip_id in ids]
    hashes = np.fromiter(map(xxhash.xxh3_64_intdigest, words), "<u8", len(words))
    order = np.argsort(hashes, kind="stable")
    numbers = (np.array(rows, "<i8"), hashes[order], order.astype("<i8"))
    return b"\0".join(words), b"".join(column.tobytes() for column in numbers)


class IdTable:
    """Ids and the row of each: `table["clip id"]` gives its rows in rising order, none for other ids.

    Args:
        text: The ids, sorted, as UTF-8 joined by NUL.
        numbers: By id, its row (int64); then by hash, the 64-bit XXH3 of each id, sorted, and the id's place among
            the ids (int64).

    Raises:
        ValueError: If the ids are not UTF-8, or the numbers do not belong to them.
    """

    def __init__(self, text: bytes = b"", numbers: bytes | memoryview = b"") -> None:
        self._text, count = text, len(numbers) // WIDTH
        rows, hashes, order = (np.frombuffer(numbers, kind, count, at * count).copy() for kind, at in COLUMNS)
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 0) + 1
        if len(ends) != max(count - 1, 0):
            raise ValueError(f"it has {len(ends) + 1} ids for {count} clips")
        if any(count and (column.min() < 0 or column.max() >= count) for column in (rows, order)):
            raise ValueError("it has rows of other clips")
        text.decode()
        # Memoryviews give single numbers faster than arrays do, and as int. They need aligned memory, hence the copies.
        self._rows, self._hashes, self._order = rows.data, hashes.data, order.data
        self._starts = np.concatenate([[0], ends, [len(text) + 1]]).astype(np.int64).data

    def __len__(self) -> int:
        """The number of ids; one that occurs twice counts twice."""
        return len(self._rows)

    def __getitem__(self, clip_id: str) -> list[int]:
        found: list[int] = []
        try:
            word = clip_id.encode()
        except UnicodeEncodeError:
            return found  # no such id can be stored
        hashed = xxhash.xxh3_64_intdigest(word)
        place, count = bisect_left(self._hashes, hashed), len(self._hashes)
        while place < count and self._hashes[place] == hashed:
            number = self._order[place]
            if self._text[self._starts[number] : self._starts[number + 1] - 1] == word:
                found.append(self._rows[number])
            place += 1
        return found

    def ids(self) -> list[str]:
        """All ids, sorted."""
        return _split(self._text) if len(self) else []

    def rows(self) -> list[int]:
        """The row of each of `ids`."""
        return self._rows.tolist()


@lru_cache(maxsize=1)
def _split(text: bytes) -> list[str]:
    """The ids in an index; the sets of a store often hold the same clips, and then share them."""
    return list(map(sys.intern, text.decode().split("\0")))

"""Limits for untrusted pickles: memory in proportion to the file's size, and no deep nesting.

A pickle of 30 bytes can ask for gigabytes, by a number (`bytearray(4_000_000_000)`) or by lists that hold the same
list many times, which NumPy would write out. Tuples nested a million deep overflow the C stack when they are hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from featzoo.errors import InvalidClips
from featzoo.wording import count


class RefusedPickle(InvalidClips):
    """A pickle that is damaged, or that contains more than arrays and plain containers."""


# Real files share little: an array of zeros for missing clips, a label. They stay far below these limits.
LEAST_BYTES = 1 << 26
BYTES_PER_FILE_BYTE = 16
# NumPy reads at most 64 levels of lists as axes.
DEEPEST = 64
VALUE_BYTES = 8


class Budget:
    """The bytes that a pickle may still ask for.

    Args:
        size: Bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self.limit = LEAST_BYTES + BYTES_PER_FILE_BYTE * size
        self._size, self._called = size, 0
        # Depth of the tuples that hold tuples, by id; the tuple is kept, so that its id is not used again.
        self._deep: dict[int, tuple[int, tuple[Any, ...]]] = {}

    def charge(self, made: Any) -> None:
        """Count what a call has made.

        Raises:
            RefusedPickle: If all calls together made more than the limit.
        """
        if isinstance(made, str | bytes | bytearray | list | tuple | set | frozenset | dict):
            self._called += len(made) * (1 if isinstance(made, bytes | bytearray) else VALUE_BYTES)
            self._check(self._called)
        if isinstance(made, tuple):
            self.nest(made)

    def nest(self, made: tuple[Any, ...]) -> None:
        """Note a new tuple.

        Raises:
            RefusedPickle: If it holds tuples nested too deeply.
        """
        inner = [self._deep.get(id(each), (1,))[0] for each in made if type(each) is tuple]
        if inner:
            self._deep[id(made)] = (1 + max(inner), made)
            self._check_depth(1 + max(inner))

    def check_array(self, array: Any) -> None:
        """Check that an array does not declare more values than a file of this size can hold.

        Raises:
            RefusedPickle: If it does, which only values of zero bytes can.
        """
        if array.dtype.itemsize == 0 and array.size > self._size:
            raise RefusedPickle(f"it declares {count(array.size, 'value')} of zero bytes each")

    def check_content(self, content: Any) -> None:
        """Check how large the content is if everything that is shared in it is written out.

        Raises:
            RefusedPickle: If it is larger than the limit, nested too deeply, or holds itself.
        """
        self._check(self._written_out(content, {}, 0))

    def _written_out(self, value: Any, known: dict[int, int], depth: int) -> int:
        """Bytes of a value, in which shared parts count each time."""
        if isinstance(value, np.ndarray) and value.dtype != object:
            return int(value.nbytes)
        items = _items(value)
        if items is None:
            return VALUE_BYTES
        self._check_depth(depth)
        if id(value) not in known:
            known[id(value)] = VALUE_BYTES + sum(self._written_out(each, known, depth + 1) for each in items)
        return known[id(value)]

    def _check(self, size: int) -> None:
        if size > self.limit:
            raise RefusedPickle(
                f"it would take {size:.2g} bytes of memory, but the file has {count(self._size, 'byte')}: real data "
                "are not smaller in a pickle than in memory"
            )

    def _check_depth(self, depth: int) -> None:
        if depth > DEEPEST:
            raise RefusedPickle(f"its containers are nested more than {DEEPEST} deep")


def _items(value: Any) -> Iterable[Any] | None:
    """What a container holds; None for a plain value."""
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, np.ndarray):
        return list(value.flat)
    return value if isinstance(value, list | tuple | set | frozenset) else None

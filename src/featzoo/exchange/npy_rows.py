"""NumPy's .npy arrays, read row by row: memory is bounded, even if a header gives a wrong size."""

from __future__ import annotations

from typing import IO

import numpy as np
from numpy.lib import format as npy

from featzoo.sequence import Array


class Steps:
    """An array in a file, read some rows at a time, numbers only.

    Attributes:
        shape: Shape of the whole array, at least (T,).
        dtype: Type of its values.

    Raises:
        ValueError: If it is not an array of numbers.
    """

    def __init__(self, member: IO[bytes]) -> None:
        version = npy.read_magic(member)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"an array of .npy version {version}")
        self.shape, columns_first, self.dtype = read(member)
        if self.dtype.kind not in "fiub" or not self.shape:
            raise ValueError(f"an array of shape {self.shape} and type {self.dtype}, not of numbers")
        self._member = member
        # In Fortran order it has no rows to read one after the other.
        self._whole = self._values(self.shape[::-1]).T if columns_first else None
        self._row = 0

    def take(self, count: int) -> Array:
        """The next rows, (count, ...).

        Raises:
            ValueError: If there are fewer rows.
        """
        self._row += count
        if self._row > self.shape[0]:
            raise ValueError(f"rows up to {self._row} were requested, but there are {self.shape[0]}")
        if self._whole is not None:
            return self._whole[self._row - count : self._row]
        return self._values((count, *self.shape[1:]))

    def _values(self, shape: tuple[int, ...]) -> Array:
        size = int(np.prod(shape)) * self.dtype.itemsize
        data = bytearray()
        while len(data) < size:
            part = self._member.read(size - len(data))
            if not part:
                raise ValueError("the array is truncated")
            data += part
        return np.frombuffer(data, self.dtype).reshape(shape)

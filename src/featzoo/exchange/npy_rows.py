"""NumPy's .npy arrays and .npz archives of strangers: memory is bounded by the bytes that a file really holds."""

from __future__ import annotations

import math
import tokenize
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from featzoo.sequence import Array

# Deflate makes a thousand zeros from one byte, and members of an archive may lie over each other. Features, padded with
# zeros too, compress far less than this.
LEAST_INFLATED, INFLATED_PER_BYTE = 1 << 28, 64


class Header(NamedTuple):
    """The header of an .npy array.

    Attributes:
        shape: Its shape.
        columns_first: Whether its values are in Fortran's order.
        dtype: The type of its values.
    """

    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype[Any]


def read_header(member: IO[bytes]) -> Header:
    """The header of an array, whose values are read next.

    Raises:
        ValueError: If it is not an .npy array.
    """
    version = npy.read_magic(member)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"an array of .npy version {version}")
    try:
        header = Header(*read(member))
    except (SyntaxError, tokenize.TokenError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"an array with a damaged header: {error}") from error
    if any(length < 0 for length in header.shape):
        raise ValueError(f"an array of shape {header.shape}")
    return header


def read_array(member: IO[bytes]) -> Array:
    """A whole array of any type but objects.

    Raises:
        ValueError: If it is not such an array, or is truncated.
    """
    header = read_header(member)
    if header.dtype.hasobject:
        raise ValueError("an array of objects, which is a pickle: save numbers or text")
    if header.dtype.itemsize == 0:
        raise ValueError(f"an array of type {header.dtype}, not of numbers or text")
    if header.columns_first:
        return _values(member, header.shape[::-1], header.dtype).T  # (...)
    return _values(member, header.shape, header.dtype)


def open_archive(path: Path) -> zipfile.ZipFile:
    """A .npz file, opened.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it inflates to far more than features do, or is compressed as NumPy never does.
        zipfile.BadZipFile: If it is not a zip archive.
    """
    archive = zipfile.ZipFile(path)
    members = archive.infolist()
    declared, size = sum(member.file_size for member in members), path.stat().st_size
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        archive.close()
        raise ValueError("it is compressed in another way than NumPy's: save it with numpy.savez")
    if declared > LEAST_INFLATED + INFLATED_PER_BYTE * size:
        archive.close()
        raise ValueError(
            f"it has {size} bytes and would take {declared} in memory, more than features do: if its arrays are meant, "
            "save them with numpy.savez, uncompressed"
        )
    return archive


class Steps:
    """An array in a file, read some rows at a time, numbers only.

    Attributes:
        shape: Shape of the whole array, at least (T,).
        dtype: Type of its values.

    Raises:
        ValueError: If it is not an array of numbers.
    """

    def __init__(self, member: IO[bytes]) -> None:
        self.shape, columns_first, self.dtype = read_header(member)
        if self.dtype.kind not in "fiub" or not self.shape:
            raise ValueError(f"an array of shape {self.shape} and type {self.dtype}, not of numbers")
        self._member = member
        # In Fortran order it has no rows to read one after the other.
        self._whole = _values(member, self.shape[::-1], self.dtype).T if columns_first else None
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
        return _values(self._member, (count, *self.shape[1:]), self.dtype)


def _values(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The next values of a file, read in parts: memory is asked for only as the file gives bytes."""
    size = math.prod(shape) * dtype.itemsize
    data = bytearray()
    while len(data) < size:
        part = member.read(min(size - len(data), 1 << 24))
        if not part:
            raise ValueError("the array is truncated")
        data += part
    return np.frombuffer(data, dtype).reshape(shape)

"""Accept only plain data from a shard: other people's files may point anywhere, and any file may be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from featzoo.cache.heap import texts_without_hdf5
from featzoo.cache.shard import VanishedShard
from featzoo.errors import DamagedShard

# Errors of h5py and NumPy when the bytes of a file are not those of a sound shard.
CONFUSED = (OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError, AttributeError, OverflowError)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A shard, open for reading.

    Raises:
        VanishedShard: If it no longer exists.
        DamagedShard: If the shard, or a part that the block reads, is damaged.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except FileNotFoundError as error:
        raise VanishedShard(f"{path} is gone") from error
    except (*CONFUSED, MemoryError) as error:
        # For a file that is deleted while HDF5 opens it, the error is not always "not found".
        if not path.exists():
            raise VanishedShard(f"{path} is gone") from error
        raise DamagedShard(f"{path} is damaged: {error}") from error


def admit(file: h5py.File, name: str, kinds: str, ndim: int | None = 1) -> h5py.Dataset:
    """A dataset of a shard: a hard link to contiguous, unfiltered bytes that all lie in the file.

    Args:
        file: The shard.
        name: The dataset's name.
        kinds: NumPy's letters for the kinds of type that it may have; O is text of variable length, in format 1.
        ndim: Number of its dimensions; None is two or more.

    Raises:
        ValueError: If it is anything else.
        KeyError: If it is missing.
    """
    if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name} is a link")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name} is not a dataset")
    kind, shape = found.dtype.kind, found.shape
    text = h5py.check_string_dtype(found.dtype)
    if kind not in kinds or (kind == "O" and text is None) or shape is None:
        raise ValueError(f"{name} has the type {found.dtype}")
    if len(shape) != ndim if ndim is not None else len(shape) < 2:
        raise ValueError(f"{name} has the shape {shape}")
    made = found.id.get_create_plist()
    if made.get_layout() != h5py.h5d.CONTIGUOUS or made.get_external_count():
        raise ValueError(f"{name} is not stored in one piece in this file")
    size = _size(found, shape)
    place = found.id.get_offset()
    if kind in "biufS" and found.dtype.itemsize != found.id.get_type().get_size():
        raise ValueError(f"{name} has numbers of an unsupported form")
    if kind in "biufcS" and size and (place is None or place + size > file.id.get_filesize()):
        raise ValueError("it is truncated")
    return found


def _size(found: h5py.Dataset, shape: tuple[int, ...]) -> int:
    """Bytes of a dataset by its shape, which must be those that it has in the file."""
    size = 16 if found.dtype.kind == "O" else found.id.get_type().get_size()
    for length in shape:
        size *= int(length)
    if size != found.id.get_storage_size():
        raise ValueError(f"{found.name} declares {size} bytes and has {found.id.get_storage_size()}")
    return size


def texts(file: h5py.File, name: str, ndim: int = 1) -> list[str]:
    """The strings of a dataset: UTF-8 of fixed length or, in format 1, of variable length."""
    found = admit(file, name, "SO", ndim)
    if found.dtype.kind == "O":
        held = texts_without_hdf5(found)
        if held is None or ndim != 1:
            raise ValueError(f"{name} has texts of an unsupported form")
        return held
    return [value.decode() for value in found[:].tolist()]


def number_of(file: h5py.File, name: str) -> int:
    """An attribute of a shard that is one whole number."""
    kind = file.attrs.get_id(name)
    if kind.shape != () or kind.dtype.kind not in "iu":
        raise ValueError(f"the attribute {name} is not a whole number")
    return int(file.attrs[name])


def text_of(file: h5py.File, name: str) -> str:
    """An attribute of a shard that is text of a fixed length."""
    kind = file.attrs.get_id(name)
    if kind.shape != () or kind.dtype.kind != "S":
        raise ValueError(f"the attribute {name} is not text of a fixed length")
    return bytes(file.attrs[name]).decode()


def column(array: Any, count: int, name: str) -> Any:
    """A table of a shard, which must have `count` rows.

    Raises:
        ValueError: If it has a different number.
    """
    if len(array) != count:
        raise ValueError(f"{name} has {len(array)} rows, not {count}")
    return array


def check_offsets(offsets: np.ndarray[Any, np.dtype[Any]], rows: int) -> None:
    """Check that the offsets rise from 0 to the number of rows.

    Raises:
        ValueError: If they do not.
    """
    if len(offsets) < 1 or offsets[0] != 0 or bool((np.diff(offsets) < 0).any()):
        raise ValueError("its tables of clips do not match each other")
    if offsets[-1] != rows:
        raise ValueError("it is truncated")

"""Texts of variable length, which shards of format 1 hold, read from HDF5's global heaps without HDF5.

On some damage to a heap the HDF5 library loops for ever, and a hang cannot be caught. So the few bytes are read here:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html, "Disk Format: Level 1E - Global Heap".
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import h5py

# What a dataset holds of each text: its length, the address of a heap, and the number of the object there.
REFERENCE = struct.Struct("<IQI")
# Heap: signature, version, 3 reserved bytes, size with this header. Object: number, uses, 4 reserved bytes, size.
HEAP = struct.Struct("<4sB3xQ")
OBJECT = struct.Struct("<HH4xQ")


def texts_without_hdf5(dataset: h5py.Dataset, errors: str = "strict") -> list[str] | None:
    """The texts of a dataset of variable-length strings in C order; None for one that only HDF5 can read.

    Args:
        dataset: Of a file on disk.
        errors: What becomes of bytes that are not UTF-8, as in `bytes.decode`.

    Raises:
        ValueError: As `heap_texts`.
    """
    made, place = dataset.file.id.get_create_plist(), dataset.id.get_offset()
    if not dataset.size:
        return []
    if made.get_sizes() != (8, 8) or made.get_userblock() or place is None:
        return None
    with Path(dataset.file.filename).open("rb") as raw:
        return heap_texts(raw, place, dataset.size, errors)


def heap_texts(file: BinaryIO, place: int, count: int, errors: str = "strict") -> list[str]:
    """The texts of a contiguous dataset of variable-length strings.

    Args:
        file: The HDF5 file, with addresses of 8 bytes and no user block.
        place: Where in it the dataset begins.
        count: Its number of texts.
        errors: What becomes of bytes that are not UTF-8, as in `bytes.decode`.

    Raises:
        ValueError: If the dataset or a heap is damaged, or texts share bytes: many could point to the same long one.
    """
    heaps: dict[int, dict[int, bytes]] = {}
    found, taken, most = [], 0, 2 * file.seek(0, 2)  # each byte once in a heap, once in a text
    for length, address, number in REFERENCE.iter_unpack(_read(file, place, REFERENCE.size * count)):
        if not length:
            found.append("")
            continue
        if address not in heaps:
            heaps[address] = _objects(file, address)
            taken += sum(map(len, heaps[address].values()))
        taken += length
        if taken > most:
            raise ValueError("its texts are together longer than the file")
        held = heaps[address].get(number, b"")
        if len(held) < length:
            raise ValueError("a text is longer than what the heap holds of it")
        found.append(held[:length].decode("utf-8", errors))
    return found


def _objects(file: BinaryIO, place: int) -> dict[int, bytes]:
    """The objects of a heap by their numbers."""
    signature, version, size = HEAP.unpack(_read(file, place, HEAP.size))
    if (signature, version) != (b"GCOL", 1):
        raise ValueError("there is no heap where a text points to")
    content = _read(file, place + HEAP.size, size - HEAP.size)
    found: dict[int, bytes] = {}
    at = 0
    while at + OBJECT.size <= len(content):
        number, _, length = OBJECT.unpack_from(content, at)
        if number == 0:  # the free rest
            return found
        at += OBJECT.size
        if at + length > len(content) or number in found:
            raise ValueError("the objects of a heap overlap")
        found[number] = content[at : at + length]
        at += -(-length // 8) * 8
    return found


def _read(file: BinaryIO, place: int, size: int) -> bytes:
    if size < 0 or not 0 <= place <= file.seek(0, 2) - size:
        raise ValueError("it is truncated")
    file.seek(place)
    return file.read(size)

"""Files mapped into memory without keeping them open.

`mmap.mmap` and `numpy.memmap` keep a file descriptor for as long as the map lives (until Python 3.13, whose `trackfd`
turns that off), so a process could map no more shards than `ulimit -n` allows. The C library's `mmap` needs none.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from pathlib import Path

import numpy as np

from featzoo.sequence import Array

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
FAILED = ctypes.c_void_p(-1).value


def mapped(path: Path) -> Array:
    """The bytes of a file: (N,) uint8, read-only; unmapped when the last view of them is gone.

    Raises:
        OSError: If the file cannot be opened or mapped.
        ValueError: If it is empty.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise ValueError("the file is empty")
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address in (None, FAILED):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    held = (ctypes.c_ubyte * size).from_address(address)
    # Not at exit: arrays may still be used by other exit functions.
    weakref.finalize(held, _libc.munmap, address, size).atexit = False
    return np.frombuffer(memoryview(held).toreadonly(), np.uint8)

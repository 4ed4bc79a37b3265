"""Groups and arrays of a stranger's HDF5 file: nothing outside the file, and no more memory than it has bytes for.

HDF5 files can link to other files of the machine, store a dataset's bytes in them, or declare a shape of terabytes in
a few bytes. Such parts are refused.
"""

from __future__ import annotations

import h5py
import numpy as np

from featzoo.cache.heap import texts_without_hdf5
from featzoo.sequence import Array

# Filters that h5py itself applies, and the most by which they compress (deflate).
FILTERS = {
    h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_SZIP, 32000,
}  # fmt: skip
MOST_COMPRESSED = 1032
# Texts of variable length are read in blocks, and together may take this many bytes and more for larger files: many
# of them can point to the same long one.
LEAST_TEXT_BYTES = 1 << 26
TEXT_BYTES_PER_FILE_BYTE = 16


def group_in(parent: h5py.Group, name: str) -> h5py.Group:
    """A group's own subgroup.

    Raises:
        ValueError: If it is missing, a link to somewhere else, or not a group.
    """
    found = _own(parent, name)
    if not isinstance(found, h5py.Group):
        raise ValueError(f"its '{name}' is not a group")
    return found


def array_in(parent: h5py.Group, name: str) -> h5py.Dataset:
    """A group's own dataset of numbers or text, which has been checked but not read.

    Raises:
        ValueError: If it is missing, outside the file, of another type, or declares more than is stored.
    """
    found = _own(parent, name)
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"its '{name}' is not an array")
    if found.external or found.is_virtual:
        raise ValueError(f"its '{name}' is stored in another file")
    if found.dtype.kind not in "fiubSO" or (found.dtype.kind == "O" and h5py.check_string_dtype(found.dtype) is None):
        raise ValueError(f"its '{name}' holds structures, references or lists, not numbers or text")
    plist = found.id.get_create_plist()
    filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    if not FILTERS.issuperset(filters) or len(set(filters)) < len(filters):
        raise ValueError(f"its '{name}' is compressed by HDF5 filters {filters}: save it with gzip or uncompressed")
    stored = found.id.get_storage_size() * (MOST_COMPRESSED if filters else 1)
    declared = found.size * found.id.get_type().get_size()
    if declared > stored:
        raise ValueError(f"its '{name}' declares {declared} bytes, but at most {stored} are stored")
    return found


def read_numbers(parent: h5py.Group, name: str) -> Array:
    """A group's own array of numbers.

    Raises:
        ValueError: As `array_in`, or if it is not of numbers.
    """
    found = array_in(parent, name)
    if found.dtype.kind not in "fiub":
        raise ValueError(f"its '{name}' holds {found.dtype} values, not numbers")
    array: Array = found[()]  # (...)
    return array


def read_texts(parent: h5py.Group, name: str) -> list[str]:
    """A group's own array of text or numbers as strings, in C order.

    Raises:
        ValueError: As `array_in`, or if its texts are damaged or together much longer than the file.
    """
    found, size = array_in(parent, name), parent.file.id.get_filesize()
    if found.dtype.kind != "O":
        return [_text(value) for value in np.ravel(found[()]).tolist()]
    # HDF5 itself never returns from some damaged texts.
    try:
        held = texts_without_hdf5(found, "replace")
    except ValueError as error:
        raise ValueError(f"its '{name}' is damaged: {error}") from None
    if held is not None:
        return held
    if found.ndim == 0:
        return [_text(found[()])]
    limit, texts, total = LEAST_TEXT_BYTES + TEXT_BYTES_PER_FILE_BYTE * size, list[str](), 0
    rows = max(1, limit // size * len(found) // max(1, found.size))
    for start in range(0, len(found), rows):
        texts += [_text(value) for value in found[start : start + rows].reshape(-1).tolist()]
        total += sum(map(len, texts[-rows:]))
        if total > limit:
            raise ValueError(f"its '{name}' holds texts that are together much longer than the file")
    return texts


def _own(parent: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    if name not in parent:
        raise ValueError(f"it has no '{name}'")
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"its '{name}' is a link to another place")
    return parent[name]


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

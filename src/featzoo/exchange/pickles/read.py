"""Reading pickles of `{split: {modality: (N, T, D), ...}}`, shared by the imports of MMSA and MulT."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import InvalidClips
from featzoo.exchange.column_names import published
from featzoo.exchange.importing import Incoming, Rows
from featzoo.exchange.pickles.unpickle import load_pickle
from featzoo.sequence import Array
from featzoo.vocabulary import split_name
from featzoo.wording import count

MODALITIES = ("text", "audio", "vision")
NUMBERS = "fiub"
# Keys with one value per clip.
COUNTED = (*MODALITIES, "text_bert", "id", "raw_text", *(f"{key}_lengths" for key in MODALITIES))


class SplitFile(NamedTuple):
    """A pickle with its splits.

    Attributes:
        path: The file.
        digest: SHA-256 of its content.
        splits: Split to key to N values.
        padded: Split and modality of those whose clips are padded to one length.
        others: Keys beside the splits, such as MMSA-FET's `config`.
    """

    path: Path
    digest: str
    splits: dict[str, dict[str, Any]]
    padded: frozenset[tuple[str, str]]
    others: dict[str, Any]


class Place(NamedTuple):
    """The position of a clip: its id, its split and its number in the split."""

    id: str
    split: str
    number: int


# Maps a clip, a modality and its rows (T, D) to the rows that are not padding.
Extent = Callable[[Place, str, Array], slice]


def read_split_file(path: Path) -> SplitFile:
    """A pickle of splits, in which every modality of a split has the same number of clips.

    Raises:
        RefusedPickle: If the file cannot be read, or contains more than arrays and plain containers.
        InvalidClips: If it has another layout.
    """
    content = load_pickle(path)
    if not isinstance(content, dict):
        raise InvalidClips(f"{path} holds a {type(content).__name__}; expected a dict of train, valid and test")
    content = {plain_text(key): value for key, value in content.items()}
    named = {name: split for name, split in content.items() if _is_split(split)}
    if not named:
        raise InvalidClips(f"{path} has no split with text, audio or vision; its keys are {list(content)[:8]}")
    splits: dict[str, dict[str, Any]] = {}
    for name, split in named.items():
        ours = split_name(name) or name
        if ours in splits:
            raise InvalidClips(f"{path} has two splits that mean {ours}: {', '.join(named)}")
        splits[ours] = {plain_text(key): values for key, values in split.items()}
    for name, split in splits.items():
        counts = {key: _count(path, name, key, split[key]) for key in COUNTED if key in split}
        if len(set(counts.values())) > 1:
            raise InvalidClips(f"{path}: split '{name}' has different numbers of clips for its keys: {counts}")
        split.update({key: _arrays(split[key]) for key in MODALITIES if key in split})
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    padded = frozenset((name, key) for name in splits for key in MODALITIES if _is_padded(splits[name].get(key, ())))
    return SplitFile(path, digest, splits, padded, {key: value for key, value in content.items() if key not in named})


def _is_split(value: Any) -> bool:
    return isinstance(value, dict) and any(_is_modality(key, values) for key, values in value.items())


def _is_modality(key: Any, values: Any) -> bool:
    return plain_text(key) in (*MODALITIES, "text_bert") and isinstance(values, np.ndarray | list | tuple)


def _count(path: Path, split: str, key: str, values: Any) -> int:
    if not isinstance(values, np.ndarray | list | tuple) or (isinstance(values, np.ndarray) and values.ndim == 0):
        raise InvalidClips(f"{path}: '{key}' of split '{split}' is not a list: expected one entry per clip")
    return len(values)


def real_numbers(given: Any) -> Array:
    """As float64.

    Raises:
        TypeError, ValueError: If they are not real numbers of one shape.
    """
    found = np.asarray(given)
    if found.dtype.kind == "c":
        raise ValueError("they are complex")
    return found.astype(np.float64)


def plain_text(value: Any) -> str:
    """A string from text or bytes, NumPy's included."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def is_missing(value: Any) -> bool:
    """Whether a value is None or NaN, which pandas writes for an empty cell."""
    return value is None or (isinstance(value, float | np.floating) and value != value)


def spoken(value: Any) -> str:
    """A transcript; empty if it is missing."""
    return "" if is_missing(value) else plain_text(value)


def places(ids: Mapping[str, Sequence[str]]) -> tuple[list[Place], dict[str, str]]:
    """The clips of all splits; an id that occurs again is refused, with the reason."""
    found: dict[str, Place] = {}
    refused = {}
    for split, names in ids.items():
        for number, name in enumerate(names):
            if name in found:
                refused[f"{name} ({split}, number {number})"] = f"its id occurs already in {found[name].split}"
            else:
                found[name] = Place(name, split, number)
    return list(found.values()), refused


def modality(file: SplitFile, key: str, where: Sequence[Place], name: str, extent: Extent) -> Incoming | None:
    """The feature set of one modality, None if no split has it; padding is removed by `extent`."""
    having = [place for place in where if key in file.splits[place.split]]
    if not having:
        return None
    arrays = [np.asarray(file.splits[place.split][key][place.number]) for place in having]
    widths = Counter(array.shape[-1] for array in arrays if array.ndim)
    width = widths.most_common(1)[0][0] if widths else 0
    dtype = np.result_type(*({array.dtype for array in arrays if array.ndim} or {np.dtype(np.float32)}))
    names = published(key, width) or tuple(f"{key}_{number}" for number in range(width))

    def read(place: Place) -> Rows:
        split = file.splits[place.split]
        rows = _rows(split[key][place.number], key, width, dtype)
        return Rows(rows[extent(place, key, rows)], None, names)

    entries = ((place.id, partial(read, place)) for place in having)
    return Incoming(name, entries, {"file": file.digest, "key": key}, {"source": file.path.name, "modality": key})


def _arrays(values: Any) -> Any:
    """The clips of a modality as one array of numbers, else a list, with an array () for entries without numbers."""
    if isinstance(values, np.ndarray) and values.dtype.kind in NUMBERS:
        return values
    return [_array(rows) for rows in values]


def _array(rows: Any) -> Array:
    if _holds_text(rows):  # NumPy would give every text the room of the longest
        return np.array(None)
    try:
        array = np.asarray(rows)
        # Numbers in an object array keep their own type.
        array = np.asarray(array.tolist()) if array.dtype == object and array.ndim else array
    except ValueError:  # lists of unequal lengths
        array = np.array(None)
    return array if array.dtype.kind in NUMBERS else np.array(None)


def _holds_text(rows: Any) -> bool:
    if isinstance(rows, list | tuple):
        return any(map(_holds_text, rows))
    return isinstance(rows, str | bytes | bytearray)


def _rows(array: Any, key: str, width: int, dtype: np.dtype[Any]) -> Array:
    rows: Array = np.asarray(array)
    rows = rows[None] if rows.ndim == 1 and len(rows) == width else rows  # (1, D)
    if rows.dtype.kind not in NUMBERS:
        raise ValueError(f"its {key} is not an array of numbers")
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"{key} of shape {rows.shape}, most are (T, {width})")
    return rows.astype(dtype, copy=False)


def _is_padded(arrays: Any) -> bool:
    """Lists of arrays of unequal lengths are not padded; those of one length, and 3-d arrays, are."""
    if isinstance(arrays, np.ndarray):
        return arrays.ndim == 3
    return len(arrays) > 1 and len({len(rows) if rows.ndim == 2 else -1 for rows in arrays}) == 1


def observed(arrays: Iterable[Array]) -> slice:
    """From the first to the last row that is not zero in all of the arrays (T, ...); empty without such rows."""
    filled = np.flatnonzero(np.logical_or.reduce([(rows != 0).any(axis=1) for rows in arrays]))
    return slice(int(filled[0]), int(filled[-1]) + 1) if len(filled) else slice(0, 0)


def observed_together(file: SplitFile, place: Place, key: str, rows: Array) -> slice:
    """The rows that are not padding, for files without lengths.

    Modalities of the same padded length may be aligned row by row, so only rows that are zero in all are removed.
    """
    if (place.split, key) not in file.padded:
        return slice(0, len(rows))
    padded = [other for other in MODALITIES if (place.split, other) in file.padded]
    arrays = [file.splits[place.split][other][place.number] for other in padded]
    return observed([array for array in arrays if array.ndim == 2 and len(array) == len(rows)] or [rows])


def said(remarks: Mapping[str, int]) -> Iterator[str]:
    """Remarks with the number of clips that they apply to."""
    yield from (f"{count(clips, 'clip')}: {remark}" for remark, clips in remarks.items() if clips)

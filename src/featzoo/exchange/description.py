"""The description of a feature set inside exported files, as JSON, so that an import restores the same set."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.cache.featureset import FeatureSet
from featzoo.errors import StoreError
from featzoo.exchange.importing import Incoming, Rows
from featzoo.untrusted import parse_json

# The key of this text in each format.
KEY = "featzoo"


class Description(NamedTuple):
    """The description of a feature set.

    Attributes:
        name: The set's name, such as `egemaps`.
        names: D column names.
        dtype: NumPy's name of the features' type.
        row: Shape of one row, (..., D).
        spec: Everything that decided the features.
        provenance: Versions, licence, date.
    """

    name: str
    names: tuple[str, ...]
    dtype: str
    row: tuple[int, ...]
    spec: dict[str, Any]
    provenance: dict[str, Any]

    def text(self) -> str:
        """As JSON."""
        return json.dumps(self._asdict(), ensure_ascii=False)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's features."""
        return max(1, int(np.prod(self.row)) * np.dtype(self.dtype).itemsize)


def describe(found: FeatureSet) -> Description:
    """The description of a stored set.

    Raises:
        StoreError: If it holds no clips, or values of a type that other formats lack.
    """
    if found.kind is None:
        raise StoreError(f"{found.key} holds no clips: there is nothing to export")
    names, dtype, row = found.kind
    if dtype.kind not in "fiub":
        raise StoreError(f"{found.key} holds {dtype} values: only real numbers can be exported")
    told = {key: value for key, value in found.provenance.items() if key != "host"}  # private: not exported
    return Description(found.name, names, str(dtype), row, found.spec, told)


def parse(text: str | bytes | None) -> Description | None:
    """The description in a file; None if featzoo did not write it."""
    try:
        said = parse_json(text or "null")
        known = Description(**{field: said[field] for field in Description._fields})
        dtype, row = np.dtype(str(known.dtype)), tuple(int(size) for size in known.row)
        json.dumps(known.spec, allow_nan=False)
        plain = known.name, known.spec, known.provenance
        if dtype.kind not in "fiub" or not row or [type(each) for each in plain] != [str, dict, dict]:
            return None
    except (TypeError, ValueError, KeyError):
        return None
    return known._replace(names=tuple(map(str, known.names)), dtype=str(dtype), row=row)


def incoming(
    path: Path,
    description: Description | None,
    entries: Iterable[tuple[str, Callable[[], Rows]]],
    name: str | None = None,
) -> Incoming:
    """A file's set: with its own spec if featzoo wrote the file, else named after the file.

    Args:
        path: The file.
        description: The description in the file.
        entries: Entries as in `Incoming`.
        name: Replaces the set's own name.
    """
    label = name or (description.name if description else plain_name(path))
    if description is None:
        return Incoming(label, entries, provenance={"source": path.name})
    return Incoming(label, entries, provenance={**description.provenance, "source": path.name}, spec=description.spec)


def plain_name(path: Path) -> str:
    """A set's name, made from the file's name."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "imported"

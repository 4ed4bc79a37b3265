"""The small JSON files of a store, each with its own checksum."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import xxhash

from featzoo.durable import write
from featzoo.errors import DamagedFile

KEY = "check"


def save(place: Path, document: Mapping[str, Any], durable: bool = True) -> None:
    """Write a JSON object with its checksum.

    Raises:
        StoreError: If it cannot be written.
    """
    document = json.loads(json.dumps(document))  # as it will be read: keys are strings
    text = json.dumps({**document, KEY: _check(document)}, indent=1)
    write(place, text + "\n", durable)


def read(place: Path, unchecked: Collection[str] = ()) -> dict[str, Any]:
    """A JSON object, compared with its checksum.

    Args:
        place: The file.
        unchecked: The keys of a document from featzoo 0.1, which wrote no checksum.

    Raises:
        FileNotFoundError: If it is missing.
        DamagedFile: If it is damaged.
    """
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")
        check = document.pop(KEY, None)
        if check is None and not {*document} <= {*unchecked}:
            raise ValueError("its checksum is missing")
        if check is not None and check != _check(document):
            raise ValueError("it differs from what was written")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFile(f"{place} is damaged: {error}") from error
    return document


def _check(document: Mapping[str, Any]) -> str:
    """XXH3 (64 bits, hex) of the document as JSON with sorted keys, no spaces, ASCII escapes."""
    return xxhash.xxh3_64_hexdigest(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())

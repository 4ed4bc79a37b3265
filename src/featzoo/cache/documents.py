"""The store's small JSON files and their checksums: STORE.json and set.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from featzoo.durable import write
from featzoo.errors import StoreError

KEY = "check"


def save(place: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum.

    Raises:
        StoreError: If it cannot be written.
    """
    document = json.loads(json.dumps(document))  # as it will be read: keys are strings
    write(place, json.dumps({**document, KEY: _check(document)}, indent=1) + "\n")


def read(place: Path) -> dict[str, Any]:
    """A JSON object, compared with its checksum if it has one: featzoo 0.1 wrote none.

    Raises:
        FileNotFoundError: If it is missing.
        StoreError: If it is damaged.
    """
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")
        check = document.pop(KEY, None)
        if check is not None and check != _check(document):
            raise ValueError("it differs from what was written")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{place} is damaged: {error}") from error
    return document


def _check(document: Mapping[str, Any]) -> str:
    """XXH3 (64 bits, hex) of the document as JSON with sorted keys, no spaces, ASCII escapes."""
    return xxhash.xxh3_64_hexdigest(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())

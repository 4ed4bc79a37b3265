"""`set.json`, which says what a feature set is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featzoo import documents
from featzoo.cache.shard import FORMAT, newer
from featzoo.errors import DamagedFile, MissingFeatures
from featzoo.extractors.contract import spec_digest


def read_set(folder: Path) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    """Name, digest, spec and provenance of a set.

    Raises:
        MissingFeatures: If the folder is not a set.
        NewerFormat: If a later featzoo wrote it.
        DamagedFile: If its `set.json` is damaged.
    """
    place = folder / "set.json"
    try:
        document = documents.read(place, unchecked=("name", "digest", "spec", "provenance"))
        version = document.get("format", FORMAT)
        if isinstance(version, int) and version > FORMAT:
            raise newer(place, version)
        name, digest = str(document["name"]), str(document["digest"])
        spec, provenance = dict(document["spec"]), dict(document["provenance"])
        dict(spec.get("options", {}))
        tuple(spec.get("reads", ()))
    except FileNotFoundError as error:
        raise MissingFeatures(f"{folder} is not a feature set (no set.json)") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{place} is damaged: {error}") from error
    if (spec_digest(spec), f"{name}-{digest[:8]}") != (digest, folder.name):
        raise DamagedFile(f"{place} is damaged: its name, digest and spec do not match each other")
    return name, digest, spec, provenance

"""`feat lock`: a small file with which another project can prove that it has the same features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.source import source_digest
from featzoo.cache.store import FeatureStore
from featzoo.durable import write
from featzoo.errors import StoreError
from featzoo.wording import count, some

FORMAT = 1


def lock_store(store: FeatureStore) -> dict[str, Any]:
    """The digests of a store's data set (clips, splits, labels), of each feature set, and of each clip in it.

    They do not include paths, hosts, dates or the order of shards: equal features have equal locks everywhere.
    """
    sets = store.sets()
    for error in store.bad.values():
        raise error
    return {
        "format": FORMAT,
        "dataset": _dataset_digest(store),
        "sets": {found.key: _lock_set(found) for found in sets if len(found)},
    }


def _dataset_digest(store: FeatureStore) -> str:
    whole = hashlib.sha256()
    for name, (clip, media) in sorted(store.records().items()):
        source = source_digest(clip, media, ("audio", "video", "words"))
        names = [sorted(clip.categories.items())] if clip.categories else []  # none in stores of 0.1
        whole.update(json.dumps([name, source, clip.split, sorted(clip.labels.items()), *names]).encode())
    return whole.hexdigest()


def _lock_set(found: FeatureSet) -> dict[str, Any]:
    clips = {name: found.place(name).digest for name in found}
    whole = hashlib.sha256(json.dumps(sorted(clips.items())).encode()).hexdigest()
    return {"spec": found.digest, "features": whole, "clips": clips}


def write_lock(store: FeatureStore, path: Path) -> dict[str, Any]:
    """Write the lock of a store to a file, and return it.

    Raises:
        StoreError: If the file cannot be written.
    """
    lock = lock_store(store)
    write(path, json.dumps(lock, indent=1) + "\n")
    return lock


def read_lock(path: Path) -> dict[str, Any]:
    """The content of a lock file.

    Raises:
        StoreError: If the file is missing or not a lock.
    """
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read as a lock: {error}") from error
    if not isinstance(lock, dict) or lock.get("format") != FORMAT or not isinstance(lock.get("sets"), dict):
        raise StoreError(f"{path} is not a lock of format {FORMAT}: `feat lock` writes one")
    return lock


def differences(store: FeatureStore, lock: Mapping[str, Any]) -> Iterator[str]:
    """The differences between a store and a lock; empty if the store holds at least the locked features."""
    if lock["dataset"] != _dataset_digest(store):
        yield "the data set differs: other clips, media, words, splits or labels"
    held = {found.key: found for found in store.sets()}
    for key, locked in lock["sets"].items():
        found = held.get(key)
        if found is None or found.digest != locked["spec"]:
            yield f"{key}: not in the store"
            continue
        absent = [name for name in locked["clips"] if name not in found]
        other = [n for n, digest in locked["clips"].items() if n in found and found.place(n).digest != digest]
        for what, names in (("not stored", absent), ("other features", other)):
            if names:
                yield f"{key}: {count(len(names), 'clip')} {what}: {some(names)}"

"""Import and export of WebDataset tar files: `key.features.npy`, `key.intervals.npy` and `key.json` for each clip."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from numpy.lib import format as npy

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.description import KEY, describe, incoming, parse
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.importing import Account, Arrival, Rows, bring_in
from featzoo.exchange.npy_rows import Steps
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.untrusted import parse_json


def export_webdataset(store_path: Path, request: str, path: Path, dry_run: bool = False) -> list[str]:
    """Write a feature set as a tar file that the webdataset package reads. Returns a description of it.

    A key is the clip's id with all but letters, digits, `_`, `-` and `~` percent-encoded, because WebDataset ends a key
    at its first dot. The .json member holds the id itself, `names`, the clip's split, labels and text, and in the first
    clip the set's description under `featzoo`.

    Args:
        store_path: The store.
        request: A feature set.
        path: The file; an existing one is not overwritten.
        dry_run: Only report what would be written.

    Raises:
        MissingFeatures: If the store does not hold the set.
        StoreError: If the file exists or cannot be written.
    """
    store = FeatureStore(store_path)
    found = store[request]
    description = describe(found)
    holds = [f"{found.key}: {len(found)} clips x {len(description.names)} columns"]
    return deliver(Outgoing(path, holds, partial(_write, found, store.clips(), description.text())), dry_run)


def _write(found: FeatureSet, clips: dict[str, Clip], description: str, path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        for number, clip_id in enumerate(found):
            sequence, clip = found[clip_id], clips.get(clip_id, Clip(clip_id))
            about: dict[str, Any] = {"clip": clip_id, "names": list(sequence.names)}
            about |= {"split": clip.split, "labels": {**clip.labels, **clip.categories}, "text": clip.text}
            about |= {KEY: json.loads(description)} if number == 0 else {}
            key = quote(clip_id, safe="").replace(".", "%2E")
            _member(file, f"{key}.features.npy", _bytes(sequence.features))
            _member(file, f"{key}.intervals.npy", _bytes(sequence.intervals))
            _member(file, f"{key}.json", json.dumps(about, ensure_ascii=False).encode())


def _bytes(array: Array) -> bytes:
    buffer = io.BytesIO()
    npy.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _member(file: tarfile.TarFile, name: str, data: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(data), 0o644
    file.addfile(about, io.BytesIO(data))


def import_webdataset(path: Path, store_path: Path, name: str | None = None, dry_run: bool = False) -> Account:
    """Import a WebDataset tar file as one feature set. Members are read one by one, never extracted.

    Args:
        path: A tar file, also compressed, of `key.features.npy` (or `key.npy`), and optionally `key.intervals.npy` and
            `key.json`. Members of one key must be consecutive, as in WebDataset.
        store_path: The store; created if missing.
        name: Name of the set; by default the name in the file, or the file's own.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has another format.
    """
    try:
        with tarfile.open(path, "r|*") as file:
            samples = _samples(file)
            first = next(samples, None)
            if first is None:
                raise InvalidClips(f"{path} holds no files called key.extension")
            description = parse(json.dumps(_about(first[1]).get(KEY)))
            entries = (
                (str(_about(sample).get("clip") or unquote(key)), partial(_rows, sample))
                for key, sample in chain([first], samples)
            )
            return bring_in(Arrival([incoming(path, description, entries, name)]), store_path, dry_run)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InvalidClips(f"{path} cannot be read as a tar file: {error}") from error


def _samples(file: tarfile.TarFile) -> Iterator[tuple[str, dict[str, bytes]]]:
    key: str | None = None
    sample: dict[str, bytes] = {}
    for member in file:
        folder, _, last = member.name.rpartition("/")
        stem, dot, extension = last.partition(".")
        # A sparse member declares zeros that are not in the file, any number of them.
        plain = member.isfile() and not member.issparse()
        data = file.extractfile(member) if plain and dot and stem else None
        if data is None:
            continue
        found = f"{folder}/{stem}" if folder else stem
        if key is not None and found != key:
            yield key, sample
            sample = {}
        key = found
        sample[extension.lower()] = data.read() if extension.lower().endswith(("npy", "json")) else b""
    if key is not None:
        yield key, sample


def _about(sample: dict[str, bytes]) -> dict[str, Any]:
    try:
        said = parse_json(sample.get("json", b"{}"))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _rows(sample: dict[str, bytes]) -> Rows:
    held = "features.npy" if "features.npy" in sample else "npy"
    if held not in sample:
        raise ValueError(f"it has no features.npy, only {', '.join(sample)}")
    names = _about(sample).get("names")
    intervals = _array(sample["intervals.npy"]) if "intervals.npy" in sample else None
    return Rows(_array(sample[held]), intervals, [str(each) for each in names] if isinstance(names, list) else ())


def _array(data: bytes) -> Array:
    steps = Steps(io.BytesIO(data))
    return steps.take(steps.shape[0])

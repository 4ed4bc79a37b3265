"""MulT's pickles, out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.pickles.read import MODALITIES
from featzoo.exchange.pickles.write import Chosen, Later, choose, padded, write_pickle
from featzoo.media.clip import Clip


def export_mult(
    store_path: Path,
    path: Path,
    requests: Mapping[str, str],
    *,
    labels: Sequence[str] = ("sentiment",),
    dry_run: bool = False,
) -> list[str]:
    """Write three feature sets as a pickle that MulT trains on. Returns what was written, in words.

    Clips are filled up with zeros in front, as MulT's own, to the longest of all splits; NaN is written as 0.
    Ids are triples of bytes, as MulT decodes them: `video[start,end]` is taken apart, another id has empty times.

    Args:
        store_path: The store; clips need a split and the labels.
        path: The file; an existing one is not overwritten.
        requests: `text`, `audio` and `vision` to feature sets.
        labels: In the order of the last axis of `labels` (N, 1, K).
        dry_run: Whether only to say what would be written.

    Raises:
        InvalidOption: If a modality or every label is missing.
        MissingFeatures: If the store lacks a set, or no clip has all of them.
        StoreError: If the file exists or cannot be written.
    """
    if set(requests) != set(MODALITIES) or not labels:
        raise InvalidOption("MulT reads text, audio, vision and at least one label: name a feature set for each")
    chosen = choose(FeatureStore(store_path), requests, labels)
    holds = [*chosen.lines(), f"labels: {', '.join(labels)}"]
    return deliver(Outgoing(path, holds, partial(_write, chosen, labels)), dry_run)


def _write(chosen: Chosen, labels: Sequence[str], path: Path) -> None:
    content: dict[str, dict[str, Any]] = {}
    for split, clips in chosen.clips.items():
        content[split] = {key: Later(partial(padded, chosen, split, key, in_front=True)) for key in MODALITIES}
        values = np.array([[[clip.labels[name] for name in labels]] for clip in clips], np.float32)
        content[split]["labels"] = values.reshape(len(clips), 1, len(labels))  # (N, 1, K)
        content[split]["id"] = np.array([_id(clip) for clip in clips], dtype=np.bytes_).reshape(-1, 3)  # (N, 3)
    write_pickle(content, path)


def _id(clip: Clip) -> tuple[bytes, ...]:
    parts = re.fullmatch(r"(.*)\[([^,\]]*),([^,\]]*)\]", clip.id, re.DOTALL)
    return tuple(part.encode() for part in (parts.groups() if parts else (clip.id, "", "")))

"""MMSA's feature files (.pkl), out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption, StoreError
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.pickles.mmsa import LABELS
from featzoo.exchange.pickles.write import Chosen, Later, choose, lengths, padded, write_pickle
from featzoo.media.clip import Clip
from featzoo.sequence import Array


def export_mmsa(
    store_path: Path,
    path: Path,
    requests: Mapping[str, str],
    *,
    label: str = "sentiment",
    aligned: bool = False,
    dry_run: bool = False,
) -> list[str]:
    """Write feature sets as a pickle that MMSA trains on. Returns what was written, in words.

    Clips are filled up with zeros behind, to the longest of all splits; NaN is written as 0. `audio_lengths` and
    `vision_lengths` hold the true lengths unless `aligned`, and so does `text_lengths`, which MMSA does not read.
    `annotations` are the sign of the label.

    Args:
        store_path: The store; clips need a split and the label.
        path: The file; an existing one is not overwritten.
        requests: `audio`, `vision`, and `text` or `ids` (token ids, such as `bert.ids`) or both, to feature sets.
        label: For `regression_labels`; labels called `<label>_text`, `_audio`, `_vision` become SIMS' `_T`, `_A`,
            `_V` if all clips have them, `<label>_class` the `classification_labels`.
        aligned: Write MMSA's aligned layout: the sets must have the same number of rows, clip by clip.
        dry_run: Whether only to say what would be written.

    Raises:
        InvalidOption: If a modality is missing, or `ids` is no set of token ids.
        MissingFeatures: If the store lacks a set, or no clip has all of them.
        StoreError: If the file exists or cannot be written, or sets that are not aligned should be.
    """
    if not {"audio", "vision"} <= requests.keys() or not {"text", "ids"} & requests.keys():
        raise InvalidOption("MMSA's loader reads audio, vision, and text or ids: name a feature set for each")
    chosen = choose(FeatureStore(store_path), requests, [label])
    if "ids" in chosen.sets and (kind := chosen.sets["ids"].kind) and (kind[1].kind not in "iu" or kind[2] != (1,)):
        raise InvalidOption(f"{chosen.sets['ids'].key} holds no token ids; `feat extract -x bert.ids` makes them")
    if aligned:
        _check_aligned(chosen)
    everyone = [clip for clips in chosen.clips.values() for clip in clips]
    keys = {f"regression_labels{key}": f"{label}{suffix}" for key, suffix in LABELS.items()}
    keys["classification_labels"] = f"{label}_class"
    labels = {key: name for key, name in keys.items() if all(name in clip.labels for clip in everyone)}
    layout = "aligned" if aligned else "unaligned, with audio_lengths and vision_lengths"
    holds = [*chosen.lines(), f"layout: {layout}", *(f"{key}: {name}" for key, name in labels.items())]
    return deliver(Outgoing(path, holds, partial(_write, chosen, labels, label, aligned)), dry_run)


def _check_aligned(chosen: Chosen) -> None:
    for clip in (clip for clips in chosen.clips.values() for clip in clips):
        rows = {found.key: len(found[clip.id]) for found in chosen.sets.values()}
        if len(set(rows.values())) > 1:
            said = ", ".join(f"{key} {count}" for key, count in rows.items())
            raise StoreError(
                f"'{clip.id}' has another number of rows in each set ({said}), so they are not aligned: write them "
                "without --aligned, or pool them onto words first"
            )


def _write(chosen: Chosen, labels: Mapping[str, str], label: str, aligned: bool, path: Path) -> None:
    content = {split: _split(chosen, split, labels, label, aligned) for split in chosen.clips}
    write_pickle(content, path)


def _split(chosen: Chosen, split: str, labels: Mapping[str, str], label: str, aligned: bool) -> dict[str, Any]:
    clips = chosen.clips[split]
    found: dict[str, Any] = {"raw_text": [clip.text for clip in clips], "id": [clip.id for clip in clips]}
    for key in chosen.sets:
        if key == "ids":
            found["text_bert"] = _tokens(chosen, split)
            continue
        found[key] = Later(partial(padded, chosen, split, key))
        if not aligned:
            found[f"{key}_lengths"] = lengths(chosen, split, key)
    for key, name in labels.items():
        found[key] = np.array([clip.labels[name] for clip in clips], np.float32)
    found["annotations"] = [_sign(clip, label) for clip in clips]
    return found


def _tokens(chosen: Chosen, split: str) -> Array:
    """(N, 3, T) int64: ids, attention mask, segments (all 0)."""
    clips = chosen.clips[split]
    filled = np.zeros((len(clips), 3, chosen.longest["ids"]), np.int64)  # (N, 3, T)
    for number, clip in enumerate(clips):
        ids = chosen.sets["ids"][clip.id].features[:, 0]
        filled[number, 0, : len(ids)], filled[number, 1, : len(ids)] = ids, 1
    return filled


def _sign(clip: Clip, label: str) -> str:
    value = clip.labels[label]
    return "Positive" if value > 0 else "Negative" if value < 0 else "Neutral"

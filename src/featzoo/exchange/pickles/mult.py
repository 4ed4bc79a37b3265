"""Import and export MulT's pickles (`<data>_data.pkl`, `<data>_data_noalign.pkl`), which CMU's later code reads too."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.pickles.read import (
    COUNTED,
    MODALITIES,
    Place,
    SplitFile,
    modality,
    observed_together,
    places,
    plain_text,
    read_split_file,
    real_numbers,
    said,
)
from featzoo.exchange.pickles.write import Chosen, Later, choose, padded, write_pickle
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.wording import count

# By the shape of one clip's labels: MOSI; MOSEI with its emotions; IEMOCAP, with yes or no in the last axis.
LABELS = {
    (1,): ("sentiment",),
    (7,): ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"),
    (4, 2): ("neutral", "happy", "sad", "angry"),
}


def import_mult(
    path: Path, store_path: Path, name: str = "mult", *, labels: Sequence[str] = (), dry_run: bool = False
) -> Account:
    """Import a MulT pickle: clips with splits and labels, sets `mult-text`, `-audio` and `-vision`.

    An id of three parts, (video, start, end), is matched to the store's clip `video$_$3` with these times, for example
    after `feat import mosei`, and so gets its words; otherwise it becomes `video[start,end]` with these times. An id
    without times, or of one part, is unchanged; without ids, clips are called `train$_$0`. Such a file holds no words.
    MulT pads at the front and gives no lengths, so rows at both ends that are zero in all modalities of the same
    length are removed.

    Args:
        path: The pickle; it is read without executing it.
        store_path: The store; created if missing.
        name: First part of the sets' names.
        labels: Names of the labels. By default `sentiment` for one, MOSEI's for 7 (sentiment, happy, sad, anger,
            surprise, disgust, fear), IEMOCAP's for (4, 2) (neutral, happy, sad, angry), else label_0 ...
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has another format.
        InvalidOption: If there are more or fewer `labels` than the file has.
    """
    file = read_split_file(path)
    named = {split: [_named(split, content, i) for i in range(_count(content))] for split, content in _all(file)}
    named, found = _as_known(named, store_path)
    where, refused = places({split: [clip.id for clip in clips] for split, clips in named.items()})
    remarks: Counter[str] = Counter()

    def extent(place: Place, key: str, rows: Array) -> slice:
        kept = observed_together(file, place, key, rows)
        if kept.stop == kept.start:
            remarks[f"no {key} (all rows are zero)"] += 1
        return kept

    sets = [modality(file, key, where, f"{name}-{key}", extent) for key in MODALITIES]
    given = {split: _labels(split, content, labels) for split, content in _all(file)}
    clips = [_labelled(named[place.split][place.number], given[place.split][place.number]) for place in where]
    notes = chain([f"{count(found, 'clip')} known to the store by video and times"] if found else [], said(remarks))
    arrival = Arrival([each for each in sets if each is not None], clips, refused, notes)
    return bring_in(arrival, store_path, dry_run)


def _all(file: SplitFile) -> list[tuple[str, dict[str, Any]]]:
    return list(file.splits.items())


def _count(content: Mapping[str, Any]) -> int:
    return next(len(content[key]) for key in COUNTED if key in content)


def _named(split: str, content: Mapping[str, Any], number: int) -> Clip:
    if "id" not in content:
        return Clip(f"{split}$_${number}", split=split)
    given = content["id"][number]
    given = given.tolist() if isinstance(given, np.ndarray) else given
    parts = [plain_text(part) for part in (given if isinstance(given, list | tuple) else [given])]
    if len(parts) == 1:
        return Clip(parts[0], split=split)
    if len(parts) != 3:
        raise InvalidClips(f"split '{split}': id {parts} is neither a name nor video, start and end")
    if not parts[1] and not parts[2]:
        return Clip(parts[0], split=split)
    start, end = _second(parts[1]), _second(parts[2])
    timed = {"start": start, "end": end} if start is not None and end is not None and start <= end else {}
    return Clip(f"{parts[0]}[{parts[1]},{parts[2]}]", split=split, **timed)  # type: ignore[arg-type]


def _as_known(named: Mapping[str, Sequence[Clip]], store_path: Path) -> tuple[dict[str, list[Clip]], int]:
    """The clips, with the ids of the store's clips at the same times of a video, and the number of these."""
    held = FeatureStore(store_path).clips().values() if (store_path / "STORE.json").is_file() else ()
    timed = [clip for clip in held if "$_$" in clip.id and clip.end is not None]
    near = [(-1, 0, 1)] * 2  # tenths of a second, to allow for rounding
    ids = {
        (clip.id.rpartition("$_$")[0], start + left, end + right): clip.id
        for clip in timed
        for start, end in [_tenths(clip)]
        for left, right in product(*near)
    }
    found = 0

    def known(clip: Clip) -> Clip:
        nonlocal found
        name = ids.get((clip.id.rpartition("[")[0], *_tenths(clip))) if clip.end is not None else None
        found += name is not None
        return replace(clip, id=name) if name is not None else clip

    return {split: [known(clip) for clip in clips] for split, clips in named.items()}, found


def _tenths(clip: Clip) -> tuple[int, int]:
    """Start and end in tenths of a second; some starts are before the recording's start."""
    return round(max(clip.start, 0.0) * 10), round((clip.end or 0.0) * 10)


def _second(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _labels(split: str, content: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, float]]:
    """Labels of each clip by name; one that is NaN is left out."""
    if "labels" not in content:
        return [{} for _ in range(_count(content))]
    try:
        values = np.atleast_1d(real_numbers(content["labels"]))
    except (TypeError, ValueError) as error:
        raise InvalidClips(f"split '{split}': labels are not numbers of one shape: {error}") from error
    if len(values) != _count(content):
        raise InvalidClips(f"split '{split}' has {len(values)} labels for {_count(content)} clips")
    shape = values.shape[1:]
    if shape[:1] == (1,) and len(shape) > 1:
        shape = shape[1:]
    if shape == (4, 2):
        values = values.argmax(axis=-1)  # (N, 4)
        shape = (4,)
        usual = LABELS[4, 2]
    else:
        usual = LABELS.get(shape or (1,), tuple(f"label_{i}" for i in range(math.prod(shape))))
    columns = tuple(names) or usual
    if len(columns) != math.prod(shape):
        raise InvalidOption(f"labels names {len(columns)}, but split '{split}' has {math.prod(shape)} a clip")
    rows = values.reshape(len(values), len(columns)).tolist()  # (N, K)
    return [{key: value for key, value in zip(columns, row, strict=True) if not math.isnan(value)} for row in rows]


def _labelled(clip: Clip, labels: dict[str, float]) -> Clip:
    return Clip(clip.id, start=clip.start, end=clip.end, split=clip.split, labels=labels)


def export_mult(
    store_path: Path,
    path: Path,
    requests: Mapping[str, str],
    *,
    labels: Sequence[str] = ("sentiment",),
    dry_run: bool = False,
) -> list[str]:
    """Write three feature sets as a pickle that MulT trains on. Returns a description of it.

    Clips are padded with zeros at the front, as in MulT, to the longest of all splits; NaN is written as 0.
    Ids are triples of bytes, which MulT decodes: `video[start,end]` is split, and other ids have empty times.

    Args:
        store_path: The store; clips need a split and the labels.
        path: The file; an existing one is not overwritten.
        requests: `text`, `audio` and `vision` to feature sets.
        labels: In the order of the last axis of `labels` (N, 1, K).
        dry_run: Only report what would be written.

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

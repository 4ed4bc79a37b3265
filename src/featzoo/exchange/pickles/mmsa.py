"""Import and export MMSA's and MMSA-FET's feature files (.pkl)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, InvalidOption, StoreError
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.exchange.pickles.read import (
    MODALITIES,
    Place,
    SplitFile,
    is_missing,
    modality,
    observed_together,
    places,
    plain_text,
    read_split_file,
    real_numbers,
    said,
    spoken,
)
from featzoo.exchange.pickles.write import Chosen, Later, choose, lengths, padded, write_pickle
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.sequence import Array
from featzoo.wording import count

LABELS = {"": "", "_T": "_text", "_A": "_audio", "_V": "_vision"}
TAKEN = {*MODALITIES, "id", "raw_text", "text_bert", *(f"{key}_lengths" for key in MODALITIES)}


def import_mmsa(
    path: Path,
    store_path: Path,
    name: str = "mmsa",
    *,
    label: str = "sentiment",
    model: str | None = None,
    dry_run: bool = False,
) -> Account:
    """Import an MMSA pickle: clips with words, splits and labels, and up to four feature sets.

    The sets are `mmsa-text`, `mmsa-audio`, `mmsa-vision` and, from `text_bert`, the token ids `mmsa-ids`; they
    have no times, because the file has none. Padding is found as follows:

    - `*_lengths` give the true length; without them (aligned files), the attention mask of `text_bert` does, for
      a modality of the same T, so that rows and tokens correspond.
    - audio and vision rows beyond that length that are not zero are kept, and counted in a note; text rows are
      removed, because the mask marks them as padding.
    - with neither, rows at both ends that are zero in all modalities of the same T are removed.
    - lists and object arrays of unequal lengths have no padding.

    Args:
        path: The pickle; it is read without executing it.
        store_path: The store; created if missing.
        name: First part of the sets' names.
        label: Name for `regression_labels`; SIMS' `_T`, `_A`, `_V` get this name with `_text`, `_audio`, `_vision`.
        model: The encoder whose token ids `text_bert` holds. By default the one in the file's `config`, else
            bert-base-chinese for Chinese transcripts, else bert-base-uncased.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has another format.
    """
    file = read_split_file(path)
    ids = {split: _ids(path, split, content) for split, content in file.splits.items()}
    where, refused = places(ids)
    remarks: Counter[str] = Counter()
    extent = partial(_extent, file, remarks)
    model = model or _model(file)
    sets = [modality(file, key, where, f"{name}-{key}", extent) for key in MODALITIES]
    sets.append(_read_tokens(file, where, f"{name}-ids", model))
    clips = [clip for split, content in file.splits.items() for clip in _clips(split, content, where, label)]
    notes = chain(_notes(file, name, label, model), said(remarks))
    arrival = Arrival([each for each in sets if each is not None], clips, refused, notes)
    return bring_in(arrival, store_path, dry_run)


def _ids(path: Path, split: str, content: Mapping[str, Any]) -> list[str]:
    if "id" not in content:
        raise InvalidClips(f"{path}: split '{split}' has no 'id', so its clips have no names")
    if any(map(is_missing, content["id"])):
        raise InvalidClips(f"{path}: split '{split}' has clips whose 'id' is None or NaN, so they have no names")
    return [plain_text(each) for each in content["id"]]


def _extent(file: SplitFile, remarks: Counter[str], place: Place, key: str, rows: Array) -> slice:
    """The rows of a clip that are not padding."""
    length = _length(file.splits[place.split], place.number, key, len(rows))
    if length is None:
        kept = observed_together(file, place, key, rows)
    elif length > len(rows):
        remarks[f"{key}_lengths exceeds the rows in the file, so its maker truncated the features"] += 1
        kept = slice(0, len(rows))
    elif not rows[length:].any():
        kept = slice(0, length)
    elif not rows[: len(rows) - length].any():
        kept = slice(len(rows) - length, len(rows))  # padded at the front
    elif key == "text":
        remarks["text rows beyond the attention mask were left out"] += 1
        kept = slice(0, length)
    else:
        remarks[f"{key} has rows beyond its length that are not zero; they were kept"] += 1
        kept = slice(0, int(np.flatnonzero(rows.any(axis=1))[-1]) + 1)
    if kept.stop == kept.start:
        remarks[f"no {key} (all rows are zero)"] += 1
    return kept


def _length(split: Mapping[str, Any], number: int, key: str, steps: int) -> int | None:
    """The length of a clip in the file; None if the file does not give it."""
    if f"{key}_lengths" in split:
        try:
            length = float(real_numbers(split[f"{key}_lengths"][number]).reshape(()))  # ()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{key}_lengths is not a number: {error}") from error
        if not length >= 0 or math.isinf(length):
            raise ValueError(f"{key}_lengths says {length:g} rows")
        return int(length)
    if "text_bert" in split:
        tokens = np.asarray(split["text_bert"][number])
        if tokens.ndim == 2 and tokens.shape == (3, steps):
            return int((tokens[1] > 0).sum())
    return None


def _read_tokens(file: SplitFile, where: Sequence[Place], name: str, model: str) -> Incoming | None:
    """Token ids with [CLS] and [SEP], as `bert.ids` has them."""
    having = [place for place in where if "text_bert" in file.splits[place.split]]

    def read(place: Place) -> Rows:
        tokens = np.asarray(file.splits[place.split]["text_bert"][place.number])
        if tokens.ndim != 2 or len(tokens) != 3:
            raise ValueError(f"text_bert of shape {tokens.shape}, expected (3, T): ids, mask, segments")
        ids = tokens[0][tokens[1] > 0]
        if not len(ids) or (ids < 0).any() or (ids != np.floor(ids)).any():
            raise ValueError("text_bert holds no tokens" if not len(ids) else "text_bert holds no token ids")
        return Rows(ids.astype(np.int64)[:, None], None, ("token_id",))  # (T, 1)

    entries = ((place.id, partial(read, place)) for place in having)
    provenance = {"source": file.path.name, "modality": "text", "model": model}
    return Incoming(name, entries, {"file": file.digest, "key": "text_bert"}, provenance) if having else None


def _model(file: SplitFile) -> str:
    config = file.others.get("config")
    text = config.get("text") if isinstance(config, dict) else None
    if isinstance(text, dict) and isinstance(text.get("pretrained"), str):
        return str(text["pretrained"])
    texts = [spoken(text) for split in file.splits.values() for text in split.get("raw_text", ())]
    chinese = sum(bool(re.search(r"[\u4e00-\u9fff]", text)) for text in texts)
    return "bert-base-chinese" if chinese > len(texts) / 2 else "bert-base-uncased"


def _clips(split: str, content: Mapping[str, Any], where: Sequence[Place], label: str) -> list[Clip]:
    keys = {f"regression_labels{key}": f"{label}{suffix}" for key, suffix in LABELS.items()}
    keys["classification_labels"] = f"{label}_class"
    labels = {name: _numbers(split, key, content) for key, name in keys.items() if key in content}
    texts = content.get("raw_text")
    found = []
    for place in where:
        if place.split == split:
            given = {name: values[place.number] for name, values in labels.items()}
            given = {name: value for name, value in given.items() if not math.isnan(value)}
            words = words_of(spoken(texts[place.number])) if texts is not None else ()
            found.append(Clip(place.id, words=words, split=split, labels=given))
    return found


def _numbers(split: str, key: str, content: Mapping[str, Any]) -> list[float]:
    try:
        values = real_numbers(content[key])
        if values.size != len(content["id"]):
            raise ValueError(f"{values.size} of them for {len(content['id'])} clips")
    except (TypeError, ValueError) as error:
        raise InvalidClips(f"split '{split}': {key} are not one number a clip: {error}") from error
    return [float(value) for value in values.reshape(-1)]  # (N,)


def _notes(file: SplitFile, name: str, label: str, model: str) -> list[str]:
    known = {*TAKEN, "classification_labels", *(f"regression_labels{key}" for key in LABELS)}
    left = sorted({key for split in file.splits.values() for key in split} - known)
    notes = [f"not imported: {', '.join([*left, *file.others])}"] if left or file.others else []
    if not any("regression_labels" in split for split in file.splits.values()):
        notes.append(f"warning: no regression_labels, so no clip has the label '{label}'")
    empty = sum(not spoken(text).strip() for split in file.splits.values() for text in split.get("raw_text", ()))
    if empty:
        notes.append(f"{count(empty, 'clip')} with an empty raw_text: no words")
    if any("text_bert" in split for split in file.splits.values()):
        notes.append(f"{name}-ids holds token ids of {model}: if they are another encoder's, name it as the model")
    return notes


def export_mmsa(
    store_path: Path,
    path: Path,
    requests: Mapping[str, str],
    *,
    label: str = "sentiment",
    aligned: bool = False,
    dry_run: bool = False,
) -> list[str]:
    """Write feature sets as a pickle that MMSA trains on. Returns a description of it.

    Clips are padded with zeros at the end to the longest of all splits; NaN is written as 0. `audio_lengths` and
    `vision_lengths` hold the true lengths unless `aligned`, and so does `text_lengths`, which MMSA does not read.
    `annotations` are the sign of the label.

    Args:
        store_path: The store; clips need a split and the label.
        path: The file; an existing one is not overwritten.
        requests: `audio`, `vision`, and `text` or `ids` (token ids, such as `bert.ids`) or both, to feature sets.
        label: For `regression_labels`; labels called `<label>_text`, `_audio`, `_vision` become SIMS' `_T`, `_A`,
            `_V` if all clips have them, `<label>_class` the `classification_labels`.
        aligned: Write MMSA's aligned layout: the sets must have the same number of rows, clip by clip.
        dry_run: Only report what would be written.

    Raises:
        InvalidOption: If a modality is missing, or `ids` is not a set of token ids.
        MissingFeatures: If the store lacks a set, or no clip has all of them.
        StoreError: If the file exists or cannot be written, or `aligned` sets have different numbers of rows.
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
                f"'{clip.id}' has different numbers of rows in the sets ({said}), so they are not aligned: write them "
                "without the option aligned, or pool them onto words first"
            )


def _write(chosen: Chosen, labels: Mapping[str, str], label: str, aligned: bool, path: Path) -> None:
    content = {split: _split_content(chosen, split, labels, label, aligned) for split in chosen.clips}
    write_pickle(content, path)


def _split_content(chosen: Chosen, split: str, labels: Mapping[str, str], label: str, aligned: bool) -> dict[str, Any]:
    clips = chosen.clips[split]
    found: dict[str, Any] = {"raw_text": [clip.text for clip in clips], "id": [clip.id for clip in clips]}
    for key in chosen.sets:
        if key == "ids":
            found["text_bert"] = _token_array(chosen, split)
            continue
        found[key] = Later(partial(padded, chosen, split, key))
        if not aligned:
            found[f"{key}_lengths"] = lengths(chosen, split, key)
    for key, name in labels.items():
        found[key] = np.array([clip.labels[name] for clip in clips], np.float32)
    found["annotations"] = [_sign(clip, label) for clip in clips]
    return found


def _token_array(chosen: Chosen, split: str) -> Array:
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

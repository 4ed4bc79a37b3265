"""The word-aligned arrays of the Memory Fusion Network's release (.h5): POM, YouTube, MMMO, and CMU-MOSI's labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from featzoo.errors import InvalidClips
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.exchange.plain_hdf5 import read_numbers
from featzoo.extractors.audio.covarep import NAMES as COVAREP
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.wording import count

FILE = re.compile(r"(?:.*_)?(audio|video|text|y)_(train|valid|test)(?:_emb)?\.h5")
MODALITIES = {"audio": "audio", "video": "vision", "text": "text"}
# From the authors (CMU-MultimodalSDK issue 124). The values agree: the six that are rated from 1 to 5 in the
# paper, reserved to nervous, reach 5 in the files, the others 7.
POM = (
    "confident", "passionate", "voice_pleasant", "dominant", "credible", "vivid", "expertise", "entertaining",
    "reserved", "trusting", "relaxed", "outgoing", "thorough", "nervous", "sentiment", "persuasive", "humorous",
)  # fmt: skip


def import_mfn(folder: Path, store_path: Path, dry_run: bool = False) -> Account:
    """Import a data set of the Memory Fusion Network's release: clips with split and labels, sets `mfn-...`.

    The files give no ids, times or texts: clip ids are `<folder>/<split>/<number>`, in the files' order, and rows, one
    for each of 20 words, have no times. A row that is zero in every column is padding or an utterance without
    features: it becomes NaN, not observed, so that row i of every set is still word i.

    74 columns get COVAREP's names; for other widths no names are published, and columns are numbered.
    17 labels get POM's names, a single label is `sentiment`, others are numbered from `label_0`.

    Args:
        folder: Folder with `audio_train.h5`, `video_train.h5`, `text_train_emb.h5`, `y_train.h5`, and the same for
            valid and test; any of them may be missing. A prefix such as `mfn_` is allowed.
        store_path: The store; created if missing.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If no such file exists, or the files of a split hold different numbers of clips.
    """
    folder = folder.resolve()
    files = _files(folder)
    clips = _clips(folder.name, files)
    splits = Counter(clip.split for clip in clips)
    notes = [
        f"mfn-{MODALITIES[kind]}: there is no file for split {split}, {count(number, 'clip')} without it"
        for kind, places in files.items()
        for split, number in splits.items()
        if kind in MODALITIES and split not in places
    ]
    sets = [
        Incoming(
            f"mfn-{MODALITIES[kind]}",
            _entries(folder.name, files[kind], notes, f"mfn-{MODALITIES[kind]}"),
            {"dataset": folder.name},
            {"source": "Memory Fusion Network's release", "modality": MODALITIES[kind]},
        )
        for kind in MODALITIES
        if kind in files
    ]
    return bring_in(Arrival(sets, clips, notes=notes), store_path, dry_run)


def _files(folder: Path) -> dict[str, dict[str, Path]]:
    """Kind (audio, video, text, y) to split to file."""
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*.h5")):
        match = FILE.fullmatch(path.name)
        if match:
            files.setdefault(match[1], {})[match[2]] = path
    if not files:
        raise InvalidClips(f"{folder} has no file such as audio_train.h5 or y_train.h5: give the data set's own folder")
    return files


def _clips(dataset: str, files: Mapping[str, Mapping[str, Path]]) -> list[Clip]:
    clips = []
    for split in ("train", "valid", "test"):
        counts = {places[split].name: _count(places[split], kind) for kind, places in files.items() if split in places}
        if len(set(counts.values())) > 1:
            raise InvalidClips(f"the files of split {split} hold different numbers of clips: {counts}")
        total = next(iter(counts.values()), 0)
        labels = _labels(files["y"][split]) if split in files.get("y", {}) else {}
        for number in range(total):
            named = {name: float(column[number]) for name, column in labels.items()}
            clips.append(Clip(_id(dataset, split, number), split=split, labels=named))
    return clips


def _count(path: Path, kind: str) -> int:
    shape = _array(path).shape
    if kind in MODALITIES and len(shape) != 3:
        raise InvalidClips(f"{path} holds an array of shape {shape}, not (clips, words, columns)")
    return int(shape[0])


def _id(dataset: str, split: str, number: int) -> str:
    return f"{dataset}/{split}/{number:05d}"


def _labels(path: Path) -> dict[str, Array]:
    rows = _array(path)
    rows = rows.reshape(len(rows), -1)  # (N, K)
    width = rows.shape[1]
    names: Sequence[str] = {17: POM, 1: ("sentiment",)}.get(width) or [f"label_{number}" for number in range(width)]
    return dict(zip(names, rows.T, strict=True))


def _array(path: Path) -> Array:
    try:
        with h5py.File(path, "r", locking=False) as file:
            names = list(file.keys())
            if len(names) != 1:
                raise InvalidClips(f"{path} holds {', '.join(names) or 'nothing'}, not one array")
            array = read_numbers(file, names[0])
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise InvalidClips(f"{path} cannot be read as HDF5: {error}") from error
    if array.ndim < 1:
        raise InvalidClips(f"{path} holds a single number")
    return array


def _entries(
    dataset: str, files: Mapping[str, Path], notes: list[str], label: str
) -> Iterator[tuple[str, Callable[[], Rows]]]:
    for split, path in files.items():
        clips = _array(path)  # (N, T, D)
        padding = (clips == 0).all(axis=-1)  # (N, T)
        names = COVAREP if clips.shape[-1] == len(COVAREP) else ()
        bare = int(padding.all(axis=1).sum())
        notes.append(
            f"{label} {split}: {int(padding.sum())} of {padding.size} rows are zero in every column and became NaN"
            + (f"; {bare} of {len(clips)} clips have no other" if bare else "")
        )
        for number, rows in enumerate(clips):
            seen = np.where(padding[number][:, None], np.nan, rows)
            yield _id(dataset, split, number), partial(Rows, seen.astype(clips.dtype), None, names)

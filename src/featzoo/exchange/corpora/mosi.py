"""CMU-MOSI from local files: labels and times, official folds, transcripts, utterance-level features."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.corpora.mertools import only, read_transcripts
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.exchange.plain_hdf5 import group_in, read_numbers
from featzoo.exchange.raw_media import link_media
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.sequence import Array
from featzoo.untrusted import parse_json

LABELS = "CMU_MOSI_Opinion_Labels.csd"
FOLDS = "standard_folds.json"
TRANSCRIPTS = "*transcription*.csv"
UTTERANCES = Path("bc-lstm") / "data"
SPLITS = {"standard_train_fold": "train", "standard_valid_fold": "valid", "standard_test_fold": "test"}
LEAK = (
    "bc-lstm-video was made by a network that had seen the labels of 558 of the 686 test clips (and 195 of the 229 dev "
    "clips), so heads trained on it score too well. No recipe reads it; train without vision"
)
# Language to its column in the table of transcripts.
COLUMNS = {"en": "english", "zh": "chinese"}
# Transcripts are lower-cased if more than this share of them has no lower-case letter.
MOSTLY = 0.9
# COVAREP's column order since 2015; the bc-LSTM files hold the first 73 of the 74.
COVAREP = (
    "F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak",
    *(f"MCEP_{i}" for i in range(25)), *(f"HMPDM_{i}" for i in range(25)), *(f"HMPDD_{i}" for i in range(12)),
)  # fmt: skip


def import_mosi(
    folder: Path, store: Path, dry_run: bool = False, media: Path | None = None, languages: Sequence[str] = (),
    keep_case: bool = False,
) -> Account:  # fmt: skip
    """Import CMU-MOSI: 2,199 clips with words, split and label `sentiment`, two feature sets.

    The transcripts are in capitals, which encoders that distinguish case read poorly; they become lower case.

    With `languages`, only texts are imported, as clips `video$_$utterance/en` and `/zh` of the group `video`, with the
    labels `sentiment` and `positive` (1 above 0, 0 below, missing at 0): parallel texts for the recipe `adam`.

    Clip ids are MMSA's `video$_$utterance`. Set `covarep` holds utterance means of 73 COVAREP columns, `bc-lstm-video`
    the 100 visual features of the bc-LSTM release, each as one step.

    The visual features leak: the network that made them was trained on 558 of the 686 official test clips and 195 of
    the 229 dev clips. A ridge regression on them correlates .65 with the truth on those 558 and -.04 on the other 128
    (`benchmarks/mosi_leak.py`). They serve to reproduce published numbers; none of our recipes reads them.

    Args:
        folder: Folder with the label .csd, the folds, a transcript table and, for features, the bc-LSTM release.
        store: The store; created if missing.
        dry_run: Only report what would be imported.
        media: Recordings or cut clips, such as `Raw/<video>/<clip>.mp4`, to link the clips to.
        languages: `en` and `zh`, or one of them.
        keep_case: Leave transcripts in capitals as they are.

    Raises:
        InvalidClips: If a file is missing or does not match the others.
        InvalidOption: For another language, or media for texts of several languages.
    """
    for name in (LABELS, FOLDS):
        if not (folder / name).is_file():
            raise InvalidClips(f"{folder} lacks {name}: CMU-MOSI is imported from local files, see docs")
    if languages:
        return _import_texts(folder, store, dry_run, media, languages, keep_case)
    texts, notes = _texts(folder, "en", keep_case)
    clips = {clip.id: clip for clip in _clips(folder, texts)}
    linked, said = link_media(list(clips.values()), media) if media else (list(clips.values()), [])
    said += notes
    if not (folder / UTTERANCES / "transcripts.csv").is_file():
        said.append(f"no features: {folder} has no {UTTERANCES}, the bc-LSTM release")
        return bring_in(Arrival([], linked, notes=said), store, dry_run)
    video = tuple(f"visual_{i}" for i in range(100))
    sets = [_set(folder, "covarep", "audio", COVAREP, clips), _set(folder, "bc-lstm-video", "video", video, clips)]
    return bring_in(Arrival(sets, linked, notes=[*said, "warning: " + LEAK]), store, dry_run)


def _set(folder: Path, name: str, kind: str, columns: Sequence[str], clips: Mapping[str, Clip]) -> Incoming:
    rows = _rows(folder / UTTERANCES, kind, len(columns), clips)
    provenance = {
        "modality": "vision" if kind == "video" else kind,
        "source": "bc-LSTM release of CMU-MOSI",
        **({"warning": LEAK} if kind == "video" else {}),
    }
    entries = ((i, partial(Rows, row[None], np.array([[0.0, _seconds(clips[i])]]), columns)) for i, row in rows.items())
    return Incoming(name, entries, {"level": "utterance mean", "release": "bc-lstm"}, provenance)


def _seconds(clip: Clip) -> float:
    return (clip.end or 0.0) - clip.start


def _import_texts(
    folder: Path, store: Path, dry_run: bool, media: Path | None, languages: Sequence[str], keep_case: bool
) -> Account:
    if media or not set(languages) <= set(COLUMNS):
        what = "media" if media else f"languages {', '.join(languages)}"
        raise InvalidOption(f"CMU-MOSI in several languages is texts in {' and '.join(COLUMNS)}; got {what}")
    found, said = [], []
    for language in languages:
        texts, notes = _texts(folder, language, keep_case)
        for clip in _clips(folder, texts):
            score = clip.labels["sentiment"]
            labels = {"sentiment": score} | ({"positive": float(score > 0)} if score else {})
            group = {"group": clip.id.partition("$_$")[0]}
            found.append(
                Clip(f"{clip.id}/{language}", None, words=clip.words, split=clip.split, labels=labels, categories=group)
            )
        said += [f"{language}: {line}" for line in notes]
    return bring_in(Arrival([], found, notes=said), store, dry_run)


def _texts(folder: Path, language: str, keep_case: bool) -> tuple[dict[str, str], list[str]]:
    """Clip id to transcript, in lower case if nearly all are in capitals, and what was done."""
    table = only(folder, TRANSCRIPTS)
    if table is None:
        raise InvalidClips(f"{folder} lacks a table of transcripts, {TRANSCRIPTS} with columns name and english")
    texts = read_transcripts(table, COLUMNS[language])
    shouted = sum(text.isupper() for text in texts.values())
    if keep_case or shouted <= MOSTLY * len(texts):
        return texts, []
    lower = {name: text.lower() for name, text in texts.items()}
    return lower, [f"{shouted} transcripts in capitals became lower case (keep_case leaves them)"]


def _clips(folder: Path, texts: Mapping[str, str]) -> Iterator[Clip]:
    folds = parse_json((folder / FOLDS).read_text(encoding="utf-8"))
    split = {video: SPLITS[fold] for fold, videos in folds.items() for video in videos}
    for name, start, end, score in _labelled(folder / LABELS):
        video = name.partition("$_$")[0]
        if name not in texts or video not in split:
            raise InvalidClips(f"{folder / LABELS}: '{name}' has no transcript or no fold")
        yield Clip(name, None, start, end, words_of(texts[name]), split[video], {"sentiment": score})


def _labelled(path: Path) -> Iterator[tuple[str, float, float, float]]:
    """Clip id, start, end and sentiment of each segment of the SDK's label file."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            (root,) = file.keys()
            data = group_in(group_in(file, root), "data")
            for video in data:
                group = group_in(data, video)
                scores, times = read_numbers(group, "features")[:, 0], read_numbers(group, "intervals")
                for number, (score, (start, end)) in enumerate(zip(scores, times, strict=True), start=1):
                    yield f"{video}$_${number}", float(start), float(end), float(score)
    except (OSError, RuntimeError, ValueError, IndexError) as error:
        raise InvalidClips(f"{path} is not the SDK's label file: {error}") from error


def _rows(folder: Path, kind: str, width: int, clips: Mapping[str, Clip]) -> dict[str, Array]:
    """Features by clip id. Row i of a split's table is the utterance in row i of its text table.

    The common order of both tables was checked against a published COVAREP segment
    (ZUXBRvtny7o_9: its column means are its row here, to five digits) and the class in the last column.
    """
    names = [row[0] for row in _table(folder / "transcripts.csv")]
    classes = [row[3] for row in _table(folder / "transcripts.csv")]
    found: dict[str, Array] = {}
    for split in ("train", "test"):
        order = [int(row[0]) for row in _table(folder / f"text_{split}.csv")]
        rows = _table(folder / kind / f"{kind}_{split}0.csv")
        if len(rows) != len(order) or any(len(row) != width + 1 for row in rows):
            raise InvalidClips(f"{kind}_{split}0.csv is not {len(order)} rows of {width} features and a class")
        for position, row in zip(order, rows, strict=True):
            if row[-1] != classes[position]:
                raise InvalidClips(f"{kind}_{split}0.csv is not in the order of text_{split}.csv")
            video, number = names[position].rsplit("_", 1)
            values = np.array(row[:-1], dtype=np.float32)
            found[f"{video}$_${number}"] = values
    if set(found) != set(clips):
        raise InvalidClips(f"{kind}: {len(found)} utterances, {len(clips)} labels, and they do not match")
    return found


def _table(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))
    except OSError as error:
        raise InvalidClips(f"cannot read {path}: {error.strerror}") from error

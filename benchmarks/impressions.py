"""Apparent Big Five from text, sound and motion: fusion heads on YouTube Personality and First Impressions V2.

Texts are read by a frozen MiniLM (see `fusion.py`), the first 512 tokens of each. The 404 vloggers of YouTube
Personality are divided into ten folds by a seed; of the nine others one is dev. First Impressions has one split: a
tenth of the train videos is dev, and the official validation clips are test. Dev chooses the epoch and fits the stacks
of the heads that have one; ridge regression and the linear stack choose by five inner folds. Nothing is chosen on the
clips that are predicted.

    feat import youtube-personality ../shared/data/youtube_personality -o FOLDER/youtube
    feat extract -o FOLDER/youtube -x bert.minilm-ids
    feat import first-impressions ../shared/data/first_impressions -o FOLDER/first-impressions --dev-share 0.1
    feat extract -o FOLDER/first-impressions -x bert.minilm-ids
    python benchmarks/impressions.py FOLDER [--corpus first-impressions] [--seeds 1111 1112 1113] [--rows PSA-MF]

Results are kept in FOLDER/CORPUS.jsonl, so a stopped run can be continued; the table shows all that are there.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fusion import ROWS, VARIANTS, Corpus, Row, encoded, head_predictions, interval, record, recorded, refitted_ridge

from featzoo.cache.store import FeatureStore
from featzoo.sequence import Array
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.runs.linear_floor import stack_of

TRAITS = ("extraversion", "agreeableness", "conscientiousness", "emotional_stability", "openness")
YOUTUBE, FIRST = "youtube", "first-impressions"
SETS = {
    YOUTUBE: {"audio": "youtube-personality-sound", "vision": "youtube-personality-motion"},
    FIRST: {"audio": "librosa-26"},
}
FOLDS, SCALE = 10, 6.0  # labels from 0 to 1 are points of the scale from 1 to 7 again, around 0
COMMON = {"schedule": "linear", "warmup": 0.1, "optimizer": "adamw", "weight_decay": 0.01, "clip": 1.0}
TRAINING = {
    YOUTUBE: {**COMMON, "epochs": 30, "batch_size": 16, "patience": 10},
    FIRST: {**COMMON, "epochs": 10, "batch_size": 64, "patience": 5},
}
TEXT = "text alone"
TABLE: Mapping[str, Row] = {TEXT: Row("lf-dnn", read=("text",)), **ROWS, **VARIANTS}
SHOWN = (
    TEXT, "LF-DNN", "EF-LSTM", "LMF", "MFN", "Self-MM", "MISA", "PSA-MF as published", "PSA-MF, no stack", "PSA-MF",
)  # fmt: skip
FLOORS = (
    "constant",
    *(f"ridge, {name}" for name in ("text length", "text", "audio", "vision", "together")),
    "linear stack",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", choices=SETS, default=YOUTUBE)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1111, 1112, 1113])
    parser.add_argument("--rows", nargs="+", choices=TABLE, default=list(SHOWN))
    parser.add_argument("--against", default=TEXT, help="the row with which the others are compared")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no training after this time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    name = options.corpus
    started, path = time.perf_counter(), options.folder / f"{name}.jsonl"
    done = {(each["row"], each["seed"]) for each in recorded(path)}
    corpus, split_of = impressions(options.folder, name)
    parts_of = {seed: folds(len(corpus.ids), seed) if name == YOUTUBE else [split_of] for seed in options.seeds}
    for seed in options.seeds:
        for row in ("floors", *options.rows):
            if (row, seed) in done or time.perf_counter() - started > options.seconds:
                continue
            if row == "floors":
                for floor, pred in floors(corpus, parts_of[seed]).items():
                    keep(path, floor, seed, pred)
                record(path, {"row": row, "seed": seed})
                continue
            pred, dev = (np.full_like(corpus.targets, np.nan) for _ in range(2))
            for parts in parts_of[seed]:
                made = head_predictions(corpus, trained_as(TABLE[row], name), parts, seed, {})
                pred[parts["test"]], dev[parts["valid"]] = made["test"], made["valid"]
            keep(path, row, seed, pred, float(np.nanmean(np.abs(dev - corpus.targets))))
    scored = np.sort(np.concatenate([parts["test"] for parts in next(iter(parts_of.values()))]))
    seen = {corpus.groups[i] for i in np.setdiff1d(np.arange(len(corpus.ids)), scored)}
    groups = [corpus.groups[i] for i in scored]
    new = np.array([group not in seen for group in groups])
    print(table(recorded(path), corpus.targets[scored], groups, new, options.against))


def trained_as(row: Row, name: str) -> Row:
    """The row with the corpus's training; the epochs of First Impressions, which are long, are the same for all."""
    own = TRAINING[name]
    return row._replace(training={**row.training, **own} if name == FIRST else {**own, **row.training})


def impressions(folder: Path, name: str) -> tuple[Corpus, dict[str, Array]]:
    """The labelled clips, and the rows of each split of the store."""
    store = FeatureStore(folder / name)
    clips = store.clips()
    ids = tuple(sorted(i for i, clip in clips.items() if set(TRAITS) <= set(clip.labels)))
    before, text, tokens = encoded(folder / name, "bert.minilm-ids", folder / f"{name}-texts", ids, 512)
    features: dict[str, Sequence[Array | None]] = {}
    for role, wanted in SETS[name].items():
        held = set(store[wanted].ids())
        features[role] = [store[wanted][i].features if i in held else None for i in ids]
    targets = SCALE * (np.array([[clips[i].labels[trait] for trait in TRAITS] for i in ids]) - 0.5)
    groups = tuple(clips[i].categories.get("group", i) for i in ids)
    corpus = Corpus(ids, targets, groups, before, text, features, folder / f"{name}-texts" / "encoder", tokens)
    split = np.array([clips[i].split for i in ids])
    return corpus, {part: np.flatnonzero(split == part) for part in ("train", "valid", "test")}


def folds(clips: int, seed: int) -> list[dict[str, Array]]:
    """Rows of each fold: it is test, the next one dev."""
    fold_of = np.random.default_rng(seed).permutation(clips) % FOLDS
    found = []
    for fold in range(FOLDS):
        dev = (fold + 1) % FOLDS
        chosen = {"train": (fold_of != fold) & (fold_of != dev), "valid": fold_of == dev, "test": fold_of == fold}
        found.append({name: np.flatnonzero(rows) for name, rows in chosen.items()})
    return found


def floors(corpus: Corpus, splits: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """(N, K) predictions by ridge of each input and of all, and by the linear stack of the single ones."""
    columns = {"text length": np.stack([corpus.tokens, np.log1p(corpus.tokens)], axis=1), "text": corpus.text}
    for role, arrays in corpus.features.items():
        wide = next(a.shape[1] for a in arrays if a is not None)
        columns[role] = np.stack([np.full(wide, np.nan) if a is None else a.mean(axis=0) for a in arrays])
    single = ("text", *corpus.features)
    columns["together"] = np.concatenate([columns[name] for name in single], axis=1)
    found = {name: np.full_like(corpus.targets, np.nan) for name in ("constant", "linear stack")}
    found |= {f"ridge, {name}": np.full_like(corpus.targets, np.nan) for name in columns}
    for parts in splits:
        fit, test = np.concatenate([parts["train"], parts["valid"]]), parts["test"]
        found["constant"][test] = np.median(corpus.targets[fit], axis=0)
        for k in range(len(TRAITS)):
            y, inner, outer = corpus.targets[:, k], {}, {}
            for name, x in columns.items():
                outer[name], inner[name] = refitted_ridge(np.float64(x), y, corpus.groups, fit, test)
                found[f"ridge, {name}"][test, k] = outer[name]
            stacked = stack_of([inner[name] for name in single], y[fit], [outer[name] for name in single])
            found["linear stack"][test, k] = stacked
    return found


def keep(path: Path, row: str, seed: int, pred: Array, dev_mae: float | None = None) -> None:
    scored = [[round(float(p), 4) for p in each] for each in pred if not np.isnan(each).any()]
    record(path, {"row": row, "seed": seed, "pred": scored, "dev_mae": dev_mae})


def table(
    results: Sequence[Mapping[str, Any]], truth: Array, groups: Sequence[str], new: Array, against: str = TEXT
) -> str:
    """r of each trait and the MAE in points of seven, means over seeds; less another row's; and of the seeds' mean.

    The interval is a paired 95 % bootstrap over people, of the mean over the seeds that both have.

    Args:
        results: Those in the file.
        truth: (N, K) of the clips that are predicted.
        groups: Their people, or videos.
        new: (N,) whether train and dev have no clip of the same.
        against: The other row.
    """
    found: dict[str, dict[int, Array]] = defaultdict(dict)
    dev: dict[str, list[float]] = defaultdict(list)
    for each in results:
        if "pred" in each:
            found[each["row"]][each["seed"]] = np.array(each["pred"])
            dev[each["row"]].append(each["dev_mae"] or np.nan)
    rows = [["", "seeds", *(f"r {trait[:5]}" for trait in TRAITS), "mean r", "MAE", f"less {against}", "95 %"]]
    rows[0] += [f"MAE, {new.sum()} of new", "dev MAE", "mean r, seeds averaged", "MAE, seeds averaged"]
    for name in (*FLOORS, *TABLE):
        if name not in found:
            continue
        r = np.mean([correlations(pred, truth) for pred in found[name].values()], axis=0)
        mae = np.mean([np.abs(pred - truth).mean() for pred in found[name].values()])
        less = ["", ""]
        shared = sorted(found[name].keys() & found[against].keys()) if against in found and name != against else []
        if shared:
            errors = [[np.abs(found[row][s] - truth).mean(axis=1) for s in shared] for row in (name, against)]
            gap = np.mean(errors[0], axis=0) - np.mean(errors[1], axis=0)  # (N,)
            low, high = interval(gap, groups)
            less = [f"{gap.mean():+.3f}", f"{low:+.3f} to {high:+.3f}"]
        shown = [f"{value:.3f}" for value in (*r, r.mean(), mae)]
        mean = np.mean(list(found[name].values()), axis=0)
        unseen = np.mean([np.abs(pred - truth)[new].mean() for pred in found[name].values()])
        rest = [f"{unseen:.3f}", "" if np.isnan(dev[name]).any() else f"{np.mean(dev[name]):.3f}"]
        averaged = [f"{correlations(mean, truth).mean():.3f}", f"{np.abs(mean - truth).mean():.3f}"]
        rows.append([name, str(len(found[name])), *shown, *less, *rest, *averaged])
    return text_table(rows)


def correlations(pred: Array, truth: Array) -> Array:
    """Pearson's r of each column; 0 for a constant prediction."""
    pairs = zip(pred.T, truth.T, strict=True)
    return np.array([np.corrcoef(p, t)[0, 1] if p.std() > 1e-6 else 0.0 for p, t in pairs])


if __name__ == "__main__":
    main()

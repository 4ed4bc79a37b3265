"""YouTube Personality: impressions of vloggers' Big Five from transcript, sound and motion, ten-fold cross-validated.

Texts are read by a frozen MiniLM (see `fusion.py`), the first 512 tokens of each. A seed divides the 404 vloggers into
ten folds; of the nine others one is dev, which chooses the epoch and fits the stacks of the heads that have one. Ridge
regression and the linear stack choose by five inner folds. Nothing is chosen on the fold that is held out.

    feat import youtube-personality ../shared/data/youtube_personality -o FOLDER/youtube
    feat extract -o FOLDER/youtube -x bert.minilm-ids
    python benchmarks/youtube.py FOLDER [--seeds 1111 1112 1113] [--rows 'text alone' PSA-MF]

Results are kept in FOLDER/youtube.jsonl, so a stopped run can be continued; the table shows all that are there.
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
from fusion import ROWS, VARIANTS, Corpus, Row, encoded, head_predictions, record, recorded, refitted_ridge

from featzoo.cache.store import FeatureStore
from featzoo.sequence import Array
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.runs.linear_floor import stack_of

TRAITS = ("extraversion", "agreeableness", "conscientiousness", "emotional_stability", "openness")
SETS = {"audio": "youtube-personality-sound", "vision": "youtube-personality-motion"}
FOLDS, DRAWS, SCALE = 10, 2000, 6.0  # labels from 0 to 1 are points of the scale from 1 to 7 again, around 0
TRAINING = {
    "epochs": 30, "batch_size": 16, "patience": 10, "schedule": "linear", "warmup": 0.1, "optimizer": "adamw",
    "weight_decay": 0.01, "clip": 1.0,
}  # fmt: skip
TEXT = "text alone"
TABLE: Mapping[str, Row] = {TEXT: Row("lf-dnn", read=("text",)), **ROWS, **VARIANTS}
SHOWN = (
    TEXT, "LF-DNN", "EF-LSTM", "LMF", "MFN", "Self-MM", "MISA", "PSA-MF as published", "PSA-MF, no stack", "PSA-MF",
)  # fmt: skip
FLOORS = ("constant", *(f"ridge, {name}" for name in ("text length", "text", *SETS, "together")), "linear stack")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1111, 1112, 1113])
    parser.add_argument("--rows", nargs="+", choices=TABLE, default=list(SHOWN))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no training after this time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, path = time.perf_counter(), options.folder / "youtube.jsonl"
    done = {(each["row"], each["seed"]) for each in recorded(path)}
    corpus = youtube(options.folder)
    for seed in options.seeds:
        for name in ("floors", *options.rows):
            if (name, seed) in done or time.perf_counter() - started > options.seconds:
                continue
            folds = [split(len(corpus.ids), seed, fold) for fold in range(FOLDS)]
            if name == "floors":
                for floor, pred in floors(corpus, folds).items():
                    keep(path, floor, seed, pred)
                record(path, {"row": "floors", "seed": seed})
            else:
                pred, dev = np.zeros_like(corpus.targets), np.zeros_like(corpus.targets)
                for parts in folds:
                    found = head_predictions(corpus, TABLE[name], parts, seed, TRAINING)
                    pred[parts["test"]], dev[parts["valid"]] = found["test"], found["valid"]
                keep(path, name, seed, pred, float(np.abs(dev - corpus.targets).mean()))
    print(table(recorded(path), corpus.targets))


def youtube(folder: Path) -> Corpus:
    store = FeatureStore(folder / "youtube")
    clips = store.clips()
    ids = tuple(sorted(i for i, clip in clips.items() if set(TRAITS) <= set(clip.labels)))
    before, text, tokens = encoded(folder / "youtube", "bert.minilm-ids", folder / "texts", ids, 512)
    features: dict[str, Sequence[Array | None]] = {
        role: [store[name][i].features for i in ids] for role, name in SETS.items()
    }
    targets = SCALE * (np.array([[clips[i].labels[trait] for trait in TRAITS] for i in ids]) - 0.5)
    return Corpus(ids, targets, ids, before, text, features, folder / "texts" / "encoder", tokens)


def split(clips: int, seed: int, fold: int) -> dict[str, Array]:
    """Rows: a fold is test, the next one dev."""
    fold_of = np.random.default_rng(seed).permutation(clips) % FOLDS
    dev = (fold + 1) % FOLDS
    chosen = {"train": (fold_of != fold) & (fold_of != dev), "valid": fold_of == dev, "test": fold_of == fold}
    return {name: np.flatnonzero(rows) for name, rows in chosen.items()}


def floors(corpus: Corpus, folds: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """(N, K) out-of-fold predictions by ridge of each input and of all, and by the linear stack of the single ones."""
    columns = {"text length": np.stack([corpus.tokens, np.log1p(corpus.tokens)], axis=1), "text": corpus.text}
    columns |= {role: np.concatenate([a for a in corpus.features[role] if a is not None]) for role in SETS}
    single = ("text", *SETS)
    columns["together"] = np.concatenate([columns[name] for name in single], axis=1)
    found = {name: np.zeros_like(corpus.targets) for name in FLOORS}
    for parts in folds:
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
    record(path, {"row": row, "seed": seed, "pred": np.round(pred, 4).tolist(), "dev_mae": dev_mae})


def table(results: Sequence[Mapping[str, Any]], truth: Array) -> str:
    """r of each trait and the MAE in points of seven, means over seeds; less the text alone's; and of the seeds' mean.

    The interval is a paired 95 % bootstrap over vloggers, of the mean over the seeds that both have.
    """
    found: dict[str, dict[int, Array]] = defaultdict(dict)
    for each in results:
        if "pred" in each:
            found[each["row"]][each["seed"]] = np.array(each["pred"])
    rows = [["ten-fold", "seeds", *(f"r {trait[:5]}" for trait in TRAITS), "mean r", "MAE", "less text alone", "95 %"]]
    rows[0] += ["mean r, seeds averaged", "MAE, seeds averaged"]
    for name in (*FLOORS, *TABLE):
        if name not in found:
            continue
        r = np.mean([correlations(pred, truth) for pred in found[name].values()], axis=0)
        mae = np.mean([np.abs(pred - truth).mean() for pred in found[name].values()])
        less = ["", ""]
        shared = sorted(found[name].keys() & found[TEXT].keys()) if TEXT in found and name != TEXT else []
        if shared:
            errors = [[np.abs(found[row][s] - truth).mean(axis=1) for s in shared] for row in (name, TEXT)]
            gap = np.mean(errors[0], axis=0) - np.mean(errors[1], axis=0)  # (N,)
            drawn = np.random.default_rng(0).integers(0, len(gap), (DRAWS, len(gap)))
            low, high = np.percentile(gap[drawn].mean(axis=1), [2.5, 97.5])
            less = [f"{gap.mean():+.3f}", f"{low:+.3f} to {high:+.3f}"]
        shown = [f"{value:.3f}" for value in (*r, r.mean(), mae)]
        mean = np.mean(list(found[name].values()), axis=0)
        averaged = [f"{correlations(mean, truth).mean():.3f}", f"{np.abs(mean - truth).mean():.3f}"]
        rows.append([name, str(len(found[name])), *shown, *less, *averaged])
    return text_table(rows)


def correlations(pred: Array, truth: Array) -> Array:
    """Pearson's r of each column; 0 for a constant prediction."""
    pairs = zip(pred.T, truth.T, strict=True)
    return np.array([np.corrcoef(p, t)[0, 1] if p.std() > 1e-6 else 0.0 for p, t in pairs])


if __name__ == "__main__":
    main()

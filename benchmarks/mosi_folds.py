"""Recipes on CMU-MOSI's train videos alone, cross-validated: for choosing a default without its test split.

Each fold holds out a share of the train videos; the official dev split chooses the epoch, as it does for users, and the
official test split is taken out of the store. So every one of the 1,284 train clips is predicted by a training that has
not seen its video. The encoder is fine-tuned by every recipe as it is. A row is a recipe, or one of its ablations,
written as `psa-mf: w/o the stack`. With `--strength` the sound is a made one (see `fine_tuned_control.py`) instead of
CMU-MOSI's own, which tells next to nothing.

    feat import mosi ../shared/data/mosi -o FOLDER/mosi
    feat extract -o FOLDER/mosi -x bert.minilm,bert.minilm-ids
    python benchmarks/mosi_folds.py FOLDER [--rows text-alone psa-mf.published psa-mf 'psa-mf: w/o the stack']

Results are kept in FOLDER/folds.jsonl, so a stopped run can be continued; the table shows all that are there.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fine_tuned_control import made_sound
from fusion import interval, record, recorded

from featzoo.cache.store import FeatureStore
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.run import train_recipe

FOLDS = 4
TEXT = "text-alone"
ROWS = (TEXT, "psa-mf.published", "psa-mf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1111])
    parser.add_argument("--strength", type=float, default=0.0, help="of a made sound; 0: CMU-MOSI's own")
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)), help="which of the four to train")
    parser.add_argument("--against", default=TEXT, help="the row with which the others are compared")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no training after this time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, path = time.perf_counter(), options.folder / "folds.jsonl"
    for seed in options.seeds:
        for row in options.rows:
            for fold in options.folds:
                place = {"strength": options.strength, "row": row, "seed": seed, "fold": fold}
                # Read anew, so that several processes may share the rows.
                done = any(all(each[key] == value for key, value in place.items()) for each in recorded(path))
                if not done and time.perf_counter() - started < options.seconds:
                    run(path, fold_store(options.folder, fold), place)
    print(table(recorded(path), options.against))


def fold_store(folder: Path, fold: int) -> Path:
    """A copy of the store in which the fold's train videos are test, and the official test clips have no split."""
    found = folder / f"fold-{fold}"
    if not found.is_dir():
        partial = folder / f"fold-{fold}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(folder / "mosi", partial)
        store = FeatureStore(partial)
        clips = store.clips()
        videos = sorted({video(i) for i, clip in clips.items() if clip.split == "train"})
        drawn = np.random.default_rng(0).permutation(len(videos))
        held = {videos[i] for i in drawn[fold::FOLDS]}
        split_of = {
            i: "" if c.split == "test" else "test" if c.split == "train" and video(i) in held else c.split
            for i, c in clips.items()
        }
        store.record([replace(clip, split=split_of[i]) for i, clip in clips.items()])
        partial.rename(found)
    return found


def video(clip_id: str) -> str:
    return clip_id.partition("$_$")[0]


def run(path: Path, store: Path, place: Mapping[str, Any]) -> None:
    """Train one row on one fold and record what it predicts for the held-out clips."""
    recipe, _, ablation = place["row"].partition(": ")
    changes: dict[str, Any] = {"training.seed": place["seed"]}
    if ablation:
        changes |= find_recipe(recipe).ablations[ablation].set
    if recipe != TEXT:
        changes.setdefault("inputs.vision.features", [])
        if place["strength"]:
            changes.setdefault("inputs.audio.features", [made_sound(store, place["strength"], place["seed"])])
    began = time.perf_counter()
    trained = RunFolder(train_recipe(recipe, store, path.parent / "runs", changes, "cpu").path)
    held, dev = trained.predictions("test"), trained.predictions("valid")
    record(path, {
        **place, "seconds": round(time.perf_counter() - began),
        "dev_mae": float(np.abs(dev.pred - dev.truth).mean()),
        "ids": list(held.ids), "pred": [round(float(p), 4) for p in held.pred[:, 0]],
        "truth": [round(float(t), 4) for t in held.truth[:, 0]],
    })  # fmt: skip


def table(results: Sequence[Mapping[str, Any]], against: str) -> str:
    """Of each row whose folds are all there: MAE on dev and on the held-out clips, and less that of another row.

    The difference is that of the seeds that both have.
    """
    errors: dict[tuple[float, str, int], dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for each in results:
        errors[each["strength"], each["row"], each["seed"]][each["fold"]] = each
    whole = {key: folds for key, folds in errors.items() if len(folds) == FOLDS}
    rows = [["sound", "row", "seeds", "dev MAE", "held-out MAE", "each seed", f"less {against}", "95 %"]]
    for strength, name in dict.fromkeys((s, row) for s, row, _ in sorted(whole, key=lambda key: key[0])):
        seeds = sorted(seed for s, row, seed in whole if (s, row) == (strength, name))
        dev = np.mean([each["dev_mae"] for s in seeds for each in whole[strength, name, s].values()])
        found = {s: absolute(whole[strength, name, s]) for s in seeds}
        # The text alone is the same with every sound.
        other = {s: absolute(each) for (made, row, s), each in whole.items()
                 if row == against and (made == strength or row == TEXT)}  # fmt: skip
        less, shared = ["", ""], sorted(found.keys() & other.keys())
        if shared and name != against:
            gaps = {i: float(np.mean([found[s][i] - other[s][i] for s in shared])) for i in found[shared[0]]}
            low, high = interval(np.array(list(gaps.values())), [video(i) for i in gaps])
            less = [f"{np.mean(list(gaps.values())):+.3f}", f"{low:+.3f} to {high:+.3f}"]
        mae = [float(np.mean(list(each.values()))) for each in found.values()]
        sound = f"made, {strength:g}" if strength else "own"
        each_seed = " ".join(f"{value:.3f}" for value in mae)
        rows.append([sound, name, str(len(seeds)), f"{dev:.3f}", f"{np.mean(mae):.3f}", each_seed, *less])
    return text_table(rows)


def absolute(folds: Mapping[int, Mapping[str, Any]]) -> dict[str, float]:
    """Clip to its absolute error."""
    rows = [row for each in folds.values() for row in zip(each["ids"], each["pred"], each["truth"], strict=True)]
    return {clip: abs(predicted - truth) for clip, predicted, truth in rows}


if __name__ == "__main__":
    main()

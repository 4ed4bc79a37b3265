"""Recipes as users run them, with a fine-tuned encoder, on CMU-MOSI's texts and a made sound of known information.

`positive_control.py` freezes the encoder, so that the text cannot be memorised. Here it is fine-tuned by every recipe
as it is, and memorises the train texts first. The sound is one vector a clip, as in the positive control's signal
`sound`; a seed draws it and the weights. Nothing is chosen on test.

    feat import mosi ../shared/data/mosi -o FOLDER/mosi
    feat extract -o FOLDER/mosi -x bert.minilm,bert.minilm-ids
    python benchmarks/fine_tuned_control.py FOLDER [--seeds 1111 1112 1113] [--strength 0.6] [--rows text-alone psa-mf]

Results are kept in FOLDER/fine-tuned.jsonl, so a stopped run can be continued; the table shows all that are there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fusion import record, recorded
from positive_control import WIDTH, signals

from featzoo.cache.store import FeatureStore
from featzoo.exchange.formats.npz import import_npz
from featzoo.sequence import Array
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.linear_floor import fitted, stack_of
from featzoo.zoo.runs.run import train_recipe

TEXT, STACK, SOUND = "text-alone", "linear stack of text-alone and sound", "ridge, sound"
ROWS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    TEXT: (TEXT, {}),
    "psa-mf": ("psa-mf", {}),
    "psa-mf.published": ("psa-mf.published", {}),
    "psa-mf.published, L1 alone": ("psa-mf.published", {"options.weights": [1.0, 0.0, 0.0, 0.0]}),
    "self-mm": ("self-mm", {}),
    "misa": ("misa", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1111, 1112, 1113])
    parser.add_argument("--strength", type=float, default=0.6)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no training after this time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, path = time.perf_counter(), options.folder / "fine-tuned.jsonl"
    done = {(each["strength"], each["seed"], each["row"]) for each in recorded(path)}
    for seed in options.seeds:
        for row in options.rows:
            if (options.strength, seed, row) not in done and time.perf_counter() - started < options.seconds:
                run(path, options.folder / "mosi", options.strength, seed, row)
    print(table(recorded(path)))


def run(path: Path, store: Path, strength: float, seed: int, row: str) -> None:
    """Train a recipe and record its MAE; with the text alone, also that of the floors."""
    name, place = made_sound(store, strength, seed), {"strength": strength, "seed": seed}
    recipe, changes = ROWS[row]
    if row != TEXT:
        changes = {**changes, "inputs.audio.features": [name], "inputs.vision.features": []}
    began = time.perf_counter()
    trained = train_recipe(recipe, store, path.parent / "runs", {**changes, "training.seed": seed}, "cpu")
    seconds = round(time.perf_counter() - began)
    held = {part: RunFolder(trained.path).predictions(part) for part in ("valid", "test")}
    truth = {part: each.truth[:, 0] for part, each in held.items()}
    found = {row: {part: each.pred[:, 0] for part, each in held.items()}}
    if row == TEXT:
        found[SOUND] = ridge(FeatureStore(store), name, {part: each.ids for part, each in held.items()})
        single = [found[TEXT], found[SOUND]]
        dev = [each["valid"] for each in single]
        found[STACK] = {p: stack_of(dev, truth["valid"], [each[p] for each in single]) for p in truth}
    for key, predicted in found.items():
        errors = {f"{part}_mae": float(np.abs(predicted[part] - truth[part]).mean()) for part in truth}
        record(path, {**place, "row": key, **errors, **({"seconds": seconds} if key == row else {})})


def made_sound(store: Path, strength: float, seed: int) -> str:
    """The name of the made set for a strength and a seed, which is written if the store lacks it."""
    name = f"made-sound-{round(100 * strength)}-{seed}"
    opened = FeatureStore(store)
    if name not in {feature_set.spec["extractor"] for feature_set in opened.sets()}:
        clips = opened.clips()
        ids = sorted(i for i, clip in clips.items() if clip.split and "sentiment" in clip.labels)
        targets = np.array([clips[i].labels["sentiment"] for i in ids])
        rng = np.random.default_rng([seed, round(100 * strength)])
        arrays = signals("audio", targets / targets.std(), strength, rng, 1)["audio"]
        file = store.parent / f"{name}.npz"
        whole = np.concatenate([array for array in arrays if array is not None])
        np.savez(file, features=whole, offsets=np.arange(len(ids) + 1), clip_ids=np.array(ids))
        import_npz(file, store, name)
    return name


def ridge(store: FeatureStore, name: str, parts: Mapping[str, Sequence[str]]) -> dict[str, Array]:
    """Ridge regression on the sound, fitted to train, its penalty chosen on dev: (N,) predictions of each part."""
    clips, sound = store.clips(), store[name]
    ids = {"train": [i for i, clip in clips.items() if clip.split == "train" and "sentiment" in clip.labels], **parts}
    columns = {p: np.concatenate([sound[i].features for i in each]).reshape(-1, WIDTH) for p, each in ids.items()}
    targets = {p: np.array([[clips[i].labels["sentiment"]] for i in each]) for p, each in ids.items()}
    return {part: each[:, 0] for part, each in fitted("numbers", 1, columns, targets).items()}


def table(results: Sequence[dict[str, Any]]) -> str:
    """MAE of each row, mean over seeds, and test MAE less that of the text alone and of the stack."""
    scored = {(e["strength"], e["row"], e["seed"]): e for e in results}
    rows = [["strength", "row", "seeds", "dev MAE", "test MAE", "less text-alone", "less the stack", "below both"]]
    for strength in sorted({key[0] for key in scored}):
        for name in (SOUND, STACK, *ROWS):
            seeds = sorted(seed for s, row, seed in scored if (s, row) == (strength, name))
            if not seeds:
                continue
            mean = [np.mean([scored[strength, name, s][f"{p}_mae"] for s in seeds]) for p in ("valid", "test")]
            shared = [s for s in seeds if (strength, STACK, s) in scored]
            less = np.array([
                [scored[strength, name, s]["test_mae"] - scored[strength, floor, s]["test_mae"] for s in shared]
                for floor in (TEXT, STACK)
            ])  # fmt: skip
            shown = [f"{np.mean(each):+.3f}" for each in less] if shared else ["", ""]
            below = str(int((less < 0).all(axis=0).sum())) if shared and name not in (SOUND, STACK, TEXT) else ""
            rows.append([f"{strength:g}", name, str(len(seeds)), *(f"{m:.3f}" for m in mean), *shown, below])
    return text_table(rows)


if __name__ == "__main__":
    main()

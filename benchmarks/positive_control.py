"""Fusion heads on sentiment with made signals of known information: who uses a sound that speaks?

Texts are CMU-MOSI's, with their official splits and a frozen encoder (see `fusion.py`). Sound and picture are made from
the label, so what they tell is known. In `interacting` the label itself is the sentiment times a sign that only the
sound tells. Each seed draws other signals and other weights. Nothing is chosen on test.

    feat import mosi ../shared/data/mosi -o FOLDER/mosi
    feat extract -o FOLDER/mosi -x bert.minilm-ids
    python benchmarks/positive_control.py FOLDER [--seeds 1111 1112 1113] [--seconds 400]

Results are kept in FOLDER/control.jsonl, so a stopped run can be continued; the table shows all that are there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fusion import ROWS, VARIANTS, Corpus, Row, encoded, head_predictions, linear_predictions, record, recorded

from featzoo.cache.store import FeatureStore
from featzoo.sequence import Array
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.runs.linear_floor import stack_of

STRENGTHS = (0.3, 0.6, 0.9)
SIGNALS = ("sound", "both", "interacting", "order", "missing")
WIDTH, STEPS = 16, 8
TRAINING = {
    "epochs": 15, "batch_size": 64, "patience": 5, "schedule": "linear", "warmup": 0.1, "optimizer": "adamw",
    "weight_decay": 0.01, "clip": 1.0,
}  # fmt: skip
TABLE = {"text alone": Row("lf-dnn", read=("text",)), **ROWS}
STACK = "linear stack of text alone and sound"
FLOORS = ("constant", "ridge, text length", "ridge, text", "linear stack", STACK)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1111, 1112, 1113])
    parser.add_argument("--signals", nargs="+", default=SIGNALS)
    parser.add_argument("--strengths", type=float, nargs="+", default=STRENGTHS)
    parser.add_argument("--rows", nargs="+", default=list(TABLE))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no training after this time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, path = time.perf_counter(), options.folder / "control.jsonl"
    done = {(each["signal"], each["strength"], each["seed"], each["row"]) for each in recorded(path)}
    base = mosi(options.folder)
    for seed in options.seeds:
        for signal in options.signals:
            for strength in options.strengths:
                corpus, parts = made(base, signal, strength, seed)
                key = (signal, strength, seed)
                for name in [name for name in ("floors", *options.rows) if (*key, name) not in done]:
                    if time.perf_counter() - started > options.seconds:
                        print(table(recorded(path)))
                        return
                    run(path, corpus, parts, key, name)
    print(table(recorded(path)))


def run(path: Path, corpus: Corpus, parts: dict[str, Array], key: tuple[str, float, int], name: str) -> None:
    """Record a head's scores on a cell, or those of the floors."""
    signal, strength, seed = key
    place = {"signal": signal, "strength": strength, "seed": seed}
    began = time.perf_counter()
    if name == "floors":
        roles = [role for role in ("audio", "vision") if role in corpus.features]
        for floor, found in linear_predictions(corpus, parts, roles).items():
            record(path, {**place, "row": floor, **scores(found, corpus, parts)})
        record(path, {**place, "row": name})
        return
    found = head_predictions(corpus, {**TABLE, **VARIANTS}[name], parts, seed, TRAINING)
    seconds = round(time.perf_counter() - began, 1)
    if name == "text alone":
        record(path, {**place, "row": STACK, **scores(stack(corpus, parts, found), corpus, parts)})
    record(path, {**place, "row": name, **scores(found, corpus, parts), "seconds": seconds})


def stack(corpus: Corpus, parts: dict[str, Array], text: dict[str, Array]) -> dict[str, Array]:
    """The linear stack, fitted on dev, of a head on the text alone and of ridge on the sound and on the picture."""
    roles = [role for role in ("audio", "vision") if role in corpus.features]
    ridge = linear_predictions(corpus, parts, roles)
    single = [text, *(ridge[f"ridge, {role}"] for role in roles)]
    truth, dev = corpus.targets[parts["valid"]], [each["valid"] for each in single]
    return {part: stack_of(dev, truth, [each[part] for each in single]) for part in ("valid", "test")}


def scores(found: dict[str, Array], corpus: Corpus, parts: dict[str, Array]) -> dict[str, float]:
    out = {}
    for part, predicted in found.items():
        truth = corpus.targets[parts[part]]
        out[f"{part}_mae"] = float(np.abs(predicted - truth).mean())
        out[f"{part}_r"] = float(np.corrcoef(predicted, truth)[0, 1]) if predicted.std() else 0.0
    return out


def mosi(folder: Path) -> Corpus:
    """CMU-MOSI's clips with a sentiment; groups are the official splits."""
    store = folder / "mosi"
    clips = FeatureStore(store).clips()
    ids = tuple(sorted(i for i, clip in clips.items() if clip.split and "sentiment" in clip.labels))
    before, text, tokens = encoded(store, "bert.minilm-ids", folder / "control", ids)
    targets = np.array([clips[i].labels["sentiment"] for i in ids])
    groups = tuple(clips[i].split for i in ids)
    return Corpus(ids, targets, groups, before, text, {}, folder / "control" / "encoder", tokens)


def made(base: Corpus, signal: str, strength: float, seed: int) -> tuple[Corpus, dict[str, Array]]:
    """The corpus with signals, and its splits.

    Args:
        base: Texts and labels.
        signal: `sound`: a vector; `both`: a sound and a picture, each with other noise; `interacting`: the sound gives
            the sign by which the label is the sentiment; `order`: the sound's change over time tells it, its mean
            nothing; `missing`: the sound, absent from half of the clips.
        strength: Correlation of the best linear reading of a signal with what it tells.
        seed: Seed of the signals.
    """
    rng = np.random.default_rng([seed, SIGNALS.index(signal), round(100 * strength)])
    parts = {name: np.flatnonzero([group == name for group in base.groups]) for name in ("train", "valid", "test")}
    told, targets = base.targets / base.targets.std(), base.targets
    if signal == "interacting":
        told = rng.choice([-1.0, 1.0], size=len(told))
        targets = targets * told
    audio: list[Array | None] = list(signals(told, strength, rng, STEPS if signal == "order" else 1))
    if signal == "missing":
        audio = [None if lost else each for each, lost in zip(audio, rng.random(len(audio)) < 0.5, strict=True)]
    features: dict[str, Sequence[Array | None]] = {"audio": audio}
    if signal == "both":
        features["vision"] = list(signals(told, strength, rng, 1))
    return replace(base, targets=targets, features=features), parts


def signals(told: Array, strength: float, rng: np.random.Generator, steps: int) -> Array:
    """(N, steps, WIDTH) noise, of which one direction tells a value: by its mean or, of several steps, by its slope."""
    value = strength * told + np.sqrt(1 - strength**2) * rng.normal(size=len(told))  # (N,)
    direction = rng.normal(size=WIDTH)
    direction /= np.linalg.norm(direction)
    noise = rng.normal(size=(len(told), steps, WIDTH))
    noise -= noise @ np.outer(direction, direction)
    shape = np.linspace(-1, 1, steps) * np.sqrt(3) if steps > 1 else np.ones(1)
    return np.float32(noise + value[:, None, None] * shape[:, None] * direction)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Test MAE, mean over seeds: a row for each head, a column for each signal and strength."""
    cells = sorted({(SIGNALS.index(each["signal"]), each["strength"]) for each in results})
    known = {each["row"] for each in results if "test_mae" in each}
    order = [*FLOORS, *sorted(known - {*FLOORS, *TABLE, *VARIANTS}), *TABLE, *VARIANTS]
    rows = [["test MAE", *(f"{SIGNALS[signal]} {strength:g}" for signal, strength in cells), "seeds", "dev"]]
    for name in (name for name in order if name in known):
        line, seeds, dev = [name], set(), []
        for signal, strength in cells:
            held = [
                each for each in results
                if (each["row"], each["signal"], each["strength"]) == (name, SIGNALS[signal], strength)
            ]  # fmt: skip
            line.append(f"{np.mean([each['test_mae'] for each in held]):.3f}" if held else "-")
            seeds.add(len(held))
            dev += [each["valid_mae"] for each in held]
        rows.append([*line, "-".join(map(str, sorted({min(seeds), max(seeds)}))), f"{np.mean(dev):.3f}"])
    return text_table(rows)


if __name__ == "__main__":
    main()

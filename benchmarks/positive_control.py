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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fusion import ROWS, VARIANTS, Corpus, Row, encoded, head_predictions, linear_predictions, record, recorded, width

from featzoo.cache.store import FeatureStore
from featzoo.sequence import Array
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.runs.linear_floor import fitted, rotated, stack_of

STRENGTHS = (0.3, 0.6, 0.9)
SIGNALS = ("sound", "both", "interacting", "order", "missing")
WIDTH, STEPS = 16, 8
TRAINING = {
    "epochs": 15, "batch_size": 64, "patience": 5, "schedule": "linear", "warmup": 0.1, "optimizer": "adamw",
    "weight_decay": 0.01, "clip": 1.0,
}  # fmt: skip
TABLE = {"text alone": Row("lf-dnn", read=("text",)), **ROWS}
STACK = "linear stack of text alone and sound"
PRODUCTS = "ridge, text times sound"
KNOWN = "stack or products with the signal's true direction"  # which no head is told: there is little more to gain
FLOORS = ("constant", "ridge, text length", "ridge, text", "linear stack", PRODUCTS, STACK, KNOWN)
COMPONENTS = 50  # of the text, in its products with the sound


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
    roles = [role for role in ("audio", "vision") if role in corpus.features]
    began = time.perf_counter()
    if name == "floors":
        for floor, found in linear_predictions(corpus, parts, roles).items():
            record(path, {**place, "row": floor, **scores(found, corpus, parts)})
        record(path, {**place, "row": PRODUCTS, **scores(products(corpus, parts), corpus, parts)})
        record(path, {**place, "row": name})
        return
    found = head_predictions(corpus, {**TABLE, **VARIANTS}[name], parts, seed, TRAINING)
    seconds = round(time.perf_counter() - began, 1)
    if name == "text alone":
        told = [f"{role}, told" for role in roles]
        record(path, {**place, "row": STACK, **scores(stack(corpus, parts, found, roles), corpus, parts)})
        best = products(corpus, parts, told[0]) if signal == "interacting" else stack(corpus, parts, found, told)
        record(path, {**place, "row": KNOWN, **scores(best, corpus, parts)})
    record(path, {**place, "row": name, **scores(found, corpus, parts), "seconds": seconds})


def stack(corpus: Corpus, parts: dict[str, Array], text: dict[str, Array], roles: Sequence[str]) -> dict[str, Array]:
    """The linear stack, fitted on dev, of a head on the text alone and of ridge on each of the roles."""
    ridge = linear_predictions(corpus, parts, roles)
    single = [text, *(ridge[f"ridge, {role}"] for role in roles)]
    truth, dev = corpus.targets[parts["valid"]], [each["valid"] for each in single]
    return {part: stack_of(dev, truth, [each[part] for each in single]) for part in ("valid", "test")}


def products(corpus: Corpus, parts: dict[str, Array], role: str = "audio") -> dict[str, Array]:
    """Ridge on the sound's mean, the text's first components, and each component times each column of the sound."""
    fit = parts["train"]
    words = rotated(corpus.text[fit]).of(corpus.text)[:, :COMPONENTS]  # (N, C)
    sound = np.zeros((len(words), width(corpus.features[role])))  # 0 where it is missing
    for row, steps in enumerate(corpus.features[role]):
        if steps is not None:
            sound[row] = steps.mean(axis=0)
    both = np.einsum("nc,nd->ncd", words, sound).reshape(len(words), -1)
    columns = np.concatenate([words, sound, both], axis=1)
    found = fitted(
        "numbers", 1, {p: columns[rows] for p, rows in parts.items()},
        {p: corpus.targets[rows][:, None] for p, rows in parts.items()},
    )  # fmt: skip
    return {part: predicted[:, 0] for part, predicted in found.items()}


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
    features = signals("audio", told, strength, rng, STEPS if signal == "order" else 1)
    if signal == "missing":
        lost = rng.random(len(told)) < 0.5
        features = {
            role: [None if gone else each for each, gone in zip(arrays, lost, strict=True)]
            for role, arrays in features.items()
        }
    if signal == "both":
        features |= signals("vision", told, strength, rng, 1)
    return replace(base, targets=targets, features=features), parts


def signals(
    role: str, told: Array, strength: float, rng: np.random.Generator, steps: int
) -> dict[str, Sequence[Array | None]]:
    """The role: (N, steps, WIDTH) noise, of which one direction tells a value: by its mean or, of several steps, slope.

    And `<role>, told`: (N, 1, 1), this value.
    """
    value = strength * told + np.sqrt(1 - strength**2) * rng.normal(size=len(told))  # (N,)
    direction = rng.normal(size=WIDTH)
    direction /= np.linalg.norm(direction)
    noise = rng.normal(size=(len(told), steps, WIDTH))
    noise -= noise @ np.outer(direction, direction)
    shape = np.linspace(-1, 1, steps) * np.sqrt(3) if steps > 1 else np.ones(1)
    made = (noise + value[:, None, None] * shape[:, None] * direction).astype(np.float32)
    return {role: list(made), f"{role}, told": list(value[:, None, None])}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Test MAE, mean over seeds: a row for each head, a column for each signal and strength.

    And of each head its MAE less the lower one of the text alone and of its linear stack with the signals; `*` if it is
    below both in every seed.
    """
    scored = {(e["row"], e["signal"], e["strength"], e["seed"]): e for e in results if "test_mae" in e}
    cells = sorted({key[1:3] for key in scored}, key=lambda cell: (SIGNALS.index(cell[0]), cell[1]))
    known = {key[0] for key in scored}
    order = [*FLOORS, *sorted(known - {*FLOORS, *TABLE, *VARIANTS}), *TABLE, *VARIANTS]
    means = [["test MAE", *(f"{signal} {strength:g}" for signal, strength in cells), "seeds", "dev"]]
    gains = [["less the better floor", *means[0][1:-2]]]
    for name in (name for name in order if name in known):
        held = {cell: {k[3]: e for k, e in scored.items() if k[:3] == (name, *cell)} for cell in cells}
        counts = sorted({len(seeds) for seeds in held.values()})
        dev = np.mean([each["valid_mae"] for seeds in held.values() for each in seeds.values()])
        shown = [f"{np.mean([e['test_mae'] for e in seeds.values()]):.3f}" if seeds else "-" for seeds in held.values()]
        means.append([name, *shown, "-".join(map(str, sorted({counts[0], counts[-1]}))), f"{dev:.3f}"])
        if name in (*TABLE, *VARIANTS) and name != "text alone":
            gains.append([name, *(gain(scored, name, cell, list(seeds)) for cell, seeds in held.items())])
    return f"{text_table(means)}\n\n{text_table(gains)}"


def gain(scored: Mapping[tuple[Any, ...], dict[str, Any]], name: str, cell: tuple[Any, ...], seeds: list[int]) -> str:
    """The mean over seeds of a head's MAE less the better floor's."""
    floors = ("text alone", STACK)
    seeds = [seed for seed in seeds if all((floor, *cell, seed) in scored for floor in floors)]
    if not seeds:
        return "-"
    less = [
        scored[name, *cell, seed]["test_mae"] - min(scored[floor, *cell, seed]["test_mae"] for floor in floors)
        for seed in seeds
    ]
    return f"{np.mean(less):+.3f}{'*' if max(less) < 0 else ''}"


if __name__ == "__main__":
    main()

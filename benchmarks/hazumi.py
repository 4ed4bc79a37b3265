"""Hazumi1911: sentiment from text, sound and face, leave one participant out; with and without personality.

Texts are read by a frozen multilingual encoder (see `fusion.py`). Of the other participants, three are dev, which
chooses the epoch; ridge regression chooses its penalty by five inner folds over participants and is fitted again to all
of them. No setting is chosen on the participant who is held out.

    feat import hazumi ../shared/data/hazumi1911 -o FOLDER/hazumi
    feat extract -o FOLDER/hazumi -x 'bert.multilingual-ids[model=multilingual-e5-small]'
    python benchmarks/hazumi.py FOLDER [--seeds 1111] [--seconds 400]

Results are kept in FOLDER/hazumi.jsonl, so a stopped run can be continued; the table shows all that are there.
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
from fusion import ROWS, Corpus, Row, encoded, head_predictions, interval, record, recorded, refitted_ridge

from featzoo.cache.store import FeatureStore
from featzoo.sequence import Array
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.runs.linear_floor import stack_of

MIDDLE = 4.0  # of the scale from 1 to 7; heads that need labels around 0 get them less this
DEV = 3  # participants
TRAINING = {
    "epochs": 15, "batch_size": 64, "patience": 5, "schedule": "linear", "warmup": 0.1, "optimizer": "adamw",
    "weight_decay": 0.01, "clip": 1.0,
}  # fmt: skip
SETS = {
    "audio": "hazumi-is09",
    "vision": "hazumi-openface",
    "motion": "hazumi-motion",
    "physiology": "hazumi-physiology",
}
PSA_MF = ROWS["PSA-MF"]
PERSONALITY = {
    "PSA-MF, without personality": PSA_MF._replace(personality=""),
    "PSA-MF, the text's vector": PSA_MF,
    "PSA-MF, true Big Five": PSA_MF._replace(personality="personality"),
}
TEXT = "text alone"
TABLE = {
    TEXT: Row("lf-dnn", read=("text",)),
    **{name: row for name, row in ROWS.items() if name != "PSA-MF"},
    **PERSONALITY,
}
FLOORS = ("constant", *(f"ridge, {name}" for name in ("text length", "text", *SETS, "together")), "linear stack")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1111])
    parser.add_argument("--rows", nargs="+", default=list(TABLE))
    parser.add_argument(
        "--ids", default="bert.multilingual-ids[model=multilingual-e5-small]", help="the token ids' set"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no training after this time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, path = time.perf_counter(), options.folder / "hazumi.jsonl"
    done = {(each["row"], each["seed"], each["person"]) for each in recorded(path)}
    corpus = hazumi(options.folder, options.ids)
    people = sorted(set(corpus.groups))
    for seed in options.seeds:
        for name in ("floors", *options.rows):
            for person in people:
                if (name, 0 if name == "floors" else seed, person) in done:
                    continue
                if time.perf_counter() - started > options.seconds:
                    print(table(recorded(path), corpus))
                    return
                if name == "floors":
                    floors(path, corpus, person)
                else:
                    parts = split(corpus, person, seed)
                    found = head_predictions(corpus, TABLE[name], parts, seed, TRAINING)
                    keep(path, name, seed, person, found["test"], corpus, parts, found["valid"])
    print(table(recorded(path), corpus))


def hazumi(folder: Path, ids_of: str) -> Corpus:
    store = FeatureStore(folder / "hazumi")
    clips = store.clips()
    ids = tuple(sorted(i for i, clip in clips.items() if "sentiment" in clip.labels))
    before, text, tokens = encoded(folder / "hazumi", ids_of, folder / "texts", ids)
    features: dict[str, Sequence[Array | None]] = {
        role: [store[name][i].features for i in ids] for role, name in SETS.items()
    }
    own, others = store["hazumi-big-five"], store["hazumi-big-five-by-others"]
    features["personality"] = [np.concatenate([own[i].features, others[i].features], axis=1) for i in ids]
    targets = np.array([clips[i].labels["sentiment"] for i in ids]) - MIDDLE
    people = tuple(clips[i].categories["speaker"] for i in ids)
    return Corpus(ids, targets, people, before, text, features, folder / "texts" / "encoder", tokens)


def split(corpus: Corpus, person: str, seed: int) -> dict[str, Array]:
    """Test is a participant, dev three others, drawn by the seed."""
    groups = np.array(corpus.groups)
    others = sorted(set(corpus.groups) - {person})
    drawn = np.random.default_rng([seed, int.from_bytes(person.encode(), "big") % 2**32]).permutation(len(others))
    dev = {others[i] for i in drawn[:DEV]}
    held = np.isin(groups, sorted(dev))
    parts = {"train": ~held & (groups != person), "valid": held, "test": groups == person}
    return {name: np.flatnonzero(chosen) for name, chosen in parts.items()}


def floors(path: Path, corpus: Corpus, person: str) -> None:
    """Ridge of each input and of text, sound and face together, and the linear stack of these three."""
    groups = np.array(corpus.groups)
    fit, test = np.flatnonzero(groups != person), np.flatnonzero(groups == person)
    columns = {"text length": np.stack([corpus.tokens, np.log1p(corpus.tokens)], axis=1), "text": corpus.text}
    columns |= {role: np.concatenate([np.asarray(a) for a in corpus.features[role] if a is not None]) for role in SETS}
    columns["together"] = np.concatenate([columns[name] for name in ("text", "audio", "vision")], axis=1)
    parts, inner, outer = {"test": test}, {}, {}
    for name, x in columns.items():
        outer[name], inner[name] = refitted_ridge(np.float64(x), corpus.targets, corpus.groups, fit, test)
        keep(path, f"ridge, {name}", 0, person, outer[name], corpus, parts)
    three = ("text", "audio", "vision")
    stacked = stack_of([inner[name] for name in three], corpus.targets[fit], [outer[name] for name in three])
    keep(path, "linear stack", 0, person, stacked, corpus, parts)
    keep(path, "constant", 0, person, np.full(len(test), corpus.targets[fit].mean()), corpus, parts)
    record(path, {"row": "floors", "seed": 0, "person": person})


def keep(
    path: Path, name: str, seed: int, person: str, pred: Array, corpus: Corpus, parts: dict[str, Array],
    dev: Array | None = None,
) -> None:  # fmt: skip
    result: dict[str, Any] = {"row": name, "seed": seed, "person": person, "pred": [round(float(p), 4) for p in pred]}
    if dev is not None:
        result["dev_mae"] = float(np.abs(dev - corpus.targets[parts["valid"]]).mean())
    record(path, result)


def table(results: Sequence[dict[str, Any]], corpus: Corpus) -> str:
    """For each row r and MAE over all exchanges, as means over seeds, and those of the seeds' mean prediction.

    The interval is that of the MAE of the seeds' mean prediction less that of the text alone, both of the seeds that
    have been run of both, over participants.
    """
    people = sorted(set(corpus.groups))
    truth = [corpus.targets[np.array(corpus.groups) == person] for person in people]
    found: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(dict)
    for each in results:
        if "pred" in each:
            found[each["row"], each["seed"]][each["person"]] = each["pred"]
    whole = {key: np.concatenate([each[p] for p in people]) for key, each in found.items() if len(each) == len(people)}
    runs = {row: {seed: pred for (name, seed), pred in whole.items() if name == row} for row in (*FLOORS, *TABLE)}
    runs = {row: held for row, held in runs.items() if held}
    rows = [["leave one participant out", "r", "MAE", "r within", "seeds", "r, seeds averaged", "MAE, seeds averaged"]]
    rows[0] += ["less text alone", "95 %"]
    without = next(iter(PERSONALITY))
    for name, held in runs.items():
        cells = [np.mean([score(run, np.concatenate(truth)) for run in held.values()], axis=0)]
        cells.append(score(np.mean(list(held.values()), axis=0), np.concatenate(truth)))
        inside = np.mean([within(run, truth) for run in held.values()])
        shown = [f"{value:.3f}" for value in (*cells[0], inside)]
        less = against(held, runs[TEXT], truth) if TEXT in runs and name != TEXT else ("", "")
        rows.append([name, *shown, str(len(held)), *(f"{value:.3f}" for value in cells[1]), *less])
    pairs = [["", f"MAE less that of {without}", "95 %"]]
    pairs += [[name, *against(runs[name], runs[without], truth)]
              for name in PERSONALITY if name != without and {name, without} <= runs.keys()]  # fmt: skip
    return text_table(rows) + "\n\n" + text_table(pairs)


def against(run: Mapping[int, Array], base: Mapping[int, Array], truth: Sequence[Array]) -> tuple[str, str]:
    """Difference of two rows' MAE, each of its shared seeds' mean prediction, and its 95 % bootstrap over participants.

    A floor has one run, of seed 0, beside which stand all seeds of the other.
    """
    shared = [run, base]
    if 0 not in (*run, *base):
        shared = [{seed: each[seed] for seed in run.keys() & base.keys()} for each in shared]
    if not shared[0]:
        return "", ""
    errors = [np.abs(np.mean(list(each.values()), axis=0) - np.concatenate(truth)) for each in shared]
    gaps = errors[0] - errors[1]
    low, high = interval(gaps, [f"{i:03}" for i, part in enumerate(truth) for _ in part])
    return f"{gaps.mean():+.3f}", f"{low:+.3f} to {high:+.3f}"


def score(pred: Array, truth: Array) -> tuple[float, float]:
    r = float(np.corrcoef(pred, truth)[0, 1]) if pred.std() else 0.0
    return r, float(np.abs(pred - truth).mean())


def within(pred: Array, truth: Sequence[Array]) -> float:
    """Mean over participants of r inside a participant's exchanges."""
    edges = np.cumsum([len(t) for t in truth])[:-1]
    return float(np.mean([score(p, t)[0] for p, t in zip(np.split(pred, edges), truth, strict=True)]))


if __name__ == "__main__":
    main()

"""Emotion classes on real corpora: unseen speakers beside random folds, sound and text, with intervals over speakers.

Stores with features and labels are made first, see docs/reference/results-emotion.md. Finished trainings are kept in
FOLDER/runs, so a stopped run can be continued; a corpus whose store is not in FOLDER is left out.

    python benchmarks/emotion.py FOLDER [--only emodb] [-j 2]
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import featzoo.cli  # noqa: F401  (sets what the command sets, before torch is imported)
from featzoo.cache.store import FeatureStore
from featzoo.media.clip import Clip
from featzoo.zoo.metrics.tables import number, text_table
from featzoo.zoo.runs.folder import METRICS, RunFolder
from featzoo.zoo.runs.folds import train_folds
from featzoo.zoo.runs.run import train_recipe

EGEMAPS, COMPARE = "egemaps.functionals", "egemaps[level=functionals,feature_set=ComParE_2016]"
LEVELS = "egemaps[level=lld,feature_set=eGeMAPSv02]"  # low-level descriptors, every 10 ms
SPEAKERS = {"split.by": "speaker", "split.folds": "leave-one-out"}
ACTORS = {"split.by": "speaker", "split.folds": 6, "split.shuffle": False}
RANDOM = {"split.by": "clip", "split.folds": 10}
FOUR = {"target.columns": ["emotion4"]}
# Pooled means; few penalties, because ten thousand clips take seconds for each.
MEAN = {"options.pooling": "mean"}
TEXT = {
    "linear": {**MEAN, "options.penalties": [0.001, 0.01, 0.1], "options.folds": 3},
    "mlp": {**MEAN, "training.epochs": 30, "training.patience": 5, "training.batch_size": 64},
}
SESSIONS = {"split.by": "session", "split.folds": "leave-one-out"}


class Row(NamedTuple):
    """A head on one input, in a protocol."""

    corpus: str
    head: str
    role: str
    features: str
    protocol: dict[str, Any]
    changes: dict[str, Any]

    @property
    def name(self) -> str:
        by = self.protocol.get("split.by", "published")
        parts = (self.head, self.features.partition("[")[0], "compare" if self.features == COMPARE else "", by)
        return "-".join(part for part in parts if part)


def rows() -> list[Row]:
    emodb = [Row("emodb", "svm", "audio", f, p, {}) for f in (EGEMAPS, COMPARE) for p in (SPEAKERS, RANDOM)]
    kinds = [("svm", EGEMAPS), ("svm", LEVELS), ("svm", COMPARE), ("mlp", EGEMAPS), ("attention-pool", LEVELS)]
    ravdess = [Row("ravdess", head, "audio", f, p, {}) for head, f in kinds for p in (ACTORS, RANDOM)]
    meld = [Row("meld", head, "text", "bert.minilm", {}, each) for head, each in TEXT.items()]
    iemocap = [Row("iemocap", head, "text", "bert.minilm", SESSIONS, FOUR | each) for head, each in TEXT.items()]
    return [*emodb, *ravdess, *meld, *iemocap]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a corpus, or corpus/head")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    options = parser.parse_args()
    table = [
        ["corpus", "head", "features", "split by", "clips", "UAR", "95 % interval", "over", "accuracy", "weighted F1"]
    ]
    for row in rows():
        store = options.folder / row.corpus
        if not f"{row.corpus}/{row.head}/".startswith(options.only) or not store.is_dir():
            continue
        table.append(line(row, store, options.folder / "runs" / row.corpus, options.jobs))
        print("  ".join(table[-1]), flush=True)
    if (options.folder / "meld").is_dir() and "meld".startswith(options.only or "meld"):
        table += plain_text_rows(options.folder / "meld")
    print(text_table(table))


def line(row: Row, store: Path, runs: Path, jobs: int) -> list[str]:
    """A row's results as text."""
    changes = {**row.protocol, **row.changes, f"inputs.{row.role}.features": [row.features]}
    if row.role != "audio":
        changes |= {"inputs.audio.features": [], f"inputs.{row.role}.max_steps": 128}
    by = row.protocol.get("split.by", "published")
    if row.protocol:
        found = train_folds(row.head, store, runs / row.name, changes, "cpu", jobs)
        metrics, (low, high), units, clips = found.metrics, found.intervals["uar"], str(found.units), sum(found.clips)
    else:
        path = runs / row.name
        if not (path / METRICS).is_file():
            train_recipe(row.head, store, runs, changes, "cpu", row.name)
        run = RunFolder.open_finished(path)
        metrics, low, high, units = run.metrics["test"], np.nan, np.nan, "-"
        clips = len(run.predictions("test").ids)
    span = f"{number(low)} to {number(high)}"
    scores = [number(metrics[key]) for key in ("acc", "f1_weighted")]
    return [row.corpus, row.head, row.features, by, str(clips), number(metrics["uar"]), span, units, *scores]


def plain_text_rows(store: Path) -> list[list[str]]:
    """MELD: the largest class, and TF-IDF with logistic regression whose penalty dev chooses."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    clips = FeatureStore(store).clips().values()
    by_split: dict[str, list[Clip]] = {
        split: [clip for clip in clips if clip.split == split and clip.categories.get("emotion")]
        for split in ("train", "valid", "test")
    }
    texts = {split: [clip.text for clip in held] for split, held in by_split.items()}
    truth = {split: [clip.categories["emotion"] for clip in held] for split, held in by_split.items()}
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(texts["train"])
    found = {split: words.transform(each) for split, each in texts.items()}
    models = [
        LogisticRegression(C=c, class_weight="balanced", max_iter=500).fit(found["train"], truth["train"])
        for c in (0.1, 1.0, 10.0)
    ]
    best = max(models, key=lambda model: f1_score(truth["valid"], model.predict(found["valid"]), average="weighted"))
    largest = Counter(truth["train"]).most_common(1)[0][0]
    lines = []
    for name, pred in (
        ("largest class", [largest] * len(truth["test"])),
        ("TF-IDF, logistic", best.predict(found["test"])),
    ):
        scores = (
            recall_score(truth["test"], pred, average="macro", zero_division=0),
            accuracy_score(truth["test"], pred),
            f1_score(truth["test"], pred, average="weighted", zero_division=0),
        )
        shown = [number(score) for score in scores]
        lines.append(["meld", name, "words", "published", str(len(pred)), shown[0], "-", "-", *shown[1:]])
    return lines


if __name__ == "__main__":
    main()

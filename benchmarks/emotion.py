"""Emotion classes on real corpora: unseen speakers beside random folds, sound and text, with intervals over speakers.

Stores with features and labels are made first, see docs/reference/results-emotion.md. Finished trainings are kept in
FOLDER/runs, so a stopped run can be continued; a corpus or feature set that is not in FOLDER is left out.

    python benchmarks/emotion.py FOLDER [--only emodb] [-j 2]
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, recall_score

import featzoo.cli  # noqa: F401  (sets what the command sets, before torch is imported)
from featzoo.cache.store import FeatureStore
from featzoo.media.clip import Clip
from featzoo.zoo.metrics.tables import number, text_table
from featzoo.zoo.runs.folder import METRICS, RunFolder
from featzoo.zoo.runs.folds import train_folds
from featzoo.zoo.runs.run import train_recipe

EGEMAPS, COMPARE = "egemaps.functionals", "egemaps[level=functionals,feature_set=ComParE_2016]"
LEVELS = "egemaps[level=lld,feature_set=eGeMAPSv02]"  # low-level descriptors, every 10 ms
COVAREP, WHISPER = "covarep", "whisper"
SPEAKERS = {"split.by": "speaker", "split.folds": "leave-one-out"}
ACTORS = {"split.by": "speaker", "split.folds": 6, "split.shuffle": False}
RANDOM = {"split.by": "clip", "split.folds": 10}
PENALTIES = (0.1, 1.0, 10.0)
FOUR = {"target.columns": ["emotion4"]}
# Pooled means; few penalties, because ten thousand clips take seconds for each.
MEAN = {"options.pooling": "mean"}
TEXT = {
    "linear": {**MEAN, "options.penalties": [0.001, 0.01, 0.1], "options.folds": 3},
    "mlp": {**MEAN, "training.epochs": 30, "training.patience": 5, "training.batch_size": 64},
}
SESSIONS = {"split.by": "session", "split.folds": "leave-one-out"}
# svm separates pairs of classes, or each class from the rest.
PAIRS: dict[str, Any] = {}
REST = {"options.multiclass": "rest"}
HEADS = (("svm", REST), ("mlp", {}), ("attention-pool", {}))


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
        kind = "rest" if self.rest else ""
        parts = (self.head, kind, self.features.partition("[")[0], "compare" if self.features == COMPARE else "", by)
        return "-".join(part for part in parts if part)

    @property
    def rest(self) -> bool:
        return self.changes.get("options.multiclass") == "rest"


def rows() -> list[Row]:
    emodb = [Row("emodb", "svm", "audio", f, p, {}) for f in (EGEMAPS, COMPARE) for p in (SPEAKERS, RANDOM)]
    kinds = [(head, each, features) for features in (EGEMAPS, LEVELS, COVAREP, WHISPER) for head, each in HEADS]
    kinds += [("svm", PAIRS, EGEMAPS), ("svm", REST, COMPARE), ("boosting", {}, EGEMAPS)]
    ravdess = [Row("ravdess", head, "audio", f, p, each) for head, each, f in kinds for p in (ACTORS, RANDOM)]
    meld = [Row("meld", head, "text", "bert.minilm", {}, each) for head, each in TEXT.items()]
    iemocap = [Row("iemocap", head, "text", "bert.minilm", SESSIONS, FOUR | each) for head, each in TEXT.items()]
    return [*emodb, *ravdess, *meld, *iemocap]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a corpus, or how corpus/head-features-column begins")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    options = parser.parse_args()
    table = [
        ["corpus", "head", "features", "split by", "clips", "UAR", "95 % interval", "over", "accuracy", "weighted F1"]
    ]
    for row in rows():
        store = options.folder / row.corpus
        if not f"{row.corpus}/{row.name}/".startswith(options.only) or not store.is_dir():
            continue
        if FeatureStore(store).find(row.features) is None:
            continue
        table.append(line(row, store, options.folder / "runs" / row.corpus, options.jobs))
        print("  ".join(table[-1]), flush=True)
    for corpus, rows_of in (("meld", meld_plain_rows), ("iemocap", iemocap_plain_rows)):
        if (options.folder / corpus).is_dir() and corpus.startswith(options.only or corpus):
            table += rows_of(options.folder / corpus)
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
    head = f"{row.head}, each class from the rest" if row.rest else row.head
    return [row.corpus, head, row.features, by, str(clips), number(metrics["uar"]), span, units, *scores]


def meld_plain_rows(store: Path) -> list[list[str]]:
    """MELD: the largest class, and TF-IDF with logistic regression whose penalty dev chooses."""
    clips = [clip for clip in FeatureStore(store).clips().values() if clip.categories.get("emotion")]
    by_split = {split: [clip for clip in clips if clip.split == split] for split in ("train", "valid", "test")}
    truth = {split: [clip.categories["emotion"] for clip in held] for split, held in by_split.items()}
    train, valid, test = (by_split[split] for split in ("train", "valid", "test"))
    c = max(
        PENALTIES, key=lambda c: f1_score(truth["valid"], tfidf(train, truth["train"], valid, c), average="weighted")
    )
    largest = Counter(truth["train"]).most_common(1)[0][0]
    pred = tfidf(train, truth["train"], test, c)
    return [
        plain_row("meld", "largest class", "published", truth["test"], [largest] * len(test)),
        plain_row("meld", "TF-IDF, logistic", "published", truth["test"], pred),
    ]


def iemocap_plain_rows(store: Path) -> list[list[str]]:
    """IEMOCAP, four classes by session: the largest class, and TF-IDF whose penalty the other sessions choose."""
    clips = [clip for clip in FeatureStore(store).clips().values() if clip.categories.get("emotion4")]
    sessions = sorted({clip.categories["session"] for clip in clips})
    truth, largest, pred = [], [], []
    for session in sessions:
        train = [clip for clip in clips if clip.categories["session"] != session]
        test = [clip for clip in clips if clip.categories["session"] == session]
        labels = [clip.categories["emotion4"] for clip in train]
        best = max(PENALTIES, key=lambda c: inner_score(train, c))
        truth += [clip.categories["emotion4"] for clip in test]
        largest += [Counter(labels).most_common(1)[0][0]] * len(test)
        pred += tfidf(train, labels, test, best)
    named = zip(("largest class", "TF-IDF, logistic"), (largest, pred), strict=True)
    return [plain_row("iemocap", name, "session", truth, found) for name, found in named]


def inner_score(clips: Sequence[Clip], c: float) -> float:
    """The UAR of the sessions of train, each predicted from the others."""
    truth, pred = [], []
    for session in sorted({clip.categories["session"] for clip in clips}):
        fit = [clip for clip in clips if clip.categories["session"] != session]
        held = [clip for clip in clips if clip.categories["session"] == session]
        truth += [clip.categories["emotion4"] for clip in held]
        pred += tfidf(fit, [clip.categories["emotion4"] for clip in fit], held, c)
    return float(recall_score(truth, pred, average="macro"))


def tfidf(train: Sequence[Clip], labels: Sequence[str], test: Sequence[Clip], c: float) -> list[str]:
    """Predictions of logistic regression with balanced classes on words and pairs of words."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit([clip.text for clip in train])
    model = LogisticRegression(C=c, class_weight="balanced", max_iter=500)
    model.fit(words.transform([clip.text for clip in train]), labels)
    found: list[str] = model.predict(words.transform([clip.text for clip in test])).tolist()
    return found


def plain_row(corpus: str, name: str, by: str, truth: Sequence[str], pred: Sequence[str]) -> list[str]:
    """A line of the table."""
    scores = [
        recall_score(truth, pred, average="macro", zero_division=0),
        accuracy_score(truth, pred),
        f1_score(truth, pred, average="weighted", zero_division=0),
    ]
    shown = [number(score) for score in scores]
    return [corpus, name, "words", by, str(len(pred)), shown[0], "-", "-", *shown[1:]]


if __name__ == "__main__":
    main()

"""CLAD on real languages: transcripts in English and in Chinese, of CMU-MOSI or IEMOCAP.

CMU-MOSI's label is whether the sentiment is above 0, IEMOCAP's one of four emotions (sessions 1 to 3 train, 5
test).

The encoder's first layers are frozen, and their states computed once; each training tunes the last layers and the head
`clad`, from the mean over the tokens, and keeps the last epoch: nothing is chosen on dev or test. The teacher of a
seed is its training with all English labels. A seed also draws the videos whose Chinese texts keep their labels in the
rows with few labels. Intervals are 95 % bootstraps over the test split's videos (IEMOCAP: dialogues) and over seeds,
paired.

    feat import mosi ../shared/data/mosi -o FOLDER/parallel --languages en,zh
    feat extract -o FOLDER/parallel -x 'bert.multilingual-ids[model=M],bert.multilingual-positions[model=M]'
    python benchmarks/languages.py FOLDER [--seeds 5] [--layers 1] [--seconds 400]

    feat import iemocap ../shared/data/iemocap_text -o FOLDER/iemocap-en --language english
    feat import iemocap ../shared/data/iemocap_text -o FOLDER/iemocap-zh --language chinese
    feat extract, as above, for both
    python benchmarks/languages.py FOLDER --corpus iemocap

M is a multilingual encoder of BERT's architecture, such as multilingual-e5-small. Results are kept in
FOLDER/languages-LAYERS.jsonl or FOLDER/iemocap-LAYERS.jsonl, so a stopped run can be continued; the table shows all
that are there.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from fusion import BATCH, encoded_batches, last_layers, record, recorded
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import balanced_accuracy_score

from featzoo.cache.store import FeatureStore
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.zoo.data.padding import pad
from featzoo.zoo.data.split import Counts, Split, statistics_of
from featzoo.zoo.head import Head, Padded, make_head
from featzoo.zoo.heads.clad.attention_bins import read_text
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.nn.layers import masked_average
from featzoo.zoo.nn.split_encoder import pretrained
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.training.epoch_choice import EpochScore
from featzoo.zoo.training.evaluation import evaluate
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

IDS, POSITIONS = "bert.multilingual-ids", "bert.multilingual-positions"
BINS, MOST_TOKENS = 32, 256
EPOCHS = 3  # at least
RATES = {"main": 1e-3, "encoder": 1e-4}
SHARES = (0.02, 0.05, 0.1)  # of train videos; CMU-MOSI has 52, so one, three and five
BCE = {"bce": 1.0, "attention": 0.0, "representation": 0.0, "logits": 0.0}
CLAD = {"bce": 1.0, "attention": 1.0, "representation": 1.0, "logits": 0.5}


class Row(NamedTuple):
    """The share of each language's train videos that keep their labels, the languages read, and the loss."""

    english: float
    chinese: float
    read: tuple[str, ...]
    weights: Mapping[str, float] = BCE


TERMS = {f"CLAD, {name} alone": {**BCE, name: CLAD[name]} for name in ("attention", "representation", "logits")}
FEW = {
    key: row
    for share in SHARES
    for key, row in {
        f"{share:.0%} of Chinese": Row(0, share, ("zh",)),
        f"{share:.0%} of Chinese, CLAD": Row(0, share, ("zh",), CLAD),
        f"English + {share:.0%} of Chinese, BCE": Row(1, share, ("en", "zh")),
        f"English + {share:.0%} of Chinese, CLAD": Row(1, share, ("en", "zh"), CLAD),
    }.items()
}
TABLE = {
    "English": Row(1, 0, ("en",)),
    **{f"English, {name}": Row(1, 0, ("en", "zh"), weights) for name, weights in {"CLAD": CLAD, **TERMS}.items()},
    **FEW,
    "Chinese": Row(0, 1, ("zh",)),
    "Chinese, CLAD": Row(0, 1, ("zh",), CLAD),
    "English + Chinese, BCE": Row(1, 1, ("en", "zh")),
}
PLAIN = {"English": (1, 0), "Chinese": (0, 1), **{f"{share:.0%} of Chinese": (0, share) for share in SHARES}}


@dataclass(frozen=True)
class Texts:
    """Parallel texts.

    Attributes:
        ids: N ids, `row/language`.
        words: N texts.
        states: N arrays (T, H) before the encoder's last layers.
        means: (N, H) mean of the last states.
        positions: N arrays (T, 1).
        labels: (N,) class numbers.
        splits: N names.
        videos: N names.
        languages: N names.
        upper: Folder of the encoder's last layers.
        steps: Training steps of every row, at least: rows with unlabelled texts read more in an epoch.
    """

    ids: tuple[str, ...]
    words: tuple[str, ...]
    states: Sequence[Array]
    means: Array
    positions: Sequence[Array]
    labels: Array
    splits: Array
    videos: Array
    languages: Array
    upper: Path
    steps: int

    def rows(self, split: str, language: str) -> Array:
        return np.flatnonzero((self.splits == split) & (self.languages == language))

    @property
    def targets(self) -> Array:
        """(N, K): the label itself if there are two classes, otherwise a column of 0 and 1 for each class."""
        classes = int(self.labels.max()) + 1
        return self.labels[:, None] if classes == 2 else np.eye(classes)[self.labels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", choices=CORPORA, default="mosi")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", nargs="+", default=list(TABLE))
    parser.add_argument("--layers", type=int, default=1, help="the encoder's last layers that are tuned")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no training after this time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)  # of scikit-learn, about attributes that are not read here
    started, path = time.perf_counter(), options.folder / f"{CORPORA[options.corpus]}-{options.layers}.jsonl"
    texts = parallel(options.folder, options.corpus, options.layers)
    for seed in range(1111, 1111 + options.seeds):
        done = {(each["row"], each["seed"]) for each in recorded(path)}
        if ("plain", seed) not in done:
            plain(path, texts, seed, {row for row, _ in done})
        kept: dict[int, Array] = {}
        for name in options.rows:
            if (name, seed) in done or time.perf_counter() - started > options.seconds:
                continue
            row, began = TABLE[name], time.perf_counter()
            if row.weights != BCE and not kept:
                kept = teacher(texts, seed)
            head, shares = trained(texts, row, seed, kept if row.weights != BCE else {})
            found = {language: predicted(head, texts, "test", language) for language in ("en", "zh")}
            keep(path, name, seed, found, {"seconds": round(time.perf_counter() - began, 1), "gradient": shares})
    print(table(recorded(path), texts))


class Entry(NamedTuple):
    """A text with its label, split and video."""

    id: str
    clip: Clip
    store: FeatureStore
    label: int
    split: str

    def ids(self) -> Array:
        found: Array = self.store[IDS][self.clip.id].features[:MOST_TOKENS, 0].astype(np.int64)
        return found

    def positions(self) -> Array:
        found: Array = self.store[POSITIONS][self.clip.id].features[:MOST_TOKENS].astype(np.float32)
        return found


def mosi(folder: Path) -> Iterator[Entry]:
    store = FeatureStore(folder / "parallel")
    for name, clip in store.clips().items():
        if clip.split and "positive" in clip.labels:
            yield Entry(name, clip, store, int(clip.labels["positive"]), clip.split)


def iemocap(folder: Path) -> Iterator[Entry]:
    """The utterances with one of four emotions and words in both languages."""
    stores = {language: FeatureStore(folder / f"iemocap-{language}") for language in ("en", "zh")}
    clips = {language: store.clips() for language, store in stores.items()}
    for name in clips["en"]:
        if all(each[name].words and "emotion4" in each[name].categories for each in clips.values()):
            for language, store in stores.items():
                clip = clips[language][name]
                split = SESSIONS.get(clip.categories["session"], "train")
                yield Entry(f"{name}/{language}", clip, store, EMOTIONS.index(clip.categories["emotion4"]), split)


CORPORA = {"mosi": "languages", "iemocap": "iemocap"}  # and the name of their files of results
STEPS = {"mosi": 120, "iemocap": 800}
SESSIONS = {"4": "valid", "5": "test"}
EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def parallel(folder: Path, corpus: str, layers: int) -> Texts:
    """The texts that have a label, with what all but the last layers made of them, kept in FOLDER."""
    entries = sorted({"mosi": mosi, "iemocap": iemocap}[corpus](folder), key=lambda entry: entry.id)
    name = "states" if corpus == "mosi" else f"{corpus}-states"
    kept, upper = folder / f"{name}-{layers}.npz", folder / f"upper-{layers}"
    if not kept.is_file():
        tokens = entries[0].store[IDS]
        model = str(tokens.provenance.get("model", "") or tokens.spec.get("model", ""))
        states, means = encoded([entry.ids() for entry in entries], model, upper, layers)
        np.savez(kept, flat=np.concatenate(states), lengths=np.array([len(each) for each in states]), means=means)
    with np.load(kept) as arrays:
        states = np.split(arrays["flat"], np.cumsum(arrays["lengths"])[:-1])
        means = arrays["means"]
    return Texts(
        tuple(entry.id for entry in entries), tuple(entry.clip.text for entry in entries), states, means,
        [entry.positions() for entry in entries], np.array([entry.label for entry in entries]),
        np.array([entry.split for entry in entries]), np.array([entry.clip.categories["group"] for entry in entries]),
        np.array([entry.id.rpartition("/")[2] for entry in entries]), upper, STEPS[corpus],
    )  # fmt: skip


@torch.no_grad()
def encoded(texts: Sequence[Array], model: str, upper: Path, layers: int) -> tuple[list[Array], Array]:
    """For each text (T,) of ids the states (T, H) before the last layers, and the (N, H) mean of the last states."""
    encoder = pretrained(model).eval()
    last_layers(encoder, upper, layers)
    states: list[Array] = [np.zeros(0)] * len(texts)
    means = np.zeros((len(texts), encoder.width), dtype=np.float32)
    for rows, mask, found in encoded_batches(encoder, texts):
        means[rows] = masked_average(found[-1], mask).numpy()
        for row, state in zip(rows, found[-1 - layers].numpy(), strict=True):
            states[row] = state[: len(texts[row])]
    return states, means


def labelled(texts: Texts, english: float, chinese: float, seed: int) -> Array:
    """The train texts whose labels are used: those of a share of the videos, drawn by the seed."""
    videos = np.unique(texts.videos[texts.splits == "train"])
    order = np.random.default_rng(seed).permutation(videos)
    found = []
    for language, share in (("en", english), ("zh", chinese)):
        rows = texts.rows("train", language)
        found.append(rows[np.isin(texts.videos[rows], order[: round(share * len(videos))])])
    return np.concatenate(found)


def split_of(texts: Texts, rows: Array, kept: Mapping[int, Array], known: Array) -> Split:
    """Rows as a split; `known` have labels, and `kept` are the teacher's outputs for them."""
    inputs: dict[str, list[Array | None]] = {
        "text": [texts.states[i] for i in rows], "positions": [texts.positions[i] for i in rows],
        "teacher": [kept.get(int(i)) for i in rows],
    }  # fmt: skip
    wide = texts.means.shape[1] + texts.targets.shape[1] + BINS
    specs = {
        "text": InputSpec(texts.means.shape[1]), "positions": InputSpec(1, model=str(texts.upper)),
        "teacher": InputSpec(wide, given=bool(kept)),
    }  # fmt: skip
    targets = np.where(np.isin(rows, known)[:, None], texts.targets[rows], np.nan)
    names = tuple(texts.ids[i] for i in rows)
    return Split("", names, inputs, targets, specs, statistics_of(inputs, {}), Counts(len(rows)))


def trained(texts: Texts, row: Row, seed: int, kept: Mapping[int, Array]) -> tuple[Head, Mapping[str, float]]:
    """The head after its last epoch, and each term's share of the gradient in it."""
    known = labelled(texts, row.english, row.chinese, seed)
    rows = np.concatenate([texts.rows("train", language) for language in row.read]) if kept else known
    valid = texts.rows("valid", row.read[0])
    learn, dev = split_of(texts, rows, kept, known), split_of(texts, valid, {}, valid)
    recipe = find_recipe("adam")
    epochs = max(EPOCHS, math.ceil(texts.steps / math.ceil(len(rows) / recipe.training.batch_size)))
    settings = replace(recipe.training, epochs=epochs, learning_rates=RATES, seed=seed)
    seed_everything(seed)
    options = {**recipe.options, "weights": dict(row.weights), "pooling": "mean", "frozen_layers": 0}
    # The head's text is token ids; what it gets are their states after the frozen layers.
    head = make_head(
        recipe.head, options, {**learn.specs, "text": InputSpec(1, True, str(texts.upper))}, texts.targets.shape[1]
    )
    dev = replace(dev, specs=learn.specs)
    result = train(head, learn, dev, settings, accelerator_on("cpu", "fp32"), criterion=_Last())
    return head, {name: round(float(share), 4) for name, share in (result.epochs[-1].gradients or {}).items()}


class _Last:
    """Every epoch is better than the one before it."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, dev: Split, prediction: Array, loss: float) -> EpochScore:
        self.number += 1
        return EpochScore("epoch", float(self.number), (-float(self.number),))


def predicted(head: Head, texts: Texts, split: str, language: str) -> Array:
    """(N, K) probabilities."""
    rows = texts.rows(split, language)
    held = split_of(texts, rows, {}, rows)
    held = replace(held, specs={**held.specs, "teacher": head.specs["teacher"]})
    return evaluate(head, held, 256, torch.device("cpu"), head.stages[-1])[1]


def teacher(texts: Texts, seed: int) -> dict[int, Array]:
    """Row of a train text, English or Chinese, to what the training with all English labels makes of the English text.

    As `clad-teacher` gives it: (1, H + K + BINS) vector, logits and attention.
    """
    head, _ = trained(texts, TABLE["English"], seed, {})
    head.eval()
    other = {texts.ids[i].rpartition("/")[0]: i for i in texts.rows("train", "zh")}
    rows, kept = texts.rows("train", "en"), {}
    for start in range(0, len(rows), BATCH):
        chosen = rows[start : start + BATCH]
        text = Padded(*pad([texts.states[i] for i in chosen], InputSpec(texts.means.shape[1])))
        positions = Padded(*pad([texts.positions[i] for i in chosen], InputSpec(1)))
        with torch.no_grad():
            pooled, shares, covered = read_text(head.text, text, positions, BINS)
            whole = torch.cat([pooled, head.out(pooled), shares.masked_fill(~covered, torch.nan)], dim=1).numpy()
        for i, each in zip(chosen, whole, strict=True):
            kept[int(i)] = kept[int(other[texts.ids[i].rpartition("/")[0]])] = each[None]
    return kept


def plain(path: Path, texts: Texts, seed: int, known_rows: set[str]) -> None:
    """Logistic regression on the frozen encoder's means, and on TF-IDF of the letters, its penalty by inner folds.

    Rows with all labels are the same for every seed, so one is enough.
    """
    for name, (english, chinese) in PLAIN.items():
        if {english, chinese} == {0, 1} and f"{name}, TF-IDF, logistic regression" in known_rows:
            continue
        known = labelled(texts, english, chinese, seed)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), min_df=2, sublinear_tf=True)
        letters.fit([texts.words[i] for i in known])
        columns = {"frozen encoder": texts.means, "TF-IDF": letters.transform(texts.words)}
        for kind, x in columns.items():
            model = LogisticRegressionCV(Cs=np.logspace(-2, 3, 6), cv=5, scoring="balanced_accuracy", max_iter=500)
            model.fit(x[known], texts.labels[known])
            found = {lang: model.predict_proba(x[texts.rows("test", lang)]) for lang in ("en", "zh")}
            if texts.targets.shape[1] == 1:
                found = {lang: each[:, 1:] for lang, each in found.items()}
            keep(path, f"{name}, {kind}, logistic regression", seed, found, {})
    record(path, {"row": "plain", "seed": seed})


def keep(path: Path, name: str, seed: int, found: Mapping[str, Array], more: Mapping[str, Any]) -> None:
    """Record (N, K) probabilities of each language; of two classes, a number a text."""
    shown = {k: (v[:, 0] if v.shape[1] == 1 else v).round(4).tolist() for k, v in found.items()}
    record(path, {"row": name, "seed": seed, **shown, **more})


def classes_of(found: Sequence[Any]) -> Array:
    """(N,) class numbers of recorded probabilities."""
    each = np.array(found)
    classes: Array = (each > 0.5).astype(int) if each.ndim == 1 else each.argmax(axis=1)
    return classes


def table(results: Sequence[dict[str, Any]], texts: Texts) -> str:
    """Balanced accuracy of the test texts, mean over seeds, and its difference to the row with the same labels."""
    runs: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for each in results:
        if "zh" in each:
            runs[each["row"]][each["seed"]] = each
    shares_of = ("attention", "representation", "logits")
    rows = [["labels and loss", "seeds", "English BA", "Chinese BA", "Chinese, less", "", "95 %", *shares_of]]
    order = [*TABLE, *sorted(set(runs) - set(TABLE))]
    for name in (name for name in order if name in runs):
        seeds = sorted(runs[name])
        mean = [f"{np.mean([accuracy(runs[name][s][lang], texts, lang) for s in seeds]):.3f}" for lang in ("en", "zh")]
        other = next((base for base in against(name) if base in runs and base != name), "")
        low_high = interval(runs[name], runs[other], texts) if other else ("", "")
        last = [runs[name][s].get("gradient") or {} for s in seeds]
        shares = [np.mean([each.get(term, 0.0) for each in last]) for term in shares_of]
        rows.append([name, str(len(seeds)), *mean, other, *low_high, *(f"{s:.2f}" if s else "" for s in shares)])
    return text_table(rows)


def against(name: str) -> list[str]:
    """The row that differs by the method alone."""
    base = name.partition(", CLAD")[0]
    return [base if not base.startswith("English + ") else f"{base}, BCE"]


def accuracy(found: Sequence[Any], texts: Texts, language: str) -> float:
    return float(balanced_accuracy_score(texts.labels[texts.rows("test", language)], classes_of(found)))


def interval(run: Mapping[int, Any], base: Mapping[int, Any], texts: Texts, draws: int = 1000) -> tuple[str, str]:
    """Mean difference of Chinese balanced accuracy over shared seeds, and its bootstrap over videos and seeds."""
    seeds, rows = sorted(set(run) & set(base)), texts.rows("test", "zh")
    if not seeds:
        return "", ""
    truth = texts.labels[rows]
    right = np.array([[classes_of(of[s]["zh"]) == truth for s in seeds] for of in (run, base)])  # (2, S, N)
    members = [np.flatnonzero(texts.videos[rows] == video) for video in np.unique(texts.videos[rows])]
    sums = {y: np.array([[right[:, :, m][:, :, truth[m] == y].sum(axis=2)] for m in members])[:, 0] for y in set(truth)}
    sizes = {y: np.array([(truth[m] == y).sum() for m in members]) for y in set(truth)}  # each video's texts of a class

    def difference(videos: Array, drawn: Array) -> float:
        recall = [sums[y][videos].sum(axis=0)[:, drawn].mean(axis=1) / sizes[y][videos].sum() for y in sums]
        return float(np.diff(np.mean(recall, axis=0)[::-1])[0])

    rng = np.random.default_rng(0)
    found = [
        difference(rng.integers(0, len(members), len(members)), rng.integers(0, len(seeds), len(seeds)))
        for _ in range(draws)
    ]
    low, high = np.percentile(found, [2.5, 97.5])
    whole = difference(np.arange(len(members)), np.arange(len(seeds)))
    ahead = sum(difference(np.arange(len(members)), np.array([s])) > 0 for s in range(len(seeds)))
    return f"{whole:+.3f}", f"{low:+.3f} to {high:+.3f}, ahead in {ahead} of {len(seeds)}"


if __name__ == "__main__":
    main()

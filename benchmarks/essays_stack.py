"""Does a frozen encoder add to TF-IDF on Essays? Five-fold cross-validation inside the 1,973 texts, over seeds.

    feat import essays essays_train_validation_1973.csv -o essays
    feat extract -o essays -x 'bert.minilm-ids[windows=overlap]'
    python benchmarks/essays_stack.py --store essays [--seeds 5] [--layers 3] [--set training.epochs=20]

For each trait: logistic regression on TF-IDF of words and pairs of words, on the mean of the tokens' hidden states
(all-MiniLM-L6-v2's first layers, as the recipe `adam-teacher` reads them), and on the log odds of these two, stacked.
Every penalty is chosen, and the stack fitted, by five-fold cross-validation inside the fold's train texts: no text is
scored by anything that it had a part in. `C = 1` is TF-IDF as scikit-learn has it. Then the recipe `adam-teacher`
itself, after its last epoch, and after the epoch that each fold's own texts would choose, which flatters it. A seed
draws the folds, and the recipe's weights. Figures are balanced accuracies of all texts, each predicted once for each
seed; intervals are 95 % bootstraps over texts of the mean over seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import featzoo.cli  # noqa: F401  (sets what the command sets, before torch is imported)
from featzoo.cache.store import FeatureStore
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.split import Split
from featzoo.zoo.head import make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import Recipe, find_recipe
from featzoo.zoo.training.epoch_choice import EpochScore
from featzoo.zoo.training.frozen_features import for_stage
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

TFIDF_PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
ENCODER_PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
FOLDS = 5
WAYS = ("TF-IDF, C = 1", "TF-IDF", "encoder", "stack", "adam-teacher", "its best epochs")
# Pairs of ways whose differences are printed.
PAIRS = ((3, 1), (3, 0), (2, 1), (4, 1), (4, 2), (5, 4))

Seen = list[tuple[float, np.ndarray]]  # of each epoch, balanced accuracy and log odds of the held texts


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="field=value of the recipe adam-teacher")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    changes = {name: json.loads(value) for name, value in (each.split("=", 1) for each in asked.set)}
    layers = {"options.layers": asked.layers, "options.frozen_layers": asked.layers}
    recipe = find_recipe("adam-teacher", layers | changes)
    texts, whole, specs = read(asked.store, recipe)
    vectors = np.concatenate([each for each in whole.features["text"] if each is not None]).astype(np.float64)
    counts = CountVectorizer(ngram_range=(1, 2), min_df=3, dtype=np.float64).fit_transform(texts).tocsr()
    print(f"{len(texts)} texts, {counts.shape[1]} n-grams, {vectors.shape[1]} columns of the encoder", flush=True)
    odds = []  # of each seed: (ways, N, K)
    for seed in range(1111, 1111 + asked.seeds):
        found = cross_validated(counts, vectors, whole.targets, seed)
        odds.append(np.concatenate([found, trained(recipe, whole, specs, seed)]))
        shown = ", ".join(f"{way} {accuracy(o, whole.targets):.4f}" for way, o in zip(WAYS, odds[-1], strict=True))
        print(f"seed {seed}: {shown}", flush=True)
    report(np.stack(odds), whole.targets, recipe.target.columns)


def read(store: Path, recipe: Recipe) -> tuple[list[str], Split, Mapping[str, InputSpec]]:
    """The texts of train and validation; both as one split of the frozen encoder's (1, H) vectors; what it read."""
    opened, device = FeatureStore(store), accelerator_on("cpu", "fp32").device
    seed_everything(1111)
    one = load_split(opened, recipe, "train")
    head = make_head(recipe.head, recipe.options, one.specs, len(recipe.target.columns))
    two = load_split(opened, recipe, "valid", statistics=one.statistics)
    specs = one.specs
    one, two = (for_stage(head, split, "main", 32, device, kept=store / "frozen") for split in (one, two))
    clips = opened.clips()
    whole = dataclasses.replace(
        one,
        ids=one.ids + two.ids,
        features={role: [*arrays, *two.features[role]] for role, arrays in one.features.items()},
        targets=np.concatenate([one.targets, two.targets]),
    )
    return [clips[i].text for i in whole.ids], whole, specs


def trained(recipe: Recipe, whole: Split, specs: Mapping[str, InputSpec], seed: int) -> np.ndarray:
    """(2, N, K) log odds of all texts from heads that have not seen them: of the last epoch, and of the fold's best."""
    accelerator, found = accelerator_on("cpu", "fp32"), np.empty((2, *whole.targets.shape))
    settings = dataclasses.replace(recipe.training, seed=seed)
    for held in parts(len(whole), seed):
        seen: Seen = []

        def criterion(dev: Split, prediction: np.ndarray, loss: float, kept: Seen = seen) -> EpochScore:
            """Keeps each epoch's log odds; what it ranks as best is of no consequence."""
            odds = np.log(prediction / (1 - prediction))
            kept.append((accuracy(odds, dev.targets), odds))
            return EpochScore("BA", kept[-1][0], (loss,))

        seed_everything(seed)
        head = make_head(recipe.head, recipe.options, specs, whole.targets.shape[1])
        rest = np.setdiff1d(np.arange(len(whole)), held)
        train(head, rows(whole, rest), rows(whole, held), settings, accelerator, criterion=criterion)
        found[0, held], found[1, held] = seen[-1][1], max(seen, key=lambda one: one[0])[1]
    return found


def rows(split: Split, numbers: np.ndarray) -> Split:
    """Some clips of a split."""
    return dataclasses.replace(
        split,
        ids=tuple(split.ids[n] for n in numbers),
        features={role: [arrays[n] for n in numbers] for role, arrays in split.features.items()},
        targets=split.targets[numbers],
    )


def cross_validated(counts: csr_matrix, vectors: np.ndarray, targets: np.ndarray, seed: int) -> np.ndarray:
    """(4, N, K) log odds of all texts by the first four ways, from models that have not seen them."""
    found = np.empty((4, *targets.shape))
    for held in parts(len(targets), seed):
        rest = np.setdiff1d(np.arange(len(targets)), held)
        seen, unseen = tfidf(counts, rest, held)
        scale = StandardScaler().fit(vectors[rest])
        known, new = scale.transform(vectors[rest]), scale.transform(vectors[held])
        inner = parts(len(rest), seed)
        for k, truth in enumerate(targets[rest].T):
            found[0, held, k] = logistic(1.0).fit(seen, truth).decision_function(unseen)
            inside = []
            for way, (x, y, penalties) in enumerate(
                ((seen, unseen, TFIDF_PENALTIES), (known, new, ENCODER_PENALTIES)), 1
            ):
                best, own = chosen(x, truth, inner, penalties)
                found[way, held, k] = logistic(best).fit(x, truth).decision_function(y)
                inside.append(own)
            top = LogisticRegression().fit(np.stack(inside, axis=1), truth)
            found[3, held, k] = top.decision_function(found[1:3, held, k].T)
    return found


def parts(count: int, seed: int) -> list[np.ndarray]:
    """The rows of each fold."""
    return np.array_split(np.random.default_rng(seed).permutation(count), FOLDS)


def tfidf(counts: csr_matrix, rest: np.ndarray, held: np.ndarray) -> tuple[csr_matrix, csr_matrix]:
    """Sublinear TF-IDF of the n-grams that at least three texts of `rest` have."""
    kept = np.flatnonzero((counts[rest] > 0).sum(axis=0).A1 >= 3)
    made = TfidfTransformer(sublinear_tf=True).fit(counts[rest][:, kept])
    return made.transform(counts[rest][:, kept]), made.transform(counts[held][:, kept])


def logistic(penalty: float) -> LogisticRegression:
    """Logistic regression; the dual solver is quick for more columns than texts."""
    return LogisticRegression(C=penalty, solver="liblinear", dual=True, max_iter=200)


def chosen(
    x: csr_matrix | np.ndarray, truth: np.ndarray, inner: list[np.ndarray], penalties: tuple[float, ...]
) -> tuple[float, np.ndarray]:
    """The penalty of the lowest cross entropy in cross-validation, and its (N,) log odds there."""
    losses, odds = [], []
    for penalty in penalties:
        own = np.empty(len(truth))
        for held in inner:
            rest = np.setdiff1d(np.arange(len(truth)), held)
            own[held] = logistic(penalty).fit(x[rest], truth[rest]).decision_function(x[held])
        odds.append(own)
        losses.append(np.logaddexp(0.0, -own * (2 * truth - 1)).mean())
    best = int(np.argmin(losses))
    return penalties[best], odds[best]


def accuracy(odds: np.ndarray, targets: np.ndarray) -> float:
    """Mean balanced accuracy over traits."""
    return float(np.mean(each(odds, targets)))


def each(odds: np.ndarray, targets: np.ndarray) -> list[float]:
    """Balanced accuracy of each trait."""
    right = (odds > 0) == (targets > 0.5)
    return [float((r[t > 0.5].mean() + r[t <= 0.5].mean()) / 2) for r, t in zip(right.T, targets.T, strict=True)]


def report(odds: np.ndarray, targets: np.ndarray, columns: tuple[str, ...]) -> None:
    """Print means over seeds and differences with their intervals; `odds` is (seeds, ways, N, K)."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(targets), len(targets)) for _ in range(1000)]
    print(f"{'':<16}" + "".join(f"{c:>20}" for c in columns) + f"{'mean':>10}")
    for way, name in enumerate(WAYS):
        traits = np.mean([each(o[way], targets) for o in odds], axis=0)
        print(f"{name:<16}" + "".join(f"{v:>20.4f}" for v in traits) + f"{traits.mean():>10.4f}")
    for way, other in PAIRS:

        def gap(rows: np.ndarray | slice, one: int = way, two: int = other) -> float:
            pairs = [(accuracy(o[one][rows], targets[rows]), accuracy(o[two][rows], targets[rows])) for o in odds]
            return float(np.mean([a - b for a, b in pairs]))

        low, high = np.percentile([gap(rows) for rows in draws], [2.5, 97.5])
        print(f"{WAYS[way]} - {WAYS[other]}: {gap(slice(None)):+.4f} ({low:+.4f} to {high:+.4f})")


if __name__ == "__main__":
    main()

"""The English teacher cross-validated within the train split of Essays: how much the choice of the epoch flatters.

Each fold in turn chooses the epoch, as the validation split does in `zoo train adam-teacher`; printed are the balanced
accuracies of the chosen epoch and of the last one, which nothing was chosen by. The encoder is frozen, so it reads each
text once for all folds and seeds. Beside them TF-IDF of words and pairs of words with logistic regression.

    python benchmarks/essays_folds.py --store essays [--folds 4] [--seeds 1111] [--set options.layers=6]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

import featzoo.cli  # noqa: F401  (sets what the command sets, before torch is imported)
from featzoo.cache.store import FeatureStore
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.split import Split
from featzoo.zoo.head import make_head
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.training.epoch_choice import criterion_of
from featzoo.zoo.training.frozen_features import for_stage
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1111])
    parser.add_argument("--set", action="append", default=[], help="field=value of the recipe")
    options = parser.parse_args()
    changes = {name: json.loads(value) for name, value in (each.split("=", 1) for each in options.set)}
    recipe = find_recipe("adam-teacher", changes)
    whole = load_split(FeatureStore(options.store), recipe, "train")
    accelerator, columns = accelerator_on("cpu", "fp32"), len(recipe.target.columns)
    folds = np.array_split(np.random.default_rng(0).permutation(len(whole)), options.folds)
    clips = FeatureStore(options.store).clips()
    texts = [clips[i].text for i in whole.ids]
    plain = [n_grams(texts, whole.targets, fold) for fold in folds]
    print(f"TF-IDF + logistic regression: mean {np.mean(plain):.4f} +- {np.std(plain, ddof=1):.4f}", flush=True)
    read = for_stage(
        make_head(recipe.head, recipe.options, whole.specs, columns), whole, "main", 32, accelerator.device
    )  # fmt: skip
    scores = []
    for seed in options.seeds:
        for fold in folds:
            seed_everything(seed)
            head = make_head(recipe.head, recipe.options, whole.specs, columns)
            settings = dataclasses.replace(recipe.training, seed=seed)
            rest = np.setdiff1d(np.arange(len(whole)), fold)
            result = train(
                head,
                rows(read, rest),
                rows(read, fold),
                settings,
                accelerator,
                criterion=criterion_of(recipe.target.metrics),
            )
            scores.append((result.best.score, result.epochs[-1].score))
            print(
                f"seed {seed}: chosen epoch {result.best.epoch} {scores[-1][0]:.4f}, last {scores[-1][1]:.4f}",
                flush=True,
            )
    (chosen, last), spread = np.mean(scores, axis=0), np.std(scores, axis=0, ddof=1)
    print(f"mean over {len(scores)}: chosen {chosen:.4f} +- {spread[0]:.4f}, last {last:.4f} +- {spread[1]:.4f}")


def n_grams(texts: list[str], targets: np.ndarray, fold: np.ndarray) -> float:
    """Mean balanced accuracy on a fold, learnt from the others."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score

    rest = np.setdiff1d(np.arange(len(texts)), fold)
    counted = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    seen, unseen = counted.fit_transform([texts[n] for n in rest]), counted.transform([texts[n] for n in fold])
    models = [LogisticRegression(max_iter=1000).fit(seen, column[rest]) for column in targets.T]
    scores = [balanced_accuracy_score(c[fold], m.predict(unseen)) for c, m in zip(targets.T, models, strict=True)]
    return float(np.mean(scores))


def rows(split: Split, numbers: np.ndarray) -> Split:
    """Some clips of a split."""
    return dataclasses.replace(
        split,
        ids=tuple(split.ids[n] for n in numbers),
        features={role: [arrays[n] for n in numbers] for role, arrays in split.features.items()},
        targets=split.targets[numbers],
    )


if __name__ == "__main__":
    main()

"""Two plain baselines on Essays' published train and validation parts: balanced accuracy by trait, for scale.

TF-IDF of words and pairs of words with logistic regression, and frozen all-MiniLM-L6-v2, mean of the tokens of all
windows, with logistic regression. Beside them what the issue "ADAM" gives for the same split. Its TF-IDF figures are
met to the last digit with sublinear counts and tokens of at least three essays, which were found by trying: they are
validation figures, to be passed by other methods on the same part, not estimates of a test. So are MiniLM's: that its
features are not scaled was chosen among twelve ways by their validation figures.

    python benchmarks/essays.py [--data ../shared/data/essays/essays_train_validation_1973.csv] [--store essays]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

import featzoo.cli  # noqa: F401  (sets what the command sets, before torch is imported)
from featzoo.cache.store import FeatureStore
from featzoo.commands.extract import run as extract
from featzoo.commands.selection import Selection
from featzoo.exchange.texts.essays import import_essays
from featzoo.extraction.options import ExtractOptions
from featzoo.vocabulary import TRAITS
from featzoo.zoo.metrics.binary import Cells
from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.runs.compare import intervals

FROZEN = "bert.minilm[output=mean,windows=overlap]"
# O C E A N and their mean, as the issue gives them.
GIVEN = {
    "TF-IDF 1-2-grams + logistic regression": (0.608, 0.601, 0.579, 0.580, 0.598, 0.593),
    "frozen MiniLM + logistic regression": (*[None] * 5, 0.580),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    data = Path(os.environ.get("FEATZOO_TEST_DATA", "../shared/data")) / "essays" / "essays_train_validation_1973.csv"
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--store", type=Path, help="where features are kept; default: a temporary folder")
    options = parser.parse_args()
    if not options.data.is_file():
        print(f"no Essays at {options.data}: nothing was checked")
        return
    with tempfile.TemporaryDirectory() as name:
        store = options.store or Path(name) / "essays"
        for line in import_essays(options.data, store).lines():
            print(line)
        extract(Selection(extractors=FROZEN), store, ExtractOptions(jobs=1, device="cpu"))
        clips = FeatureStore(store).clips().values()
        parts = [[clip for clip in clips if clip.split == split] for split in ("train", "valid")]
        targets = [np.array([[clip.labels[trait] for trait in TRAITS] for clip in part]) for part in parts]
        made = (n_grams(*[[clip.text for clip in part] for part in parts]), states(store, *parts))
    rows = [["", *(trait[0].upper() for trait in TRAITS), "mean", "95 % interval", "ECE"]]
    for (name, given), (train, valid) in zip(GIVEN.items(), made, strict=True):
        cells = Cells.of(regress(train, targets[0], valid), targets[1], TRAITS)
        values, spans = cells.metrics(), intervals(cells.metrics, np.arange(len(parts[1])))
        low, high = spans["ba"]
        shown = [*(values[f"{trait}.ba"] for trait in TRAITS), values["ba"]]
        rows.append([name, *(f"{v:.3f}" for v in shown), f"{low:.3f} to {high:.3f}", f"{values['ece']:.3f}"])
        rows.append(["  the issue's", *("-" if v is None else f"{v:.3f}" for v in given), "-", "-"])
    print(f"\nbalanced accuracy on valid, {len(parts[1])} essays, trained on {len(parts[0])}")
    print(text_table(rows))


def n_grams(train: list[str], valid: list[str]) -> tuple[object, object]:
    """Sublinear TF-IDF of words and pairs of words that at least three train essays have."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    counted = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    return counted.fit_transform(train), counted.transform(valid)


def states(store: Path, train: list, valid: list) -> tuple[np.ndarray, np.ndarray]:
    """(N, 384) features of the frozen encoder, as they are."""
    stored = FeatureStore(store)[FROZEN]
    first, second = (np.stack([stored[clip.id].features[0] for clip in part]) for part in (train, valid))
    return first, second


def regress(train: object, targets: np.ndarray, valid: object) -> np.ndarray:
    """(N, K) probabilities of yes: scikit-learn's logistic regression for each label, its defaults."""
    from sklearn.linear_model import LogisticRegression

    models = [LogisticRegression(max_iter=1000).fit(train, column) for column in targets.T]
    return np.stack([model.predict_proba(valid)[:, 1] for model in models], axis=1)


if __name__ == "__main__":
    main()

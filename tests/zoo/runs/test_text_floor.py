"""The floor of runs on texts, compared with scikit-learn on the texts themselves."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.text_floor import text_floors, tfidf_floor

WORDS = ["good", "bad", "film", "the", "a", "was", "very", "story"]


def split_of(name, count, seed):
    """Clips without features whose texts hold `good` and `bad` as often as their labels say; one has no text."""
    rng = np.random.default_rng(seed)
    labels, texts = rng.uniform(-3, 3, (count, 1)), {}
    for row, label in enumerate(labels[:, 0]):
        chance = np.array([3 + label, 3 - label, 1, 1, 1, 1, 1, 1])
        texts[f"{name}{row}"] = " ".join(rng.choice(WORDS, 12, p=chance / chance.sum()))
    texts[f"{name}0"] = ""
    return Split(name, tuple(texts), {}, labels, {}, Statistics({}, {}), Counts(count)), texts


def test_the_floor_is_scikit_learns_tfidf_with_ridge_regression():
    train, known = split_of("train", 60, 0)
    test, new = split_of("test", 40, 1)
    found = tfidf_floor(find_recipe("text-alone"), {"train": train, "test": test}, known | new)
    assert set(found) == {"test"}
    vectors = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True)
    theirs = [
        make_pipeline(vectors, Ridge(alpha=1 / c)).fit([*known.values()], train.targets[:, 0]).predict([*new.values()])
        for c in (1.0, 10.0)
    ]
    assert min(np.abs(found["test"][:, 0] - each).max() for each in theirs) < 1e-3


def test_texts_without_a_common_word_have_no_floor():
    train, _ = split_of("train", 10, 0)
    assert tfidf_floor(find_recipe("text-alone"), {"train": train, "test": train}, {}) == {}


def test_the_floor_stands_beside_runs_that_read_texts():
    """By its metrics on each split but train; a head without text has none."""
    train, known = split_of("train", 60, 0)
    test, new = split_of("test", 40, 1)
    clips = {name: Clip(name, words=words_of(text)) for name, text in (known | new).items()}
    recipe = find_recipe("text-alone")
    for role, names in (("text", {"test"}), ("audio", set())):
        splits = {one.name: replace(one, specs={role: InputSpec(3)}) for one in (train, test)}
        found = text_floors(recipe, splits, clips)
        assert set(found) == names
    splits = {one.name: replace(one, specs={"text": InputSpec(3)}) for one in (train, test)}
    predicted = tfidf_floor(recipe, splits, known | new)["test"]
    found = text_floors(recipe, splits, clips)["test"]["TF-IDF"]
    assert found["mae"] == pytest.approx(np.abs(predicted - test.targets).mean(), abs=1e-6)

"""The head `tfidf`, compared with scikit-learn's TfidfVectorizer and estimators on the texts themselves."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from featzoo.errors import FeatzooError
from featzoo.extractors.contract import make_extractor
from featzoo.extractors.text.word_numbers import tokens_of
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.objective import Objective
from featzoo.zoo.training.fitting import fit

WORDS = [
    "the",
    "film",
    "was",
    "good",
    "bad",
    "fine",
    "boring",
    "and",
    "actors",
    "story",
    "ending",
    "I",
    "loved",
    "it",
    "2001",
]
SPEC = {"text": InputSpec(1, ids=True)}


def clip_of(text):
    return Clip(id="a", words=tuple(Word(word, float("nan"), float("nan")) for word in text.split()))


@pytest.fixture(scope="module")
def texts():
    """Texts of one to thirty words; the third fifth of the words is likelier where the number is high."""
    rng = np.random.default_rng(0)
    numbers = rng.uniform(-1, 1, 90)
    made = []
    for number in numbers:
        chance = np.ones(len(WORDS))
        chance[3:6] += 4 * max(number, 0)
        chance[6:9] += 4 * max(-number, 0)
        made.append(" ".join(rng.choice(WORDS, rng.integers(1, 30), p=chance / chance.sum())))
    return made, numbers


@pytest.fixture(scope="module")
def split(texts):
    """The texts as the extractor stores them; one that has no word has no row."""
    extractor = make_extractor("word-numbers")
    kept = [text if any(map(tokens_of, text.split())) else "" for text in texts[0]]
    rows = [extractor.extract(clip_of(text)).features if text else None for text in kept]
    ids = tuple(f"clip{n}" for n in range(len(rows)))
    return Split("train", ids, {"text": rows}, texts[1][:, None], SPEC, Statistics({}, {}), Counts(len(rows)))


def fitted(split, targets, kind="numbers", outputs=1, **options):
    head = make_head("tfidf", {"penalties": [2.0], "terms": 500} | options, SPEC, outputs, objective=Objective(kind))
    whole = Split("train", split.ids, split.features, targets, SPEC, split.statistics, split.counts)
    fit(head, whole, 7, 0)  # batches of different lengths
    with torch.no_grad():
        prediction = head(whole.batch(range(len(whole))).inputs)["prediction"]
    return head, head.objective.values(prediction).numpy()


def vectorizer(**options):
    return TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, **options)


def test_labels_of_0_and_1_are_predicted_as_scikit_learn_does(texts, split):
    labels = (texts[1] > 0).astype(float)
    theirs = make_pipeline(vectorizer(), LogisticRegression(C=2.0, max_iter=1000)).fit(texts[0], labels)
    _, found = fitted(split, labels[:, None])
    np.testing.assert_allclose(found[:, 0], theirs.predict_proba(texts[0])[:, 1], atol=1e-4)


def test_numbers_are_predicted_as_scikit_learn_does(texts, split):
    theirs = make_pipeline(vectorizer(), Ridge(alpha=0.5)).fit(texts[0], texts[1])
    _, found = fitted(split, texts[1][:, None])
    np.testing.assert_allclose(found[:, 0], theirs.predict(texts[0]), atol=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_predicted_as_scikit_learn_does(texts, split, classes):
    """The last class of all has no train text."""
    truth = np.digitize(texts[1], np.linspace(-1, 1, classes + 1)[1:-1])
    theirs = make_pipeline(vectorizer(), LogisticRegression(C=2.0, max_iter=1000)).fit(texts[0], truth)
    _, found = fitted(split, truth[:, None].astype(float), "class", classes + 1)
    np.testing.assert_allclose(found[:, :-1], theirs.predict_proba(texts[0]), atol=1e-4)
    assert found[:, -1].max() < 1e-6


def test_only_the_most_frequent_terms_are_counted(texts, split):
    counted = vectorizer().fit(texts[0])
    counts = (counted.transform(texts[0]) > 0).sum(axis=0).A1
    head, _ = fitted(split, texts[1][:, None], terms=5)
    assert head.choices["terms"] == 5
    often = np.sort(counts)[-5:]
    idf = np.log((1 + len(texts[0])) / (1 + often)) + 1  # scikit-learn's smoothed form
    np.testing.assert_allclose(np.sort(head.idf.numpy()), np.sort(idf), rtol=1e-5)


def test_the_penalty_has_the_lowest_cross_entropy_of_held_out_groups(texts, split):
    labels, penalties = (texts[1] > 0).astype(int), (0.01, 1.0, 300.0)
    head, _ = fitted(split, labels[:, None].astype(float), penalties=penalties, folds=3, least_texts=1)
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts[0])
    folds, losses = StratifiedGroupKFold(3, shuffle=True, random_state=0), []
    for c in penalties:
        model = LogisticRegression(C=c, max_iter=1000)
        given = cross_val_predict(model, vectors, labels, groups=split.ids, cv=folds, method="predict_proba")
        losses.append(-np.log(given[np.arange(len(labels)), labels]).mean())
    assert head.choices["chosen"] == (penalties[int(np.argmin(losses))],)


def test_words_that_too_few_texts_have_are_an_error(texts, split):
    with pytest.raises(FeatzooError, match=r"no word is in 91 of the 90 train texts: lower options.least_texts"):
        fitted(split, texts[1][:, None], least_texts=91)


def test_letters_of_scripts_without_spaces_are_words():
    assert tokens_of("It's a FILM") == ["it", "film"]
    assert tokens_of("我爱film") == ["我", "爱", "film"]
    extractor = make_extractor("word-numbers")
    one, other = (extractor.extract(clip_of(text)).features[:, 0].tolist() for text in ("Good bad", "bad good,"))
    assert one == other[::-1]
    assert 0 <= min(one) <= max(one) < 1 << 31

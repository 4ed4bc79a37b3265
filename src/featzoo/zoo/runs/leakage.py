"""Whether texts that a language model made with the labels in sight (PIGA) tell the labels by their wording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.errors import InvalidClips
from featzoo.exchange.texts.parallel import FELL_BACK, Row, read_parallel
from featzoo.media.clip import Clip
from featzoo.vocabulary import TRAITS
from featzoo.weights.imports import require
from featzoo.zoo.data.split import Array
from featzoo.zoo.metrics.binary import THRESHOLD, Cells
from featzoo.zoo.runs.compare import Interval, intervals

# Languages without spaces between words: their tokens are one to three characters.
UNSPACED = {"ja", "zh", "th"}
CHARACTERS, WORDS = {"analyzer": "char", "ngram_range": (1, 3)}, {"token_pattern": r"(?u)\b\w+\b"}
# Rows of each class that a trait needs on either side.
FEWEST = 5
LEVEL = 0.05
TELLING = 5


@dataclass(frozen=True)
class Probe:
    """What one label can be told by in one language.

    Attributes:
        language: Two letters.
        trait: The label.
        ba: Balanced accuracy on held-out rows of a classifier that sees only how PIGA's words differ from TOGA's.
        interval: Of it, 95 %, over held-out rows.
        p: Chance of one as good or better if the wording knew nothing of the label: exact, one-sided.
        plain: Balanced accuracy of the same classifier on TOGA's words, which no label has touched.
        telling: The tokens with the largest weights; `-` before those that speak for 0.
        tells: Whether `p` is too small for chance, given how many labels and languages were probed.
    """

    language: str
    trait: str
    ba: float
    interval: Interval
    p: float
    plain: float
    telling: tuple[str, ...]
    tells: bool = False

    @property
    def leaks(self) -> bool:
        """Whether the difference tells the label, and better than TOGA's own words.

        How the two differ depends on what a text is about, and so may tell as much of its writer as the text does.
        """
        return self.tells and self.ba > self.plain


@dataclass(frozen=True)
class Leakage:
    """The probes of two files.

    Attributes:
        probes: Language by language, label by label.
        rows: Language to the numbers of train and held-out rows that have both texts.
        notes: What was not probed, and why.
    """

    probes: tuple[Probe, ...]
    rows: Mapping[str, tuple[int, int]]
    notes: tuple[str, ...]

    @property
    def leaking(self) -> list[Probe]:
        """Those that leak."""
        return [probe for probe in self.probes if probe.leaks]


def probe_leakage(toga: Path, piga: Path, languages: Sequence[str] = ()) -> Leakage:
    """Train a bag-of-words classifier for each label on PIGA's words minus TOGA's, and judge it on held-out rows.

    Both texts of a row say the same, so what tells them apart is the translator's doing, and only PIGA's translator
    saw the labels. Trained is on rows of the train split, held out are the others. Whether it is more than chance is
    decided by the exact permutation test of the held-out labels, at 5 % over all labels and languages together
    (Holm's procedure).

    Args:
        toga: Parallel texts that were made without labels; a row's split and labels are read from here.
        piga: The same rows, made with labels.
        languages: To probe; by default all that both files have.

    Raises:
        InvalidClips: If a file cannot be read, or they share no row that can be probed.
        MissingPackage: If scikit-learn is not installed.

    Reference: The abstract of ADAM (arXiv 2604.08851) speaks of examining label leakage by probing; how is not said.
    """
    require("sklearn", "zoo")
    first, second = (_by_language(path, languages) for path in (toga, piga))
    probes: list[Probe] = []
    rows: dict[str, tuple[int, int]] = {}
    notes: list[str] = []
    for language in sorted(first.keys() & second.keys()):
        both = [(first[language][row], second[language][row]) for row in first[language] if row in second[language]]
        if all(a.text == b.text for a, b in both):
            notes.append(f"{language}: not probed, its texts are the same in both files")
            continue
        side = np.array([a.split == "train" for a, _ in both])
        rows[language] = (int(side.sum()), int((~side).sum()))
        differences, plain = _bags(both, side, language)
        for trait in TRAITS:
            found = _probe(both, side, differences, plain, (language, trait))
            if isinstance(found, str):
                notes.append(f"{language}.{trait}: not probed, {found}")
            else:
                probes.append(found)
    if not probes:
        raise InvalidClips(f"{toga} and {piga} share nothing that can be probed: {'; '.join(notes) or 'no language'}")
    return Leakage(tuple(_decided(probes)), rows, tuple(notes))


def _by_language(path: Path, languages: Sequence[str]) -> dict[str, dict[str, Clip]]:
    read, refused = read_parallel(path, languages)
    if refused:
        place, why = next(iter(refused.items()))
        raise InvalidClips(f"{path} has {len(refused)} rows that cannot be read; {place}: {why}")
    found: dict[str, dict[str, Clip]] = {}
    for row in _wanted(read, languages):
        if FELL_BACK in row.flags:  # TOGA's text in PIGA's place: no label was in sight
            continue
        found.setdefault(row.language, {})[row.row] = row.clip
    return found


def _wanted(rows: Iterable[Row], languages: Sequence[str]) -> Iterable[Row]:
    return [row for row in rows if not languages or row.language in languages]


@dataclass(frozen=True)
class _Bag:
    """(N, V) weights of tokens, a row of length one each, and the V tokens."""

    weights: Any
    tokens: Sequence[str]


def _bags(both: Sequence[tuple[Clip, Clip]], side: Array, language: str) -> tuple[_Bag, _Bag]:
    """TF-IDF of how often PIGA has a token more or less often than TOGA, signed; and that of TOGA's tokens."""
    from sklearn.feature_extraction.text import CountVectorizer

    # Words of one letter count too: other languages than English have more of them.
    kind: dict[str, Any] = CHARACTERS if language in UNSPACED else WORDS
    counter = CountVectorizer(min_df=2, **kind)
    toga, piga = ([pair[k].text for pair in both] for k in (0, 1))
    known = [text for texts in (toga, piga) for text, train in zip(texts, side, strict=True) if train]
    try:
        counter.fit(known)
    except ValueError as error:
        raise InvalidClips(f"{language}: the {int(side.sum())} train rows have no vocabulary ({error})") from error
    a, b = counter.transform(toga), counter.transform(piga)
    tokens = counter.get_feature_names_out().tolist()
    return _Bag(_weighted(b - a, side), tokens), _Bag(_weighted(a, side), tokens)


def _weighted(counts: Any, side: Array) -> Any:
    """Sublinear TF-IDF of the sizes of counts, with their signs; the weights are train's."""
    from sklearn.feature_extraction.text import TfidfTransformer

    sizes = abs(counts).astype(np.float64)
    weights = TfidfTransformer(sublinear_tf=True).fit(sizes[side]).transform(sizes)
    return weights.multiply(counts.sign()).tocsr()


def _probe(
    both: Sequence[tuple[Clip, Clip]], side: Array, differences: _Bag, plain: _Bag, named: tuple[str, str]
) -> Probe | str:
    """The probe of one label, or why there is none."""
    from sklearn.linear_model import LogisticRegression

    language, trait = named
    labels = np.array([a.labels.get(trait, np.nan) for a, _ in both])
    train, held = (rows & ~np.isnan(labels) for rows in (side, ~side))
    for rows, name in ((train, "train"), (held, "held-out")):
        fewest = min(int((labels[rows] == 1).sum()), int((labels[rows] == 0).sum()))
        if fewest < FEWEST:
            return f"{name} rows have {fewest} of a class, and it takes {FEWEST}"
    truth = labels[held]
    said = {}
    for name, bag in (("difference", differences), ("plain", plain)):
        model = LogisticRegression(max_iter=1000, class_weight="balanced").fit(bag.weights[train], labels[train])
        said[name] = Cells.of(model.predict_proba(bag.weights[held])[:, 1:], truth[:, None], [trait])
        if name == "difference":
            telling = _telling(model.coef_[0], bag.tokens)
    cells = said["difference"]
    span = intervals(cells.metrics, np.arange(len(truth)))["ba"]
    p = by_chance(cells.pred[:, 0] > THRESHOLD, cells.truth[:, 0])
    return Probe(language, trait, cells.metrics()["ba"], span, p, said["plain"].metrics()["ba"], telling)


def by_chance(said: Array, truth: Array) -> float:
    """The share of all permutations of the labels with a balanced accuracy as good as this one or better.

    Args:
        said: (N,) bool, what was predicted.
        truth: (N,) bool labels.
    """
    from scipy.stats import hypergeom

    # With the number of yeses said and true fixed, balanced accuracy grows with the hits, and under permuted labels
    # those are hypergeometric: the permutation test needs no permutations.
    hits = int((said & truth).sum())
    return float(hypergeom.sf(hits - 1, len(truth), int(truth.sum()), int(said.sum())))


def _telling(weights: Array, tokens: Sequence[str]) -> tuple[str, ...]:
    order = np.argsort(-np.abs(weights), kind="stable")[:TELLING]
    return tuple(f"{'-' if weights[i] < 0 else ''}{tokens[i].strip()}" for i in order)


def _decided(probes: Sequence[Probe]) -> Iterable[Probe]:
    """The probes with Holm's decision: the k-th smallest p is held against 5 % over as many as are left."""
    telling = set()
    order = sorted(range(len(probes)), key=lambda i: probes[i].p)
    for left, i in zip(range(len(probes), 0, -1), order, strict=True):
        if probes[i].p > LEVEL / left:
            break
        telling.add(i)
    return [replace(probe, tells=i in telling) for i, probe in enumerate(probes)]

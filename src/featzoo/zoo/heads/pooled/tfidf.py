"""TF-IDF of words with a linear model: the floor that every model of texts must pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from featzoo.errors import FeatzooError
from featzoo.sequence import Array
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import Inputs, Outputs, Role
from featzoo.zoo.heads.pooled.inner_folds import inner_folds
from featzoo.zoo.heads.pooled.ngrams import n_grams, of_rows
from featzoo.zoo.heads.pooled.tfidf_fit import fit_targets, vocabulary_of
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.losses import absolute_error
from featzoo.zoo.objective import Objective

UNUSED = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Options:
    """The options.

    Attributes:
        pairs: Whether pairs of neighbouring words are counted too.
        least_texts: Number of train texts that must have a word or pair.
        terms: Maximum number of words and pairs; of more, the most frequent are counted.
        penalties: Values of C, the inverse of the penalty's strength, from which cross-validation chooses.
        folds: Number of folds inside the train split that choose C.
    """

    pairs: bool = True
    least_texts: int = 3
    terms: int = 50_000
    penalties: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    folds: int = 5

    def __post_init__(self) -> None:
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(f"penalties must be above 0; got {list(self.penalties)}")
        if self.folds < 2 or min(self.least_texts, self.terms) < 1:
            raise ValueError("folds must be at least 2, least_texts and terms at least 1")


class Tfidf(FittedHead):
    """Logistic regression of classes or of labels 0 and 1, or ridge regression of other numbers, on TF-IDF of words.

    Counts are sublinear (1 + log), and a text's vector has length 1. C is chosen for each target by cross-validation
    inside the train split, with the texts of a speaker (or of what the recipe splits by) in one fold, by the cross
    entropy, or the mean absolute error of numbers.

    Reference:
        Manning, Raghavan, Schuetze: Introduction to Information Retrieval, section 6.4; fitted by scikit-learn
        (`TfidfTransformer`, `LogisticRegression`, `Ridge`).

    Differences:
        - Words are those of the set that it reads: `word-numbers`, or the tokens of an encoder.
        - `target.smoothing`, `target.focal` and class weights have no effect.
    """

    roles: ClassVar[Mapping[str, Role]] = {"text": Role("numbers of words (word-numbers) or token ids", ids=True)}
    options_class: ClassVar[type] = Options
    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")
    grams: Tensor
    idf: Tensor
    binary: Tensor

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.targets = targets
        self.register_buffer("grams", torch.full((options.terms,), UNUSED))  # sorted; the rest is unused
        self.register_buffer("idf", torch.zeros(options.terms))
        self.register_buffer("binary", torch.tensor(False))  # whether numbers are 0 or 1
        self.weight = nn.Parameter(torch.zeros(targets, options.terms))
        self.bias = nn.Parameter(torch.zeros(targets))

    def pool(self, inputs: Inputs) -> Tensor:
        """(B, T) numbers of words, NaN in padding."""
        text = inputs["text"]
        return text.values.double().masked_fill(~text.mask, torch.nan)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        text = inputs["text"]
        grams = n_grams(text.values, text.mask, self.options.pairs)  # (B, G)
        place = torch.searchsorted(self.grams, grams).clamp(max=len(self.grams) - 1)  # (B, G)
        known = (self.grams[place] == grams).to(self.idf.dtype)
        counts = self.idf.new_zeros(grams.shape[0], len(self.grams)).scatter_add(1, place, known)  # (B, V)
        # log of 1 where there is none, so that it stays finite.
        weighed = torch.where(counts > 0, 1 + counts.clamp(min=1.0).log(), counts) * self.idf  # (B, V)
        scores = nn.functional.normalize(weighed, dim=1) @ self.weight.T + self.bias  # (B, K)
        return {"prediction": torch.where(self.binary, scores.sigmoid(), scores)}

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The only term: l1, or ce of classes. It is reported; the solver minimises its own."""
        return self.objective.terms(outputs["prediction"], targets, l1=absolute_error)

    def fit(self, pooled: Array, targets: Array, groups: Sequence[str], seed: int) -> None:
        """Set the weights; see `FittedHead`.

        Raises:
            FeatzooError: If no word is in enough train texts.
        """
        from sklearn.feature_extraction.text import TfidfTransformer

        if np.nanmax(pooled, initial=0.0) >= 1 << 31:
            raise FeatzooError("tfidf reads numbers of words from 0 to 2^31 - 1, as word-numbers makes them")
        options, of_numbers = self.options, self.objective.of_numbers
        words = vocabulary_of(of_rows(pooled, options.pairs), options.least_texts, options.terms)
        features = TfidfTransformer(sublinear_tf=True).fit_transform(words.counts)
        binary = of_numbers and bool(np.isin(targets, (0, 1)).all())
        spread = Objective("classes") if binary else self.objective
        folds = list(inner_folds(spread, targets[:, 0], groups, options.folds, seed))
        of_class = self.objective.kind == "class"
        make = _logistic if binary or not of_numbers else _ridge
        found = fit_targets(features, targets, self.targets, make, options.penalties, folds, of_class)
        self.choices = {"penalties": list(options.penalties), "chosen": found.chosen, "terms": len(words.grams)}
        with torch.no_grad():
            count = len(words.grams)
            self.grams.fill_(UNUSED)[:count] = torch.from_numpy(words.grams)
            self.idf.zero_()[:count] = torch.from_numpy(words.idf)
            self.binary.fill_(binary)
            self.weight.zero_()[:, :count] = torch.from_numpy(found.weight)
            self.bias.copy_(torch.from_numpy(found.bias))


def _logistic(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=1000)


def _ridge(c: float) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1 / c)

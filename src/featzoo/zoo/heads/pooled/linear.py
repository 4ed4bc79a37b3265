"""Linear heads on pooled features that scikit-learn fits: logistic and ridge regression, support vector machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from featzoo.sequence import Array
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import Inputs, Outputs, Role
from featzoo.zoo.heads.pooled.linear_fit import LinearFitter
from featzoo.zoo.heads.pooled.roles import ANY_OF_THREE, read_roles
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.losses import absolute_error
from featzoo.zoo.nn.pooling import Statistics, pool, pooled_width


@dataclass(frozen=True)
class Options:
    """The options.

    Attributes:
        pooling: The `mean` over a clip's steps, or mean and standard deviation (`mean-std`); a clip with one step has
            no deviation, so it is its mean in both.
        penalties: Values of C, the inverse of the penalty's strength, from which cross-validation chooses.
        folds: Number of folds inside the train split that choose C.
    """

    pooling: Statistics = "mean-std"
    penalties: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    folds: int = 5

    def __post_init__(self) -> None:
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(f"penalties must be above 0; got {list(self.penalties)}")
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2; got {self.folds}")


class Linear(FittedHead):
    """Logistic regression of classes, or ridge regression of numbers, on pooled features.

    Features are standardised by the train split after pooling. C is chosen by cross-validation inside the train split,
    with the clips of a speaker (or of what the recipe splits by) in one fold, by the unweighted average recall of
    classes or the mean absolute error of numbers. Several targets are separate problems.

    Reference:
        Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, 2nd edition, sections 3.4.1 and 4.4; fitted
        by scikit-learn.

    Differences:
        - Features that a clip lacks count as the train split's mean.
        - `target.smoothing` and `target.focal` have no effect.
    """

    roles: ClassVar[Mapping[str, Role]] = ANY_OF_THREE
    options_class: ClassVar[type] = Options
    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")
    mean: Tensor
    std: Tensor

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.read = read_roles(inputs)
        width = sum(pooled_width(one, options.pooling) for one in self.read.values())
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        rows = self.rows(targets)
        self.weight = nn.Parameter(torch.zeros(rows, width))
        self.bias = nn.Parameter(torch.zeros(rows))
        self.targets = targets

    @property
    def in_pairs(self) -> bool:
        """Whether there is a linear function for each pair of classes."""
        return False

    def rows(self, targets: int) -> int:
        """The number of linear functions for K targets."""
        return targets

    def pool(self, inputs: Inputs) -> Tensor:
        """(B, W), roles side by side."""
        return torch.cat([pool(inputs[role], self.options.pooling) for role in self.read], dim=1)  # (B, W)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        standard = ((self.pool(inputs) - self.mean) / self.std).nan_to_num()  # (B, W)
        return {"prediction": standard @ self.weight.T + self.bias}  # (B, K)

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The only term: l1, or ce of classes. It is reported; the solver minimises its own."""
        return self.objective.terms(outputs["prediction"], targets, l1=absolute_error)

    def estimator(self, c: float, class_weights: dict[float, float] | None) -> Any:
        """The model of scikit-learn."""
        if self.objective.of_numbers:
            from sklearn.linear_model import Ridge

            return Ridge(alpha=1 / c)
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=c, class_weight=class_weights, max_iter=1000)

    def fit(self, pooled: Array, targets: Array, groups: Sequence[str], seed: int) -> None:
        """Set the weights; see `FittedHead`."""
        there = ~np.isnan(pooled)
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, pooled, 0.0).sum(axis=0) / count  # (W,)
        gap = np.where(there, pooled - mean, 0.0)  # (N, W)
        std = np.sqrt((gap**2).sum(axis=0) / count)
        std = np.where(std > 1e-6 * np.abs(mean), std, np.inf)  # rounding errors of constant columns
        options = self.options
        fitter = LinearFitter(
            self.objective, self.targets, self.estimator, options.penalties, options.folds, seed, self.in_pairs
        )
        found = fitter.fit(gap / std, targets, groups)
        self.choices = {"penalties": list(options.penalties), "chosen": found.chosen, "scores": found.scores}
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(found.weight))
            self.bias.copy_(torch.from_numpy(found.bias))


@dataclass(frozen=True)
class SvmOptions(Options):
    """The options of `svm`.

    Attributes:
        multiclass: `pairs` separates each pair of classes (scikit-learn's SVC, hinge loss), `rest` each class from all
            others (LinearSVC, squared hinge loss).
    """

    multiclass: Literal["pairs", "rest"] = "pairs"


class Svm(Linear):
    """A linear support vector machine on pooled features, of classes or numbers.

    Features, standardisation and the choice of C are those of `linear`. With `multiclass = "pairs"` each pair of
    classes is separated, and the class that wins most pairs is predicted; the sum of its margins breaks ties. The time
    of a fit grows faster than the square of the number of clips: for more than some thousands, `rest` and `linear` are
    quicker.

    Reference:
        Chang, Lin: LIBSVM: A Library for Support Vector Machines, ACM TIST 2011, and Fan et al.: LIBLINEAR, JMLR 2008
        (`rest`); fitted by scikit-learn.

    Differences:
        - Features that a clip lacks count as the train split's mean.
        - Probabilities are the softmax of the numbers of wins, or of the margins with `rest`; they are not calibrated.
        - `target.smoothing` and `target.focal` have no effect.
    """

    options_class: ClassVar[type] = SvmOptions
    sides: Tensor

    @property
    def in_pairs(self) -> bool:
        """Whether classes are separated in pairs."""
        return bool(self.objective.kind == "class" and self.options.multiclass == "pairs")

    def rows(self, targets: int) -> int:
        """The number of separations: of each pair of classes, or of each target."""
        return targets * (targets - 1) // 2 if self.in_pairs else targets

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        super().build(options, inputs, targets)
        if self.in_pairs:  # (P, K): 1 for the first class of a pair, -1 for the second
            each = torch.eye(targets)
            sides = [each[one] - each[other] for one, other in combinations(range(targets), 2)]
            self.register_buffer("sides", torch.stack(sides), persistent=False)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        margins = super().forward(inputs)["prediction"]  # (B, P) of pairs, or (B, K)
        if not self.in_pairs:
            return {"prediction": margins}
        total = margins @ self.sides  # (B, K)
        votes = torch.where(margins > 0, 0.5, -0.5) @ self.sides  # (B, K), wins less their mean
        # Below 1/3, so that it only breaks ties.
        return {"prediction": votes + total / (3 * (total.abs() + 1))}  # (B, K)

    def estimator(self, c: float, class_weights: dict[float, float] | None) -> Any:
        """The model of scikit-learn."""
        from sklearn.svm import SVC, SVR, LinearSVC

        if self.objective.of_numbers:
            return SVR(kernel="linear", C=c)
        if self.options.multiclass == "rest":
            return LinearSVC(C=c, class_weight=class_weights, max_iter=3000, random_state=0)
        return SVC(kernel="linear", C=c, class_weight=class_weights)

"""Gradient-boosted trees on pooled features, fitted by scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from featzoo.sequence import Array
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import Inputs, Outputs, Role
from featzoo.zoo.heads.pooled.inner_folds import held_out_score, inner_folds, weights_of_classes
from featzoo.zoo.heads.pooled.roles import ANY_OF_THREE, read_roles
from featzoo.zoo.heads.pooled.trees import Trees, baseline_of, nodes_of
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.losses import absolute_error
from featzoo.zoo.nn.pooling import Statistics, pool, pooled_width

# The score of a class that no train clip has: its probability is 0.
NEVER = -1e4
# Values of a feature are gathered into this many bins; the pooled features of some thousand clips need no more.
BINS = 63


@dataclass(frozen=True)
class Options:
    """The options.

    Attributes:
        pooling: The `mean` over a clip's steps, or mean and standard deviation (`mean-std`); a clip with one step has
            no deviation, so it is its mean in both.
        leaves: Numbers of leaves of a tree, from which cross-validation chooses.
        rounds: The most rounds; cross-validation chooses how many are used, in steps of `step`.
        step: Rounds between two numbers that are compared.
        rate: Factor of each round's trees (the learning rate).
        penalty: L2 penalty on the values of leaves.
        least: The fewest train clips of a leaf.
        folds: Number of folds inside the train split that choose.
    """

    pooling: Statistics = "mean-std"
    leaves: tuple[int, ...] = (4, 12)
    rounds: int = 150
    step: int = 10
    rate: float = 0.1
    penalty: float = 1.0
    least: int = 10
    folds: int = 5

    def __post_init__(self) -> None:
        if not self.leaves or min(self.leaves) < 2:
            raise ValueError(f"leaves must be at least 2; got {list(self.leaves)}")
        for name, lowest in (("rounds", 1), ("step", 1), ("least", 1), ("folds", 2)):
            if getattr(self, name) < lowest:
                raise ValueError(f"{name} must be at least {lowest}; got {getattr(self, name)}")
        if self.rate <= 0 or self.penalty < 0:
            raise ValueError(f"rate must be above 0 and penalty at least 0; got {self.rate:g} and {self.penalty:g}")


class Size(NamedTuple):
    """The leaves of each tree, and the number of rounds."""

    leaves: int
    rounds: int


class Boosting(FittedHead):
    """Gradient-boosted decision trees on pooled features, of classes or numbers.

    The leaves of a tree and the number of rounds are chosen by cross-validation inside the train split, with the clips
    of a speaker (or of what the recipe splits by) in one fold, by the unweighted average recall of classes or the mean
    absolute error of numbers. Several targets are separate problems.

    Reference:
        Friedman: Greedy Function Approximation: A Gradient Boosting Machine, Annals of Statistics 2001, with the
        histograms of Ke et al.: LightGBM, NeurIPS 2017; fitted by scikit-learn's HistGradientBoosting.

    Differences:
        - A feature's values are gathered into 63 bins instead of 255.
        - Features that a clip lacks go to the side of each split that lowers the loss most.
        - `target.smoothing` and `target.focal` have no effect.
    """

    roles: ClassVar[Mapping[str, Role]] = ANY_OF_THREE
    options_class: ClassVar[type] = Options
    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make room for the trees."""
        self.read = read_roles(inputs)
        self.width = sum(pooled_width(one, options.pooling) for one in self.read.values())
        self.trees = Trees(options.rounds, targets, max(options.leaves))
        self.bias = nn.Parameter(torch.zeros(targets))
        self.targets = targets

    def pool(self, inputs: Inputs) -> Tensor:
        """(B, W), roles side by side."""
        return torch.cat([pool(inputs[role], self.options.pooling) for role in self.read], dim=1)  # (B, W)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        return {"prediction": self.trees(self.pool(inputs)) + self.bias}  # (B, K)

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The only term: l1, or ce of classes. It is reported; scikit-learn minimises its own."""
        return self.objective.terms(outputs["prediction"], targets, l1=absolute_error)

    @torch.no_grad()
    def fit(self, pooled: Array, targets: Array, groups: Sequence[str], seed: int) -> None:
        """Set the trees; see `FittedHead`."""
        chosen, scores = [], []
        for number, truth in enumerate(targets.T):
            size, found = self._choose(pooled, truth, number, groups, seed)
            self._set(self._fitted(pooled, truth, number, size, seed), truth, number)
            chosen.append(size._asdict())
            scores.append(found)
        counts = list(self._counts())
        self.choices = {"leaves": list(self.options.leaves), "rounds": counts, "chosen": chosen, "scores": scores}

    def _counts(self) -> range:
        """Numbers of rounds that are compared."""
        step = min(self.options.step, self.options.rounds)
        return range(step, self.options.rounds + 1, step)

    def _choose(
        self, pooled: Array, truth: Array, number: int, groups: Sequence[str], seed: int
    ) -> tuple[Size, list[list[float]]]:
        """The best size, and the scores of each number of leaves by number of rounds; none for a single group."""
        options, counts = self.options, self._counts()
        parts = list(inner_folds(self.objective, truth, groups, options.folds, seed))
        if not parts:
            return Size(options.leaves[0], counts[len(counts) // 2]), []
        scores = []
        for leaves in options.leaves:
            pred = np.empty((options.rounds, len(truth)))  # by round
            for fit, held in parts:
                model = self._fitted(pooled[fit], truth[fit], number, Size(leaves, options.rounds), seed)
                pred[:, held] = truth[fit][0] if model is None else np.stack([*model.staged_predict(pooled[held])])
            scores.append([held_out_score(self.objective, pred[count - 1], truth) for count in counts])
        best, place = np.unravel_index(np.argmax(scores), np.shape(scores))
        return Size(options.leaves[best], counts[place]), scores

    def _fitted(self, pooled: Array, truth: Array, number: int, size: Size, seed: int) -> Any:
        """The model of scikit-learn; None for clips that all have one class."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        options: Options = self.options
        settings = {
            "max_iter": size.rounds, "max_leaf_nodes": size.leaves, "learning_rate": options.rate,
            "l2_regularization": options.penalty, "min_samples_leaf": options.least, "max_bins": BINS,
            "early_stopping": False, "random_state": seed,
        }  # fmt: skip
        if self.objective.of_numbers:
            return HistGradientBoostingRegressor(**settings).fit(pooled, truth)
        if len(np.unique(truth)) == 1:
            return None
        weights = weights_of_classes(self.objective, number)
        each = np.array([weights[label] for label in truth]) if weights else None
        return HistGradientBoostingClassifier(**settings).fit(pooled, truth, each)

    def _set(self, model: Any, truth: Array, number: int) -> None:
        """Copy a fitted model into the trees of the problem `number`."""
        of_classes = self.objective.kind == "class"
        if of_classes:
            self.bias.fill_(NEVER)
        if model is None:
            self.bias[int(truth[0]) if of_classes else number] = 0.0 if of_classes else -NEVER if truth[0] else NEVER
            return
        base, nodes = baseline_of(model), nodes_of(model)
        for output, (tree, scale) in self._outputs(truth, number).items():
            self.bias[output] = scale * base[tree]
            for place, trees in enumerate(nodes):
                self.trees.set(place, output, trees[tree], scale)

    def _outputs(self, truth: Array, number: int) -> dict[int, tuple[int, float]]:
        """Output to the model's tree of each round that gives its score, and the factor of that score."""
        if self.objective.kind != "class":
            return {number: (0, 1.0)}
        there = np.unique(truth).astype(np.int64).tolist()
        if len(there) == 2:  # scores whose softmax is the sigmoid of the only one
            return {there[0]: (0, -0.5), there[1]: (0, 0.5)}
        return {output: (tree, 1.0) for tree, output in enumerate(there)}

"""The contract of a head that a solver fits, instead of training by gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from featzoo.sequence import Array
from featzoo.zoo.head import Head, Inputs


class FittedHead(Head):
    """A head that is fitted once to all train clips; it has no epochs, so it needs no dev split.

    Attributes:
        choices: What `fit` chose inside the train split, such as penalties and their scores.
    """

    choices: Mapping[str, Any] = {}

    @abstractmethod
    def pool(self, inputs: Inputs) -> Tensor:
        """(B, W) features of clips, before any standardisation; NaN where not observed.

        Batches may differ in W, if columns are steps: narrower ones are filled with NaN.
        """

    @abstractmethod
    def fit(self, pooled: Array, targets: Array, groups: Sequence[str], seed: int) -> None:
        """Set the weights.

        Args:
            pooled: (N, W) float64 features of the train clips, as `pool` gives them.
            targets: (N, K) targets, or (N, 1) class numbers.
            groups: N names; clips with one name are in the same part of any cross-validation.
            seed: Seed of cross-validation.
        """

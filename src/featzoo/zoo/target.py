"""The labels that a recipe's head predicts. This module does not import torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["numbers", "class", "classes"]
# Fields that only classes have, and what they are without effect.
OF_CLASSES = {"classes": (), "weights": "none", "class_weights": {}, "smoothing": 0.0, "focal": 0.0}


@dataclass(frozen=True)
class Target:
    """The labels that a head predicts.

    Attributes:
        columns: Names of labels.
        kind: `number` (one column), `numbers`, `class` (one column whose values are classes) or `classes` (several at
            once: a column of numbers for each, which applies where it is above 0). By default `numbers`. For classes,
            `range` and `metrics` have no effect.
        classes: The classes of a `class`, in the order of the head's outputs; clips of others are left out. By default
            all that the store's clips have.
        weights: `balanced` weights the loss of each class by the inverse of its share of the train split.
        class_weights: Weights by name instead.
        smoothing: Label smoothing, from 0 to below 1.
        focal: Gamma of the focal loss; 0 is the cross entropy.
        range: Lowest and highest value that a label may have; empty for any.
        languages: Languages whose labels are used for training and for choosing the epoch, by the end of a clip's id
            (`row/en`); empty for all. Train clips in others are left out, or kept without labels. Metrics cover all
            languages.
        unlabelled: Keep train clips without labels, for a head that learns from more than labels.
        metrics: `sentiment` (needs labels around 0), `sims` (labels from -1 to 1), `regression`, `traits` (needs labels
            from 0 to 1) or `binary` (needs labels 0 and 1, and a head that predicts probabilities). `class` is that of
            a `class`.
    """

    columns: tuple[str, ...]
    kind: Literal["", "number", "numbers", "class", "classes"] = ""
    classes: tuple[str, ...] = ()
    weights: Literal["none", "balanced"] = "none"
    class_weights: Mapping[str, float] = field(default_factory=dict)
    smoothing: float = 0.0
    focal: float = 0.0
    range: tuple[float, ...] = ()
    languages: tuple[str, ...] = ()
    unlabelled: bool = False
    metrics: Literal["sentiment", "sims", "regression", "traits", "binary", "class"] = "regression"

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("columns must name at least one label")
        if self.kind in ("number", "class") and len(self.columns) > 1:
            raise ValueError(f"kind = {self.kind} has one column; got {', '.join(self.columns)}")
        if self.of_classes:
            self._check_classes()
            object.__setattr__(self, "range", ())
            object.__setattr__(self, "metrics", "class" if self.kind == "class" else "binary")
            return
        if self.metrics == "class":
            raise ValueError('metrics = "class" needs kind = "class"')
        for name, unset in OF_CLASSES.items():
            if getattr(self, name) != unset:
                without = json.dumps(unset)
                raise ValueError(
                    f'{name} needs kind = "class" or "classes"; for numbers, set target.{name} to {without}'
                )
        if self.range and (len(self.range) != 2 or self.range[0] >= self.range[1]):
            raise ValueError(f"range must be [lowest, highest]; got {list(self.range)}")

    def _check_classes(self) -> None:
        different = len(set(self.classes))
        if self.classes and (self.kind != "class" or different < max(2, len(self.classes))):
            raise ValueError(f'classes are the two or more different names of kind = "class"; got {list(self.classes)}')
        if self.weights != "none" and self.class_weights:
            raise ValueError("weights and class_weights exclude each other")
        if min(self.class_weights.values(), default=1.0) <= 0:
            raise ValueError(f"class_weights must be above 0; got {dict(self.class_weights)}")
        if not 0 <= self.smoothing < 1 or self.focal < 0:
            raise ValueError(f"smoothing must be in [0, 1) and focal not negative; got {self.smoothing}, {self.focal}")

    @property
    def of_classes(self) -> bool:
        """Whether the head predicts probabilities of classes, not numbers."""
        return self.kind in ("class", "classes")

    @property
    def predicts(self) -> Kind:
        """The kind of a head's prediction."""
        return "class" if self.kind == "class" else "classes" if self.kind == "classes" else "numbers"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of a head's K outputs: the classes of a `class`, else the columns."""
        return self.classes if self.kind == "class" else self.columns

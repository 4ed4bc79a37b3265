"""What a head's prediction means, numbers or scores of classes, and the loss of classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from featzoo.zoo.target import Kind

Error = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """The meaning of a head's (B, K) prediction, and its loss.

    Attributes:
        kind: `numbers`: the targets' values. `class`: scores of K classes, of which a clip has one; its target is
            the class's number, (B, 1). `classes`: scores of K classes, each of which a clip has or not; targets are 0
            and 1, (B, K).
        weights: K weights of the classes in the loss; of `classes`, the weight of 1 against 0. Empty for 1.
        smoothing: Label smoothing.
        focal: Gamma of the focal loss; 0 is the cross entropy.

    Reference:
        Lin, Goyal, Girshick, He, Dollar: Focal Loss for Dense Object Detection, ICCV 2017, equation 5.
    """

    kind: Kind = "numbers"
    weights: tuple[float, ...] = ()
    smoothing: float = 0.0
    focal: float = 0.0

    @property
    def of_numbers(self) -> bool:
        """Whether the prediction is the targets' values."""
        return self.kind == "numbers"

    def values(self, prediction: Tensor) -> Tensor:
        """(B, K) predictions as users read them: numbers as they are, scores as probabilities."""
        if self.of_numbers:
            return prediction
        return prediction.softmax(dim=1) if self.kind == "class" else prediction.sigmoid()

    def terms(self, prediction: Tensor, targets: Tensor, **errors: Error) -> dict[str, Tensor]:
        """The loss terms of a prediction: the named errors of numbers, or the only term `ce` of classes.

        Args:
            prediction: (B, K).
            targets: (B, K), or (B, 1) for `class`.
            errors: Name to loss of numbers.
        """
        if self.of_numbers:
            return {name: error(prediction, targets) for name, error in errors.items()}
        each, total = self._cross_entropy(prediction, targets)
        return {"ce": each.sum() / total.sum()}

    def each(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """(B,) losses of clips: the mean absolute error of numbers, or the weighted loss of classes."""
        if self.of_numbers:
            return (prediction - targets).abs().mean(dim=1)
        each, total = self._cross_entropy(prediction, targets)
        return each / total.mean()

    def _cross_entropy(self, prediction: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) weighted losses of clips, and the (B,) weights that their mean is over."""
        # Filled on the device: a copy from the host would wait for it at every step.
        weights = torch.stack([prediction.new_full((), w) for w in self.weights]) if self.weights else None  # (K,)
        if self.kind == "class":
            number = targets[:, 0].long()  # (B,)
            loss = F.cross_entropy(prediction, number, weights, reduction="none", label_smoothing=self.smoothing)
            if self.focal:
                sure = prediction.softmax(dim=1).gather(1, number[:, None])[:, 0]  # (B,)
                loss = loss * (1 - sure) ** self.focal
            return loss, torch.ones_like(loss) if weights is None else weights[number]
        smooth = targets * (1 - self.smoothing) + self.smoothing / 2  # (B, K)
        loss = F.binary_cross_entropy_with_logits(prediction, smooth, pos_weight=weights, reduction="none")
        if self.focal:
            share = prediction.sigmoid()
            loss = loss * (targets * (1 - share) + (1 - targets) * share) ** self.focal
        return loss.mean(dim=1), torch.ones_like(loss[:, 0])

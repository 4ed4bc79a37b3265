"""The Siamese paper's loss terms: Bell for the traits, multi-similarity with one set of classes for each trait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

EXTREMES = (0, 3)  # of four classes: far below and far above the train mean
SAFE = 60.0  # the sum of exp(60) over a million rows is a number in 32 bit


def bell_loss(pred: Tensor, target: Tensor, gamma: float = 300.0, sigma: float = 9.0) -> Tensor:
    """The mean of gamma * (1 - exp(-(target - pred)^2 / (2 sigma^2))).

    Args:
        pred: (B, K).
        target: (B, K).
        gamma: Its height, which is approached for large errors.
        sigma: Its width, in the targets' unit.

    Returns:
        A scalar.

    Reference:
        Li et al., "CR-Net", IJCV 2020; equation 4 of Fodor et al., arXiv 2405.03846.

    Differences:
        None from the equation. With targets in [0, 1] and the published constants no error leaves the bottom of
        the bell: the value is gamma / (2 sigma^2) = 1.85 times the mean squared error, to 0.4 %.
    """
    # expm1: in 32 bit, 1 - exp of a small number has few digits left.
    return -gamma * torch.expm1(-(target - pred).square() / (2 * sigma**2)).mean()


def trait_classes(targets: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The class of each target: below mean - std, below mean, below mean + std, or above.

    Args:
        targets: (B, K).
        mean: (K,) mean of the train split.
        std: (K,) standard deviation of the train split.

    Returns:
        (B, K) int64, 0 to 3.
    """
    return sum(((targets >= mean + step * std).long() for step in (-1, 0, 1)), torch.zeros_like(targets).long())


@dataclass(frozen=True)
class MultiSimilarity:
    """The multi-similarity loss of each trait's classes, averaged over rows and traits.

    For row i and trait j, with P the rows of i's class, N the others, both mined, and D the similarity:
    log(1 + sum_P exp(-alpha (D_ik - base))) / alpha + log(1 + sum_N exp(beta (D_ik - base))) / beta.

    Attributes:
        anchors: The rows i: those of classes 0 and 3 (`extreme`), or `all`. Every row can be k.
        alpha: Scale of positive pairs.
        beta: Scale of negative pairs.
        base: lambda, the similarity threshold of pairs.
        epsilon: Margin of the mining: a positive counts if it is less similar than the most similar negative plus
            epsilon, a negative if it is more similar than the least similar positive minus epsilon. None
            uses every pair.
        normalise: Whether D is the cosine; else the dot product.

    Reference:
        Wang et al., "Multi-Similarity Loss", CVPR 2019; equation 7 of Fodor et al., arXiv 2405.03846.

    Differences:
        The paper gives no alpha, beta, lambda or epsilon and does not say whether embeddings are normalised:
        the defaults are those of the TensorFlow code of the time (geonm/tf_ms_loss), which, unlike this, also sets
        negative similarities to 0. As in equation 7, the sum is divided by all n rows, including those that are not
        anchors; the mean over anchors differs only by a factor. With mining, an anchor without a positive or without a
        negative gives 0.
    """

    anchors: Literal["extreme", "all"] = "extreme"
    alpha: float = 2.0
    beta: float = 50.0
    base: float = 1.0
    epsilon: float | None = 0.1
    normalise: bool = True

    def __call__(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """The loss of (n, E) embeddings; 0 without pairs.

        Args:
            embeddings: (n, E).
            classes: (n, K) int64, or (n,) for one trait; a row with a negative class is ignored for that trait.
        """
        if classes.dim() == 1:
            classes = classes[:, None]  # (n, 1)
        rows = F.normalize(embeddings, dim=1) if self.normalise else embeddings  # (n, E)
        similarity = rows @ rows.T  # (n, n)
        by_trait = classes.T  # (K, n)
        there = by_trait >= 0  # (K, n)
        anchor = there
        if self.anchors == "extreme":
            anchor = (by_trait == EXTREMES[0]) | (by_trait == EXTREMES[1])  # (K, n)
        # For every row, also those that are not anchors, because masking whole pairs costs more.
        same = by_trait[:, :, None] == by_trait[:, None, :]  # (K, n, n)
        other = ~torch.eye(rows.shape[0], dtype=torch.bool, device=rows.device)  # (n, n)
        positive, negative = same & other, ~same & there[:, None, :]  # (K, n, n)
        if self.epsilon is not None:
            positive, negative = _mined(similarity.detach(), positive, negative, self.epsilon)
        # The largest possible exponents, because cosines are at most 1.
        most = (self.alpha * (1 + self.base), self.beta * (1 - self.base)) if self.normalise else (torch.inf,) * 2
        pull = _softplus_sum(-self.alpha * (similarity - self.base), positive, most[0]) / self.alpha  # (K, n)
        push = _softplus_sum(self.beta * (similarity - self.base), negative, most[1]) / self.beta  # (K, n)
        loss: Tensor = (((pull + push) * anchor).sum(dim=1) / there.sum(dim=1).clamp(min=1)).mean()
        return loss


def _mined(similarity: Tensor, positive: Tensor, negative: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The pairs that are harder than the hardest of the other kind, or nearly; (K, n, n) masks."""
    # Added instead of filled in, which is several times faster, and exact where 0 is added.
    far = torch.finfo(similarity.dtype).max / 4
    hardest = (similarity - far * (~negative).to(similarity.dtype)).amax(dim=2, keepdim=True)  # (K, n, 1)
    easiest = (similarity + far * (~positive).to(similarity.dtype)).amin(dim=2, keepdim=True)  # (K, n, 1)
    return positive & (similarity - epsilon < hardest), negative & (similarity + epsilon > easiest)


def _softplus_sum(exponent: Tensor, mask: Tensor, most: float) -> Tensor:
    """log(1 + the sum of exp where the mask is true) of (n, n) by (K, n, n): (K, n), without overflow."""
    if most < SAFE:
        # Powers are computed once for all traits.
        return torch.log1p((exponent.exp() * mask.to(exponent.dtype)).sum(dim=2))
    # Not -inf, because a row without pairs would have a gradient of NaN.
    nothing = torch.finfo(exponent.dtype).min / 4
    total = torch.logsumexp(exponent.masked_fill(~mask, nothing), dim=2)  # (K, n)
    return torch.logaddexp(total, torch.zeros_like(total))

"""Loss terms shared by several heads; each is computed from outputs of a head's forward and has no parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(logits: Tensor, there: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE: the mean of the cross entropies of rows and of columns, with the diagonal as target.

    Args:
        logits: (B, B) scaled similarities of B items in one view to the same B items in another.
        there: (B,) bool, the items that exist in both views; the others are left out. None for all.

    Returns:
        A scalar; 0 without items (nothing to align) and with one (nothing to distinguish).

    Reference:
        Radford et al. 2021 (CLIP), figure 3.
    """
    return (predictive_nce(logits, there) + predictive_nce(logits.T, there)) / 2


def predictive_nce(logits: Tensor, there: Tensor | None = None) -> Tensor:
    """InfoNCE in one direction: the mean cross entropy of the rows, with the diagonal as target.

    Args:
        logits: (B, B) scores of B predictions (rows) for B items (columns).
        there: (B,) bool, the items that exist; the others are left out. None for all.

    Returns:
        A scalar; 0 without items and with one.

    Reference:
        van den Oord, Li, Vinyals 2018, equation 4.
    """
    if logits.shape[0] == 0:
        return logits.sum() * 0.0
    right = torch.arange(logits.shape[0], device=logits.device)  # (B,)
    if there is None:
        return F.cross_entropy(logits, right)
    # A mask instead of an index: the number of items need not be known, so the device is not waited for.
    kept = logits.masked_fill(~(there[:, None] & there), torch.finfo(logits.dtype).min)  # (B, B)
    return masked_mean(F.cross_entropy(kept, right, reduction="none"), there)


def orthogonality(a: Tensor, b: Tensor, there: Tensor | None = None) -> Tensor:
    """The overlap of two representations of the same clips: the mean square of the entries of A^T B.

    Columns are centred over the batch, then rows scaled to length 1. The lengths have no gradient, as in the released
    code of MISA.

    Args:
        a: (B, D).
        b: (B, E).
        there: (B,) bool, the clips that have both; the others are left out. None for all.

    Returns:
        ||A^T B||_F^2 / (D E), a scalar; 0 for fewer than two clips.

    Reference:
        Bousmalis et al. 2016 (domain separation networks), equation 5, over the number of entries.
    """
    weights = torch.ones_like(a[:, 0]) if there is None else there.to(a.dtype)  # (B,)
    a, b = (_rows_of_length_1((x - _mean(x, weights)) * weights[:, None]) for x in (a, b))  # (B, D), (B, E)
    return (a.T @ b).square().mean() * (weights.sum() > 1)  # (D, E) to a scalar


def _rows_of_length_1(rows: Tensor) -> Tensor:
    """(B, D) divided by the rows' lengths, which count as constants in gradients; a row of zeros stays 0."""
    length = torch.linalg.vector_norm(rows.detach(), dim=1, keepdim=True)  # (B, 1)
    scaled: Tensor = rows / length.clamp(min=1e-12)  # (B, D)
    return scaled


def central_moment_discrepancy(
    x: Tensor, y: Tensor, moments: int = 5, x_there: Tensor | None = None, y_there: Tensor | None = None
) -> Tensor:
    """The difference of two distributions on [0, 1]^D: distances of means and of central moments of order 2 to K.

    Args:
        x: (B, D) samples of one.
        y: (C, D) samples of the other.
        moments: K.
        x_there: (B,) bool, the samples that exist; the others are left out. None for all.
        y_there: (C,), the same for the other.

    Returns:
        A scalar; 0 if either has no sample.

    Reference:
        Zellinger et al. 2017, definition 2, with b - a = 1.
    """
    of_x, of_y = (
        torch.ones_like(z[:, 0]) if there is None else there.to(z.dtype) for z, there in ((x, x_there), (y, y_there))
    )  # (B,), (C,)
    means = _mean(x, of_x), _mean(y, of_y)  # (D,)
    x, y = x - means[0], y - means[1]
    total: Tensor = torch.linalg.vector_norm(means[0] - means[1])
    for order in range(2, moments + 1):
        total = total + torch.linalg.vector_norm(_mean(x**order, of_x) - _mean(y**order, of_y))
    return total * ((of_x.sum() > 0) & (of_y.sum() > 0))


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of the rows of (B, D): (D,); 0 if all weights are 0."""
    return (values * weights[:, None]).sum(dim=0) / weights.sum().clamp(min=1.0)


def half_distance(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """(1 - cos) / 2 averaged over the batch: 0 where two views agree, 1 where they are opposite.

    Args:
        a: (B, D).
        b: (B, D).
        mask: (B,) bool; rows that count. Without any, the distance is 1/2, the value for unknown similarity.
    """
    cosine = F.cosine_similarity(a, b, dim=-1)  # (B,)
    return (1 - masked_mean(cosine, mask)) / 2


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of (B,) values where (B,) `mask` is true; 0 without any."""
    if mask is None:
        return values.mean()
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1.0)


def absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of (B, K) predictions."""
    return (prediction - target).abs().mean()


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of (B, K) predictions."""
    return (prediction - target).square().mean()

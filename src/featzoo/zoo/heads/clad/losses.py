"""CLAD's loss terms, one value for each clip; the teacher's outputs never get a gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from featzoo.zoo.head import Padded

# Added to every bin before the last renormalisation, so that a bin without attention on one side gives a finite loss.
SMOOTHING = 1e-6
# A logit that softmax maps to 0; finite, so that a row with only such logits is not NaN.
NEVER = -1e9


def text_keys(mask: Tensor, positions: Padded) -> tuple[Tensor, Tensor]:
    """The position of each token in the text, and the tokens that are text.

    Truncated token ids keep their last one, a separator, while truncated positions keep their first ones (see
    `padding.shorten`): the last token never counts.

    Args:
        mask: (B, T) bool, the tokens.
        positions: (B, S, 1) of the same texts, with special tokens not observed.

    Returns:
        (B, T), 0 to 1; (B, T) bool.
    """
    steps = min(mask.shape[1], positions.mask.shape[1])
    followed = F.pad(mask, (0, 1))[:, 1:]  # (B, T), all tokens but the last
    where, keys = torch.zeros(mask.shape, device=mask.device), torch.zeros_like(mask)
    where[:, :steps] = positions.values[:, :steps, 0]
    keys[:, :steps] = positions.observed[:, :steps, 0] & followed[:, :steps]
    return where, keys


def binned_attention(attention: Tensor, positions: Tensor, keys: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """The distribution of attention over a text, independent of its tokenisation.

    Args:
        attention: (B, T) attention on each token, not negative.
        positions: (B, T) position of each token in the whole text, 0 to 1.
        keys: (B, T) bool, the tokens that count: neither special nor padding.
        bins: M.

    Returns:
        (B, M) the share of each bin, their sum 1 (0 without keys); (B, M) bool, the bins that hold a token.
    """
    shares = attention * keys.to(attention.dtype)  # (B, T)
    # The sum is 0 over the tokens that count if all attention is on special tokens.
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
    number = (positions * bins).long().clamp(0, bins - 1)  # (B, T)
    member = (number[:, :, None] == torch.arange(bins, device=number.device)) & keys[:, :, None]  # (B, T, M)
    # Not scatter_add, which gives other digits each time on a GPU.
    binned = (shares[:, :, None] * member.to(shares.dtype)).sum(dim=1)  # (B, M)
    return binned, member.any(dim=1)


def bins_divergence(student: Tensor, teacher: Tensor, both: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(p_T || p_S) of two encoders for one text, over the bins in which both have tokens.

    p is the share of attention over those bins, renormalised, plus 1e-6, to the power 1 / temperature, renormalised.

    Args:
        student: (B, M) shares.
        teacher: (B, M) shares.
        both: (B, M) bool, the bins that both cover.
        temperature: Values above 1 flatten p.

    Returns:
        (B,) nonnegative up to rounding; 0 if at most one bin is covered by both.
    """
    theirs, ours = (_log_shares(p, both, temperature) for p in (teacher.detach(), student))  # (B, M) each
    return _divergence(theirs, ours)


def _log_shares(shares: Tensor, kept: Tensor, temperature: float) -> Tensor:
    """(B, M) log p over the bins `kept`, about -1e9 elsewhere."""
    inside = shares * kept.to(shares.dtype)  # (B, M)
    inside = inside / inside.sum(dim=1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
    logits = (inside + SMOOTHING).log() / temperature
    return logits.masked_fill(~kept, NEVER).log_softmax(dim=1)  # (B, M)


def _divergence(theirs: Tensor, ours: Tensor) -> Tensor:
    """(B,) KL of rows of log probabilities. Entries where both are -1e9 add nothing, because exp gives 0."""
    return (theirs.exp() * (theirs - ours)).sum(dim=1)


def batch_relation(student: Tensor, teacher: Tensor, present: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(R_T || R_S) of each row of R = softmax(H H^T / (sqrt(d) temperature)), without the diagonal.

    Args:
        student: (B, D) vectors of texts.
        teacher: (B, E) vectors of the same texts; E need not be D.
        present: (B,) bool, the rows that both have.
        temperature: Values above 1 flatten R.

    Returns:
        (B,) nonnegative up to rounding; 0 for absent rows, and if fewer than three are present.
    """
    pairs = present[:, None] & present & ~torch.eye(present.shape[0], dtype=torch.bool, device=present.device)  # (B, B)
    theirs, ours = (
        (h @ h.T * (h.shape[1] ** -0.5 / temperature)).masked_fill(~pairs, NEVER).log_softmax(dim=1)  # (B, B)
        for h in (teacher.detach(), student)
    )
    return _divergence(theirs, ours)


def representation_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two (B, D): (B,)."""
    return (student - teacher.detach()).square().mean(dim=1)  # (B,)


def logit_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """The difference between the student's and the teacher's softened probabilities, averaged over targets.

    This is BCE(z_S / t, sigmoid(z_T / t)) t^2 minus its lowest value, the teacher's own entropy, which has no gradient:
    the KL divergence of two Bernoulli distributions, so that equal logits give 0.

    Args:
        student: (B, K) logits.
        teacher: (B, K) logits.
        temperature: t.

    Returns:
        (B,) nonnegative up to rounding.
    """
    ours, theirs = student / temperature, teacher.detach() / temperature  # (B, K) each
    heads = theirs.sigmoid() * (F.logsigmoid(theirs) - F.logsigmoid(ours))
    tails = (-theirs).sigmoid() * (F.logsigmoid(-theirs) - F.logsigmoid(-ours))
    return (heads + tails).mean(dim=1) * temperature**2  # (B,)


def label_loss(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross entropy, averaged over targets.

    Args:
        logits: (B, K).
        targets: (B, K), 0 to 1.
        weight: (B, K) weight of each target; None if all are 1.

    Returns:
        (B,).
    """
    return F.binary_cross_entropy_with_logits(logits, targets, weight, reduction="none").mean(dim=1)  # (B,)

"""An encoder's outputs in a form that allows comparing encoders with different tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from featzoo.zoo.head import Outputs, Padded
from featzoo.zoo.heads.clad.losses import binned_attention, text_keys
from featzoo.zoo.nn.text_encoder import TextEncoder


class Reading(NamedTuple):
    """An encoder's output for B texts.

    Attributes:
        pooled: (B, H), 0 for a missing text.
        shares: (B, M) shares of the last layer's [CLS] attention in M equal parts of the text, with sum 1; (B, 0)
            if not requested.
        covered: (B, M) bool, the parts that hold a token.
    """

    pooled: Tensor
    shares: Tensor
    covered: Tensor


class Side(NamedTuple):
    """The outputs of one side for B texts.

    Attributes:
        present: (B,) bool, the texts that exist.
        logits: (B, K).
        pooled: (B, H), like the next two as in `Reading`.
        shares: (B, M).
        covered: (B, M) bool.
    """

    present: Tensor
    logits: Tensor
    pooled: Tensor
    shares: Tensor
    covered: Tensor


def read_text(encoder: TextEncoder, text: Padded, positions: Padded | None, bins: int) -> Reading:
    """Encode texts; the attention of a text in windows is the mean over the windows, weighted by their tokens.

    Args:
        encoder: The encoder.
        text: (B, T) token ids; or, for an encoder without windows, the result of its `distil`.
        positions: (B, T, 1) position of each token in the whole text, with special tokens not observed; None if
            unknown.
        bins: M; attention is left out if it is 0, or without positions.
    """
    if positions is None or not bins:
        pooled = encoder(text)  # (B, H)
        return Reading(pooled, pooled[:, :0], text.mask[:, :0])
    where, keys = text_keys(text.mask, positions)  # (B, T) each
    if not encoder.window:
        return _read(encoder, text, where, keys, bins)
    # The index in the text of each token of each window; positions and masks are indexed in the same way.
    number = torch.arange(text.mask.shape[1], device=text.mask.device).expand(text.mask.shape)  # (B, T)
    read = encoder.windows(Padded(number, text.mask, text.mask))
    ids, where, keys = (
        each[read.owner].gather(1, read.text.values) for each in (text.values, where, keys)
    )  # (P, W) each
    own = _read(encoder, Padded(ids, read.text.mask, read.text.mask), where, keys & read.text.mask, bins)
    # A window of only special tokens has no attention on words: its share is not counted.
    shares = read.average(own.shares)  # (B, M)
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
    return Reading(read.average(own.pooled), shares, read.average(own.covered.to(shares.dtype)) > 0)


def _read(encoder: TextEncoder, text: Padded, where: Tensor, keys: Tensor, bins: int) -> Reading:
    states = encoder.states(text)
    attention = encoder.encoder.cls_attention(states[-2], text.mask)  # (B, T)
    # In 32 bit under automatic mixed precision too.
    return Reading(encoder.pooled(states[-1], text.mask), *binned_attention(attention.float(), where, keys, bins))


def outputs_of(name: str, side: Side) -> Outputs:
    """A side as outputs of a head, under `<name>.<field>`."""
    return {f"{name}.{field}": value for field, value in side._asdict().items()}


def side_of(name: str, outputs: Outputs) -> Side:
    """The side that `outputs_of` took apart."""
    return Side(*(outputs[f"{name}.{field}"] for field in Side._fields))

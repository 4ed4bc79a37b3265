"""Outputs of an encoder in a form in which two encoders with different tokens can be compared."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from featzoo.zoo.head import Outputs, Padded
from featzoo.zoo.heads.clad.losses import binned_attention, text_keys
from featzoo.zoo.nn.text_encoder import TextEncoder


class Reading(NamedTuple):
    """An encoder's reading of B texts.

    Attributes:
        pooled: (B, H), 0 of a missing text.
        shares: (B, M) of the last layer's [CLS] attention in each of M equal parts of the text, their sum 1; (B, 0)
            where it is not asked for.
        covered: (B, M) bool, the parts that hold a token.
    """

    pooled: Tensor
    shares: Tensor
    covered: Tensor


class Side(NamedTuple):
    """The outputs of one side for B texts.

    Attributes:
        present: (B,) bool, the texts that there are.
        logits: (B, K).
        pooled: (B, H), see `Reading`, like the next two.
        shares: (B, M).
        covered: (B, M) bool.
    """

    present: Tensor
    logits: Tensor
    pooled: Tensor
    shares: Tensor
    covered: Tensor


def read_text(encoder: TextEncoder, text: Padded, positions: Padded | None, bins: int) -> Reading:
    """Read texts; attention of one that is read in windows is the mean over them, by their tokens.

    Args:
        encoder: Which reads them.
        text: (B, T) token ids; or, of an encoder without windows, what its `distil` made of them.
        positions: (B, T, 1) where in the whole text each token is, special ones not observed; None if not known.
        bins: M; without them, or without positions, attention is left out.
    """
    if positions is None or not bins:
        pooled = encoder(text)  # (B, H)
        return Reading(pooled, pooled[:, :0], text.mask[:, :0])
    where, keys = text_keys(text.mask, positions)  # (B, T) each
    if not encoder.window:
        return _read(encoder, text, where, keys, bins)
    # Which token of the text each token of each window is; what is known of tokens goes the same way.
    number = torch.arange(text.mask.shape[1], device=text.mask.device).expand(text.mask.shape)  # (B, T)
    read = encoder.windows(Padded(number, text.mask, text.mask))
    owner = read.there.nonzero()[:, 0]  # (P,)
    ids, where, keys = (each[owner].gather(1, read.text.values) for each in (text.values, where, keys))  # (P, W) each
    own = _read(encoder, Padded(ids, read.text.mask, read.text.mask), where, keys & read.text.mask, bins)
    # A window without a word, which only special tokens are left of, has looked nowhere: its share is not counted.
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

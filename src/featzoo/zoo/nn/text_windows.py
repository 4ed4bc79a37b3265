"""Divides long texts into windows for an encoder, each between the special tokens that it expects."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from featzoo.zoo.head import Padded


class Folded(NamedTuple):
    """The windows of a batch of texts.

    Attributes:
        text: (P, W) token ids or (P, W, H) hidden states, one window per row.
        owner: (P,) the row of each window's text in the batch.
        place: (P,) the number of each window in its text.
        shape: B texts and N places for windows in each.
    """

    text: Padded
    owner: Tensor
    place: Tensor
    shape: tuple[int, int]

    def unfolded(self, states: Tensor) -> Padded:
        """(P, W, H) hidden states, the windows of a text one after the other: (B, N * W, H)."""
        at, size = (self.owner, self.place), states.shape[1]
        values = states.new_zeros(*self.shape, *states.shape[1:])  # (B, N, W, H)
        mask = torch.zeros(*values.shape[:3], dtype=torch.bool, device=values.device)  # (B, N, W)
        values, mask = values.index_put(at, states), mask.index_put(at, self.text.mask)
        values, mask = values.flatten(1, 2), mask.flatten(1, 2)  # (B, N * W, H), (B, N * W)
        values = values.masked_fill(~mask[:, :, None], 0.0)
        return Padded(values, mask, mask[:, :, None].expand(values.shape[0], self.shape[1] * size, values.shape[2]))

    def average(self, vectors: Tensor) -> Tensor:
        """(P, H) vectors of windows to (B, H) of texts, with windows weighted by their tokens; 0 without windows."""
        texts = self.shape[0]
        tokens = self.text.mask.sum(dim=1).to(vectors.dtype)  # (P,)
        total = vectors.new_zeros(texts, vectors.shape[1]).index_add(0, self.owner, vectors * tokens[:, None])
        count = vectors.new_zeros(texts).index_add(0, self.owner, tokens)  # (B,)
        return total / count.clamp(min=1.0)[:, None]  # (B, H)


def framed(text: Padded, size: int) -> Padded:
    """Put a text's first and last token, which are special, around each of its windows.

    Args:
        text: (B, T) token ids; true ones first.
        size: W tokens of a window, including special tokens; at least 3.

    Returns:
        (B, T') ids, the windows one after the other: all except a text's last have W tokens.
    """
    steps = text.mask.sum(dim=1)  # (B,)
    inner = (steps - 2).clamp(min=0)  # (B,)
    windows = torch.where(steps > 2, (inner + size - 3) // (size - 2), 1)  # (B,)
    length = torch.where(steps > 2, inner + 2 * windows, steps)  # (B,)
    # As long as the windows of a text of T tokens, one of which is in the batch; asking for it would wait for a GPU.
    longest = text.mask.shape[1]
    whole = longest - 2 + 2 * ((longest + size - 5) // (size - 2)) if longest > 2 else longest
    place = torch.arange(max(1, whole), device=length.device)  # (T',)
    mask = place < length[:, None]  # (B, T')
    within = place % size  # (T',)
    source = (place // size * (size - 2) + within).expand(mask.shape)  # (B, T')
    ends = (within == size - 1) | (place == length[:, None] - 1)  # (B, T')
    source = torch.where(ends, steps[:, None] - 1, source)
    source = torch.where(within == 0, 0, source)  # also of a text that is one token long
    ids = text.values.gather(1, source.clamp(0, max(text.values.shape[1] - 1, 0))) * mask  # (B, T')
    return Padded(ids, mask, mask)


def folded(text: Padded, size: int, drawn: int = 0) -> Folded:
    """The windows of texts that come from `framed` or `Folded.unfolded`.

    Args:
        text: (B, T') ids or (B, T', H) states.
        size: W tokens of a window.
        drawn: Number of windows of each text, drawn at random; 0 uses all.
    """
    more = -text.mask.shape[1] % size
    values = torch.cat([text.values, text.values.new_zeros(text.values.shape[0], more, *text.values.shape[2:])], dim=1)
    mask = torch.cat([text.mask, text.mask.new_zeros(text.mask.shape[0], more)], dim=1)  # (B, N * W)
    values, mask = values.unflatten(1, (-1, size)), mask.unflatten(1, (-1, size))  # (B, N, W, ...), (B, N, W)
    first = torch.arange(mask.shape[1], device=mask.device) == 0  # (N,)
    there = mask.any(dim=2) | first  # (B, N); an encoder reads at least one window, if an empty one
    if drawn:
        there = there & _some(there, drawn)
    # The only place where the device is waited for: windows that do not exist would cost more to encode.
    owner, place = there.nonzero(as_tuple=True)  # (P,) each
    longest = size if there.shape[1] > 1 else min(size, max(1, text.mask.shape[1]))  # a short text is one short window
    values, mask = values[owner, place, :longest], mask[owner, place, :longest]  # (P, W, ...), (P, W)
    observed = mask if values.dim() == 2 else mask[:, :, None].expand(values.shape)
    return Folded(Padded(values, mask, observed), owner, place, (there.shape[0], there.shape[1]))


def single(text: Padded) -> Folded:
    """Texts that are read at once, as one window each."""
    owner = torch.arange(text.mask.shape[0], device=text.mask.device)  # (B,)
    return Folded(text, owner, torch.zeros_like(owner), (text.mask.shape[0], 1))


def _some(there: Tensor, count: int) -> Tensor:
    """(B, N) bool: `count` of the existing windows at random, or all."""
    chance = torch.rand(there.shape, device=there.device).masked_fill(~there, -1.0)  # (B, N)
    rank = chance.argsort(dim=1, descending=True).argsort(dim=1)  # (B, N)
    return rank < count

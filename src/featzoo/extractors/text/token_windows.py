"""A clip's text as tokens, its windows for an encoder, and the joined hidden states of the windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from typing import NamedTuple

import numpy as np

from featzoo.sequence import Array

# A batch ends when its padding exceeds this share of its tokens, if it has enough texts to justify a pass.
PADDED, WORTHWHILE = 1.1, 8


class Tokens(NamedTuple):
    """One clip's text for the encoder.

    Attributes:
        ids: (T,) token ids, special tokens included.
        word: (T,) the word of each token, -1 for special tokens.
        intervals: (W, 2) seconds of the words; NaN where not known.
        edges: Number of special tokens at the start, and at the end.
        windows: (P, 2) the tokens of each pass through the encoder, from and to, without special tokens.
        place: (T,) position of each token's middle in the whole text, 0 to 1; NaN for special tokens.
    """

    ids: Array
    word: Array
    intervals: Array
    edges: tuple[int, int]
    windows: Array
    place: Array

    def __len__(self) -> int:
        return len(self.ids)

    def passes(self) -> list[Array]:
        """The token ids of each pass."""
        if len(self.windows) == 1:
            return [self.ids]
        first, last = self.ids[: self.edges[0]], self.ids[len(self.ids) - self.edges[1] :]
        return [np.concatenate([first, self.ids[start:end], last]) for start, end in self.windows]


def words_of_tokens(words: Sequence[str], numbers: Sequence[int | None], offsets: Array) -> Array:
    """(T,) the word of each token, found by its (T, 2) letters; -1 for special tokens, which have no word.

    A token that is only the space before a word belongs to that word.
    """
    owner = np.repeat(np.arange(len(words)), [len(word) + (number > 0) for number, word in enumerate(words)])
    special = np.array([number is None for number in numbers], dtype=bool)  # (T,)
    start, end = offsets.T  # (T,) each
    if not len(owner):
        return np.full(len(special), -1)
    return np.where(special, -1, owner[np.clip(np.maximum(start, end - 1), 0, len(owner) - 1)])


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Numbers of texts that share a forward pass, sorted by length: `size`, or fewer if there would be much padding."""
    batch: list[int] = []
    tokens = 0
    for number in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        whole = (len(batch) + 1) * lengths[number]
        padded = len(batch) >= WORTHWHILE and whole > PADDED * (tokens + lengths[number])
        if len(batch) == size or padded:
            yield batch
            batch, tokens = [], 0
        batch.append(number)
        tokens += lengths[number]
    if batch:
        yield batch


def windows_of(length: int, room: int, shared: int) -> Array:
    """(P, 2) start and end of the fewest windows that cover a text, all of `room` tokens if it is long enough.

    Args:
        length: Tokens of the text.
        room: Tokens of a window.
        shared: Minimum number of tokens that neighbours share.
    """
    count = 1 + max(0, ceil((length - room) / (room - shared)))
    starts = np.linspace(0, max(0, length - room), count).round().astype(np.int64)
    return np.stack([starts, np.minimum(starts + room, length)], axis=1)  # (P, 2)


def joined(sample: Tokens, passes: Sequence[Array]) -> Array:
    """(T, D) of the whole text: each token from the window where its nearer edge is farthest."""
    if len(passes) == 1:
        return passes[0]
    first, last = sample.edges
    whole = np.empty((len(sample.ids), passes[0].shape[1]), passes[0].dtype)  # (T, D)
    whole[:first], whole[len(whole) - last :] = passes[0][:first], passes[-1][len(passes[-1]) - last :]
    # All windows have the same length, so the nearer edge changes halfway between two centres.
    turns = [(one[1] + other[0] + 1) // 2 for one, other in pairwise(sample.windows)]
    turns = [first, *turns, len(whole) - last]
    for (start, end), rows, (begin, _) in zip(pairwise(turns), passes, sample.windows, strict=True):
        whole[start:end] = rows[first + start - begin : first + end - begin]
    return whole


def token_intervals(sample: Tokens) -> Array:
    """The interval of each token's word; NaN for special tokens."""
    return np.where(sample.word[:, None] >= 0, sample.intervals[sample.word], np.nan)  # (T, 2)


def span(intervals: Array) -> Array:
    """From the first word's start to the last word's end; NaN if no time is known."""
    if np.isnan(intervals).all():
        return np.full((1, 2), np.nan)
    return np.array([[np.nanmin(intervals), np.nanmax(intervals)]])

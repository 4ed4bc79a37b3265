"""The true envelope of a spectrum and its cepstrum on the mel scale."""

from __future__ import annotations

from functools import cache

import numpy as np

from featzoo.extractors.audio.covarep.signals import rounded
from featzoo.sequence import Array

OVERSHOOT = 2 * np.log(10) / 20  # 2 dB in nepers: how far the spectrum may exceed its envelope
MOST_STEPS = 200
LARGEST_ORDER = 2047
BLOCK_ROWS = 32


def cepstral_order(f0: Array, rate: int) -> Array:
    """(B,) order that resolves what harmonics of F0 sample: fs / (2 F0), at most 2047."""
    return np.asarray(np.minimum(rounded(0.5 * rate / f0), LARGEST_ORDER))


def true_envelope(level: Array, order: Array) -> Array:
    """(B, F) smooth envelopes over the peaks of log spectra.

    Args:
        level: (B, F) log magnitudes (natural) at bins 0 .. F - 1 of a DFT of 2 (F - 1).
        order: (B,) cepstral orders; 1.2 times as many coefficients are used, tapered by half a Hamming window.

    Reference:
        Roebel & Rodet, "Efficient spectral envelope estimation and its application to pitch shifting and
        envelope preservation", DAFx 2005, section 3.

    The step of the iteration is 1 + sqrt(Eo / Ei), Ei and Eo the energies of the one-sided cepstrum up to and
    beyond the order. Rows with a level that is not finite give NaN.
    """
    bins = level.shape[1]
    wide = np.minimum(rounded(1.2 * order), LARGEST_ORDER)
    half = rounded(1.2 * rounded(wide / 2))
    ends = np.maximum(rounded(0.25 * 2 * (bins - 1) / wide), 1)[:, None]
    index = np.arange(bins)
    envelope = np.full_like(level, np.nan)
    rows = np.flatnonzero(np.isfinite(level).all(axis=1))
    # Rows of the same order share an array and their cosines.
    rows = rows[np.argsort(wide[rows], kind="stable")]
    for first in range(0, len(rows), BLOCK_ROWS):
        block = rows[first : first + BLOCK_ROWS]
        part = level[block]
        edge = (index < ends[block]) | (index >= bins - ends[block] + 1)
        np.copyto(part, _smoothed(part, half[block]), where=edge)
        envelope[block] = _smoothed(part, wide[block])
    return envelope


@cache
def _cosines(bins: int, width: int) -> tuple[Array, Array, Array, Array]:
    """The cosine transform of a half spectrum of `bins` to `width` coefficients, and back, in two halves each.

    The sum of the spectrum and its mirror image has the even coefficients only, the difference the odd ones: two
    products of matrices a quarter of the size in place of one. A further column in front gives the last coefficient.
    """
    size = 2 * (bins - 1)
    middle = np.arange(bins // 2 + 1)
    weight = np.full((len(middle), 1), 4 / size)
    weight[[0, -1]] /= 2  # the ends count once, and both halves hold the bin in the middle
    found = []
    for first in (0, 1):
        number = np.arange(first, width, 2)
        back = np.cos(np.pi * np.outer(middle, number) / (bins - 1))
        forth = weight * back
        if first == 0:
            forth[:, 0] /= 2
            last = weight / 2 * (-1.0) ** middle[:, None]
            forth = np.concatenate([last, forth], axis=1)
        found += [forth, np.ascontiguousarray(back.T)]
    return found[0], found[1], found[2], found[3]


def _table_width(width: int) -> int:
    """The next width that has a table of cosines, so that there are few tables."""
    return -(-width // 16) * 16 if width <= 256 else -(-width // 256) * 256


def _energy(both: Array) -> Array:
    """(B,) energy of the two-sided cepstrum, by Parseval, from a half spectrum and its mirror image (2, B, half)."""
    size = 4 * (both.shape[2] - 1)
    total = 2 * np.einsum("cbi,cbi->b", both, both) - both[0, :, 0] ** 2 - both[1, :, 0] ** 2
    return np.asarray(2 / size * (total - 2 * both[0, :, -1] ** 2))


def _smoothed(level: Array, order: Array) -> Array:
    """(B, F) envelopes with cepstra up to `order` (B,); rows that have converged leave the iteration."""
    rows, bins = level.shape
    half, width = bins // 2 + 1, _table_width(int(order.max()) + 1)
    even, even_back, odd, odd_back = _cosines(bins, width)
    split = width // 2
    index = np.concatenate([np.arange(0, width, 2), np.arange(1, width, 2)])
    inside = (index <= order[:, None]).astype(np.float64)
    lifter = inside * (0.54 + 0.46 * np.cos(np.pi * index / order[:, None]))  # (B, width)
    goal = np.stack([level[:, :half], level[:, : half - 2 : -1]])  # (2, B, half): the spectrum, and backwards
    raised, current = goal.copy(), np.zeros((rows, width))
    work, found, owner = np.empty_like(goal), np.empty_like(goal), np.arange(rows)
    envelope, left = np.empty_like(level), rows
    for step in range(MOST_STEPS):
        both, up, down = raised[:, :left], work[:, :left], found[:, :left]
        np.add(both[0], both[1], out=up[0])
        np.subtract(both[0], both[1], out=up[1])
        first = up[0] @ even
        last, kept = first[:, 0], np.concatenate([first[:, 1:], up[1] @ odd], axis=1)  # (left,), (left, width)
        total = _energy(both) - kept[:, 0] ** 2 - last**2
        kept *= inside[:left]
        within = np.einsum("bi,bi->b", kept, kept)
        beyond = np.maximum(total - within, 0.0)
        stride = 1 + np.sqrt(np.divide(beyond, within, out=np.zeros(left), where=within > 0))
        current[:left] += stride[:, None] * lifter[:left] * (kept - current[:left])
        np.matmul(current[:left, :split], even_back, out=up[0])
        np.matmul(current[:left, split:], odd_back, out=up[1])
        np.add(up[0], up[1], out=down[0])
        np.subtract(up[0], up[1], out=down[1])
        np.maximum(both, down, out=both)
        np.subtract(goal[:, :left], down, out=up)
        done = (up.max(axis=(0, 2)) <= OVERSHOOT) | (step == MOST_STEPS - 1)
        if done.any():
            gone = np.flatnonzero(done)
            envelope[owner[gone], :half] = down[0, gone]
            envelope[owner[gone], half - 1 :] = down[1, gone, ::-1]
            left -= len(gone)
            # The last rows move to where rows have gone.
            holes, movers = gone[gone < left], left + np.flatnonzero(~done[left:])
            goal[:, holes], raised[:, holes] = goal[:, movers], raised[:, movers]
            for values in (current, inside, lifter, owner):
                values[holes] = values[movers]
        if not left:
            break
    return envelope


@cache
def _warp(bins: int, rate: int, order: int) -> tuple[Array, Array, Array]:
    """Positions of the warped bins: the bin below and the share of the next; and the cosines of the cepstrum."""
    frequency = np.arange(bins) * rate / (2 * (bins - 1))
    mel = np.log(1 + frequency / 700)
    mel *= frequency[-1] / mel[-1]
    low = np.clip(np.searchsorted(mel, frequency, side="right") - 1, 0, bins - 2)
    share = (frequency - mel[low]) / (mel[low + 1] - mel[low])
    turn = np.pi * np.outer(np.arange(bins), np.arange(order + 1)) / (bins - 1)
    weight = np.full(bins, 2.0)
    weight[[0, -1]] = 1.0
    cosines = weight[:, None] * np.cos(turn) / (2 * (bins - 1))
    cosines[:, 1:] *= 2
    return low, np.clip(share, 0.0, 1.0), cosines


def warped_cepstrum(amplitude: Array, rate: int, order: int) -> Array:
    """(B, order + 1) cepstrum of spectra on the mel scale: c0, then coefficients counted twice.

    The amplitude (not its logarithm) is interpolated at 700 (e^m - 1) Hz, the scale stretched so that
    rate / 2 is mapped to itself. Natural logarithms: c0 is the mean log amplitude and follows the level.

    Args:
        amplitude: (B, F) magnitudes at 0 .. rate / 2.
        rate: Hz.
        order: Of the last coefficient.

    Reference:
        Imai, "Cepstral analysis synthesis on the mel frequency scale", ICASSP 1983.
    """
    low, share, cosines = _warp(amplitude.shape[1], rate, order)
    warped = np.take(amplitude, low, axis=1) * (1 - share)
    warped += np.take(amplitude, low + 1, axis=1) * share
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(warped) @ cosines)

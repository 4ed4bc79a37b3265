"""The true envelope of a spectrum and its cepstrum on the mel scale."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft

from featzoo.extractors.covarep.signals import rounded
from featzoo.sequence import Array

OVERSHOOT = 2 * np.log(10) / 20  # 2 dB in nepers: how far the spectrum may stand out of its envelope
MOST_STEPS = 200
LARGEST_ORDER = 2047


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
    beyond the order.
    """
    wide = np.minimum(rounded(1.2 * order), LARGEST_ORDER)
    half = rounded(1.2 * rounded(wide / 2))
    ends = np.maximum(rounded(0.25 * 2 * (level.shape[1] - 1) / wide), 1)[:, None]
    low = _smoothed(level, half)
    index = np.arange(level.shape[1])
    edge = (index < ends) | (index >= level.shape[1] - ends + 1)
    return _smoothed(np.where(edge, low, level), wide)


def _smoothed(level: Array, order: Array) -> Array:
    size = 2 * (level.shape[1] - 1)
    width = int(order.max()) + 1
    index = np.arange(width)
    inside = index <= order[:, None]
    lifter = np.where(inside, 0.54 + 0.46 * np.cos(np.pi * index / order[:, None]), 0.0)  # (B, width)
    raised, current = level.copy(), np.zeros((len(level), width))
    envelope = level.copy()
    active = np.flatnonzero(np.isfinite(level).all(axis=1))
    envelope[~np.isfinite(level).all(axis=1)] = np.nan
    for _ in range(MOST_STEPS):
        if not len(active):
            break
        cepstrum = fft.dct(raised[active], type=1, axis=1) / size
        cepstrum[:, 1 : size // 2] *= 2
        kept = np.where(inside[active], cepstrum[:, :width], 0.0)
        within = np.einsum("bi,bi->b", kept, kept)
        beyond = np.maximum(np.einsum("bi,bi->b", cepstrum, cepstrum) - within, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(within > 0, 1 + np.sqrt(beyond / within), 1.0)
        change = kept - np.where(inside[active], current[active], 0.0)
        current[active] += step[:, None] * lifter[active] * change
        padded = np.zeros((len(active), size // 2 + 1))
        padded[:, :width] = current[active]
        padded[:, 1:-1] /= 2
        envelope[active] = fft.dct(padded, type=1, axis=1, overwrite_x=True)
        over = (level[active] - envelope[active]).max(axis=1) > OVERSHOOT
        raised[active] = np.maximum(raised[active], envelope[active])
        active = active[over]
    return envelope


@cache
def _warp(bins: int, rate: int, order: int) -> tuple[Array, Array, Array]:
    """Where the warped bins lie: the bin below, the share of the next; and the cosines of the cepstrum."""
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


def warped_cepstrum(level: Array, rate: int, order: int) -> Array:
    """(B, order + 1) cepstrum of log spectra on the mel scale: c0, then coefficients counted twice.

    The amplitude (not its logarithm) is interpolated at 700 (e^m - 1) Hz, the scale stretched so that
    rate / 2 stays where it is. Natural logarithms: c0 is the mean log amplitude and follows the level.

    Args:
        level: (B, F) log magnitudes at 0 .. rate / 2.
        rate: Hz.
        order: Of the last coefficient.

    Reference:
        Imai, "Cepstral analysis synthesis on the mel frequency scale", ICASSP 1983.
    """
    low, share, cosines = _warp(level.shape[1], rate, order)
    amplitude = np.exp(level)
    with np.errstate(divide="ignore", invalid="ignore"):
        warped = np.log(amplitude[:, low] * (1 - share) + amplitude[:, low + 1] * share)
        return np.asarray(warped @ cosines)

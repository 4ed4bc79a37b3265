"""Instants of glottal closure by SEDREAMS."""

from __future__ import annotations

import numpy as np
from scipy import signal

from featzoo.extractors.covarep.pitch import HIGHEST, LOWEST, Pitch
from featzoo.extractors.covarep.signals import blackman, rounded, zero_phase_elliptic
from featzoo.sequence import Array

# Share of an interval, to either side of the typical position, in which the closure is looked for.
REACH = 0.35


def median_f0(pitch: Pitch) -> float:
    """Median F0 in Hz of the voiced frames between 50 and 500 Hz; NaN where there is none."""
    inside = pitch.f0[pitch.voiced & (pitch.f0 > LOWEST) & (pitch.f0 < HIGHEST)]
    return float(np.median(inside)) if len(inside) else float("nan")


def mean_based_signal(samples: Array, rate: int, f0: float) -> Array:
    """(N,) moving Blackman average of 1.7 mean periods, high-passed at 50 Hz, largest value 1.

    Reference:
        Drugman & Dutoit, "Glottal closure and opening instant detection from speech signals",
        Interspeech 2009, equation 1.
    """
    half = int(rounded(1.7 * int(rounded(rate / f0)) / 2))
    window = blackman(2 * half + 1)
    smooth = signal.oaconvolve(samples, window / window.sum(), mode="same")
    smooth[:half] = 0
    smooth[len(smooth) - half :] = 0
    smooth = zero_phase_elliptic(smooth, 5, 50.0, rate)
    largest = smooth.max()
    return np.asarray(smooth / largest) if largest > 0 else np.zeros_like(smooth)


def sedreams(samples: Array, rate: int, f0: float, residual: Array) -> Array:
    """Instants of glottal closure, 0-based sample numbers (G,) int64, ascending, unvoiced sound included.

    Args:
        samples: (N,) sound of positive polarity.
        rate: Hz.
        f0: The recording's median F0, Hz.
        residual: (N,) residual of linear prediction of `samples`, largest magnitude 1; NaN counts as 0.

    Reference:
        Drugman, Thomas, Gudnason, Naylor & Dutoit, "Detection of glottal closure instants from speech
        signals: a quantitative review", IEEE TASLP 2012, section II.E.
    """
    none = np.zeros(0, dtype=np.int64)
    if not f0 > 0 or len(samples) < 3 * rate / f0:
        return none
    mean = mean_based_signal(samples, rate, f0)
    middle = mean[1:-1]
    tops = np.flatnonzero((middle > mean[:-2]) & (middle > mean[2:])) + 1
    bottoms = np.flatnonzero((middle < mean[:-2]) & (middle < mean[2:])) + 1
    if not len(tops) or not len(bottoms):
        return none
    tops = tops[tops > bottoms[0]]
    # Plateaus have no strict extremum: each minimum goes with the next maximum.
    bottoms = bottoms[: len(tops)]
    tops = tops[: len(bottoms)]
    if not len(tops):
        return none
    strong = np.flatnonzero(residual > 0.4)  # of the largest magnitude, which is 1
    if not len(strong):
        return none
    ratio = _position(strong, bottoms, tops)
    return _peaks(residual, bottoms, tops, ratio)


def _position(strong: Array, bottoms: Array, tops: Array) -> float:
    """Where between a minimum (0) and the next maximum (1) the strong samples of the residual usually lie."""
    after = np.clip(np.searchsorted(bottoms, strong), 1, len(bottoms) - 1) if len(bottoms) > 1 else 0 * strong
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(bottoms[before] - strong) <= np.abs(bottoms[after] - strong), before, after)
    return float(np.median((strong - bottoms[nearest]) / (tops[nearest] - bottoms[nearest])))


def _peaks(residual: Array, bottoms: Array, tops: Array, ratio: float) -> Array:
    span = tops - bottoms
    first = bottoms + rounded((ratio - REACH) * span)
    last = bottoms + rounded((ratio + REACH) * span)
    keep = (first < len(residual)) & (last > 0)
    first, last = np.maximum(first[keep], 0), np.minimum(last[keep], len(residual) - 1)
    found = np.empty(len(first), dtype=np.int64)
    width = last - first + 1
    padded = np.append(np.where(np.isnan(residual), 0.0, residual), -np.inf)
    # Neighbouring rows have like widths: blocks of them are one array.
    for begin in range(0, len(first), 512):
        rows = slice(begin, begin + 512)
        offsets = np.arange(width[rows].max())
        index = np.where(offsets < width[rows, None], first[rows, None] + offsets, len(residual))
        found[rows] = first[rows] + np.argmax(padded[index], axis=1)
    return found


def voiced_instants(instants: Array, pitch: Pitch, rate: int, length: int) -> Array:
    """The instants (G,) in voiced sound: SRH's decision, interpolated at the sample, is at least 1/2."""
    numbers = np.unique(instants[(instants >= 1) & (instants < length)])
    if len(pitch.time) < 2:
        return numbers[:0]
    # The original looks up sample number n of a track that counts from 1 with an n that counts from 0.
    share = np.interp(numbers, pitch.time * rate, pitch.voiced.astype(np.float64), left=0.0, right=0.0)
    return np.asarray(numbers[share >= 0.5])

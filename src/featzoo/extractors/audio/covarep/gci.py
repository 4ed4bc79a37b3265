"""Instants of glottal closure by SEDREAMS."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import signal

from featzoo.extractors.audio.covarep.pitch import HIGHEST, LOWEST, Pitch
from featzoo.extractors.audio.covarep.signals import BLOCK_SAMPLES, blackman, rounded, zero_phase_elliptic
from featzoo.sequence import Array

# Share of an interval, to either side of the typical position, in which the closure is looked for.
REACH = 0.35


def median_f0(pitch: Pitch) -> float:
    """Median F0 in Hz of the voiced frames between 50 and 500 Hz; NaN if there are none."""
    inside = pitch.f0[pitch.voiced & (pitch.f0 > LOWEST) & (pitch.f0 < HIGHEST)]
    return float(np.median(inside)) if len(inside) else float("nan")


def mean_based_signal(samples: Array, rate: int, f0: float) -> Array:
    """(N,) moving Blackman average of 1.7 mean periods, high-passed at 50 Hz; its scale does not matter.

    Reference:
        Drugman & Dutoit, "Glottal closure and opening instant detection from speech signals",
        Interspeech 2009, equation 1.
    """
    half = int(rounded(1.7 * int(rounded(rate / f0)) / 2))
    window = blackman(2 * half + 1)
    window /= window.sum()
    smooth = np.zeros(len(samples))
    for first in range(half, len(samples) - half, BLOCK_SAMPLES):
        last = min(first + BLOCK_SAMPLES, len(samples) - half)
        part = np.asarray(samples[first - half : last + half], dtype=np.float64)
        smooth[first:last] = signal.oaconvolve(part, window, mode="valid")
    zero_phase_elliptic(smooth, 5, 50.0, rate)
    return smooth


class Turns(NamedTuple):
    """Turning points of the mean-based signal: sample numbers of its strict maxima and minima, ascending int64."""

    tops: Array
    bottoms: Array

    def reversed(self) -> Turns:
        """The turning points of the inverted sound."""
        return Turns(self.bottoms, self.tops)


def turns(samples: Array, rate: int, f0: float) -> Turns:
    """The turns of the mean-based signal of `samples` (N,); empty without F0 or with fewer than three periods.

    Args:
        samples: (N,) sound.
        rate: Hz.
        f0: The recording's median F0, Hz.
    """
    if not f0 > 0 or len(samples) < 3 * rate / f0:
        none = np.zeros(0, dtype=np.int64)
        return Turns(none, none)
    mean = mean_based_signal(samples, rate, f0)
    left, middle, right = mean[:-2], mean[1:-1], mean[2:]
    return Turns(
        np.flatnonzero((middle > left) & (middle > right)) + 1, np.flatnonzero((middle < left) & (middle < right)) + 1
    )


def sedreams(turn: Turns, residual: Array) -> Array:
    """Instants of glottal closure, 0-based sample numbers (G,) int64, ascending, unvoiced sound included.

    Args:
        turn: The turns of the mean-based signal of sound of positive polarity.
        residual: (N,) residual of its linear prediction, largest magnitude 1; NaN counts as 0.

    Reference:
        Drugman, Thomas, Gudnason, Naylor & Dutoit, "Detection of glottal closure instants from speech
        signals: a quantitative review", IEEE TASLP 2012, section II.E.
    """
    none = np.zeros(0, dtype=np.int64)
    tops, bottoms = turn
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
    """The usual position of the residual's strong samples between a minimum (0) and the next maximum (1)."""
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
    # Neighbouring rows have similar widths, so blocks of them are one array.
    for begin in range(0, len(first), 512):
        rows = slice(begin, begin + 512)
        offsets = np.arange(width[rows].max())
        index = np.minimum(first[rows, None] + offsets, len(residual) - 1)
        values = np.nan_to_num(residual[index], nan=0.0)
        found[rows] = first[rows] + np.argmax(np.where(offsets < width[rows, None], values, -np.inf), axis=1)
    return found


def voiced_instants(instants: Array, pitch: Pitch, rate: int, length: int) -> Array:
    """The instants (G,) in voiced sound: SRH's decision, interpolated at the sample, is at least 1/2."""
    numbers = np.unique(instants[(instants >= 1) & (instants < length)])
    if len(pitch.time) < 2:
        return numbers[:0]
    # The original looks up sample number n of a track that counts from 1 with an n that counts from 0.
    share = np.interp(numbers, pitch.time * rate, pitch.voiced.astype(np.float64), left=0.0, right=0.0)
    return np.asarray(numbers[share >= 0.5])

"""Phase distortion on the scale of harmonics, as its papers define it, for `compat="corrected"`."""

from __future__ import annotations

import numpy as np
from scipy import signal

from featzoo.extractors.audio.covarep.envelope import warped_cepstrum
from featzoo.extractors.audio.covarep.harmonic import Harmonics
from featzoo.extractors.audio.covarep.hmpd import BANDS, BINS, DEVIATION_FRAMES, MEAN_FRAMES, between_harmonics
from featzoo.extractors.audio.covarep.pitch import LOWEST
from featzoo.sequence import Array

FLOOR = 0.001  # radians: smaller deviations are raised to this before the logarithm
ORDER = 12


def most_harmonics(rate: int) -> int:
    """Maximum number of differences of neighbouring harmonics: that of the lowest voice, at most 512."""
    return min(sum(BANDS), rate // 2 // LOWEST)


def turned(found: Harmonics, voiced: Array, rate: int) -> Array:
    """(2, B, H) cosine and sine of the phase distortion; column k belongs to harmonics k + 1 and k + 2, counted from 1.

    NaN beyond the last harmonic, and in rows that are not voiced.

    Args:
        found: The harmonics of B frames.
        voiced: (B,) bool.
        rate: Hz.

    Reference:
        Degottex & Erro, "A uniform phase representation for the harmonic model in speech synthesis
        applications", EURASIP JASMP 2014, equation 8: the phases' second difference, without minimum phase.
    """
    distortion = between_harmonics(found, rate)[:, 1:]  # (B, H): the first is that of DC, 0 by definition
    rows, wanted = len(distortion), most_harmonics(rate)
    known = np.full((rows, wanted), np.nan)
    width = min(wanted, distortion.shape[1])
    inside = np.arange(width) < found.harmonics[:, None] - 1
    known[:, :width] = np.where(inside & voiced[:, None], distortion[:, :width], np.nan)
    return np.stack([np.cos(known), np.sin(known)])  # (2, B, H)


def mean(turn: Array) -> Array:
    """(K, 25) mean of the phase distortion over time and in bands of harmonics, radians.

    Over time: a triangle of 49 frames (25, forth and back), of those that have the harmonic. Bands: the first eight
    harmonics one by one, then 2, 3, 4 ... of them; NaN where a frame has no harmonic of a band.

    Args:
        turn: (2, K, H) from `turned`.

    Reference:
        Degottex & Obin, "Phase distortion statistics as a representation of the glottal source", Interspeech
        2014, equation 4.
    """
    smooth = _weighted(turn, np.full(MEAN_FRAMES, 1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        smooth /= np.hypot(smooth[0], smooth[1])
    known = np.isfinite(turn[0]) & np.isfinite(smooth[0])
    band = np.repeat(np.eye(len(BANDS)), BANDS, axis=0)[: turn.shape[2]]  # (H, 25)
    cosine, sine = (np.where(known, part, 0.0) @ band for part in smooth)  # (K, 25)
    return np.where(known.astype(np.float64) @ band > 0, np.arctan2(sine, cosine), np.nan)


def deviation(turn: Array) -> Array:
    """(K, H) standard deviation of the phase distortion around its trend, radians; NaN where there is no harmonic.

    sqrt(-2 ln z), z the length of the mean vector over a triangle of 17 frames (9, forth and back); the trend is a
    Hann window of 9 frames, forth and back.

    Args:
        turn: (2, K, H) from `turned`.

    Reference:
        Degottex & Erro 2014, equations 11 to 13.
    """
    trend = _weighted(turn, signal.get_window("hann", DEVIATION_FRAMES, fftbins=False))
    with np.errstate(invalid="ignore", divide="ignore"):
        trend /= np.hypot(trend[0], trend[1])
        # cos and sin of the angle less its trend
        left = np.stack([turn[0] * trend[0] + turn[1] * trend[1], turn[1] * trend[0] - turn[0] * trend[1]])
        length = np.hypot(*_weighted(left, np.full(DEVIATION_FRAMES, 1.0)))
        found = np.sqrt(-2 * np.log(np.minimum(length, 1.0)))
    return np.where(np.isfinite(turn[0]), found, np.nan)


def deviation_cepstrum(found: Array, f0: Array, rate: int) -> Array:
    """(K, 13) warped cepstrum of the logarithm of the deviation, mapped to frequency after measurement.

    The deviation of harmonics k and k + 1 belongs to (k + 1) F0; below the first and above the last it is constant.

    Args:
        found: (K, H) from `deviation`.
        f0: (K,) Hz.
        rate: Hz.

    Reference:
        Degottex & Erro 2014, section 3; the cepstrum as of `warped_cepstrum`.
    """
    cepstrum = np.full((len(found), ORDER + 1), np.nan)
    rows = np.flatnonzero(np.isfinite(found[:, 0]))
    frequency = np.arange(BINS) * rate / (2 * (BINS - 1))
    for first in range(0, len(rows), BINS):
        block = rows[first : first + BINS]
        values = np.maximum(found[block], FLOOR)
        last = np.isfinite(values).sum(axis=1)[:, None] - 1  # (B, 1) harmonics lie side by side from the first
        place = np.clip(frequency / f0[block, None] - 2, 0, last)  # (B, 513) in columns
        low = np.minimum(place.astype(np.int64), np.maximum(last - 1, 0))
        line = np.arange(len(block))[:, None]
        left, right = values[line, low], values[line, np.minimum(low + 1, last)]
        cepstrum[block] = warped_cepstrum(left + (right - left) * (place - low), rate, ORDER)
    return cepstrum


def _weighted(turn: Array, taps: Array) -> Array:
    """(2, K, H) mean over time with the weights of `taps` forth and back, of the frames that are not NaN."""
    kernel = np.convolve(taps, taps[::-1])[:, None]
    known = np.isfinite(turn[0])
    reach = len(kernel) // 2

    def sums(values: Array) -> Array:
        return np.asarray(signal.oaconvolve(values, kernel, axes=0))[reach : reach + len(values)]

    weight = sums(known.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(
            weight > 1e-6 * kernel.sum(), np.stack([sums(np.where(known, part, 0.0)) for part in turn]) / weight, np.nan
        )

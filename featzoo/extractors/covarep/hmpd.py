"""Harmonic model and phase distortion: mean (HMPDM) and deviation (HMPDD) of the phase distortion."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from featzoo.extractors.covarep.envelope import warped_cepstrum
from featzoo.extractors.covarep.harmonic import Harmonics
from featzoo.extractors.covarep.signals import zero_phase
from featzoo.sequence import Array

BINS = 513
MEAN_FRAMES, DEVIATION_FRAMES = 25, 9
# Frames that filters need: the recording must have more than this, and a block this many to either side.
MARGIN = 3 * (MEAN_FRAMES - 1)
# Bins in each band of HMPDM: the first eight one by one, then wider.
BANDS = (1,) * 8 + (2, 3, 4, 5, 6, 8, 10, 12, 14, 17, 21, 25, 31, 41, 57, 94, 154)


def phase_distortion(found: Harmonics, f0: Array, rate: int, random: np.random.Generator) -> Array:
    """(B, 513) phase distortion in radians at bins 0 .. rate/2.

    The phase of the harmonics less that of a minimum-phase filter with their amplitudes, and less the
    linear phase of F0: the difference between neighbouring harmonics. Bins above the last harmonic get random phases.

    Args:
        found: The harmonics.
        f0: (B,) the pitch in Hz, on whose multiples the distortion is laid.
        rate: Hz.
        random: Where phases above the last harmonic come from.

    Reference:
        Degottex & Erro, "A uniform phase representation for the harmonic model in speech synthesis
        applications", EURASIP JASMP 2014, equations 5 to 10.
    """
    rows, width = found.amplitude.shape
    number = np.arange(width)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log(found.amplitude)  # (B, H + 1)
    level[:, 0] = level[:, 1]
    frequency = np.arange(BINS) * rate / (2 * (BINS - 1))
    place = frequency / found.f0[:, None]  # (B, 513) in harmonics
    last = found.harmonics[:, None]
    envelope = _along(level, np.minimum(place, last), last)
    cepstrum = fft.irfft(envelope, axis=1)  # (B, 1024)
    cepstrum[:, 1 : BINS - 1] *= 2
    cepstrum[:, BINS:] = 0
    minimum = fft.rfft(cepstrum, axis=1).imag  # (B, 513)
    where = number * found.f0[:, None] * (2 * (BINS - 1)) / rate  # (B, H + 1) in bins
    phase = found.phase - _along(minimum, np.minimum(where, BINS - 1), np.full((rows, 1), BINS - 1))
    phase[:, 0] = 0.0
    distortion = _wrapped(np.diff(phase, axis=1) - phase[:, 1:2])  # (B, H): from harmonic k to k + 1
    distortion[:, 0] = 0.0
    # Points (0, 0), (0.95 f0, 0), (k f0, PD) ...: 0 up to 0.95 f0, where the first harmonic is 0 too.
    points = np.concatenate([np.zeros((rows, 1)), distortion], axis=1)  # (B, H + 1)
    place = frequency / f0[:, None]
    found_phase = _turned(points, np.minimum(place, last), last)
    beyond = place > last
    found_phase[beyond] = random.uniform(-np.pi, np.pi, int(beyond.sum()))
    return found_phase


def _along(values: Array, place: Array, last: Array) -> Array:
    """(B, K) each row of `values` at fractional indices `place`, linearly; `last` (B, 1) is the last index."""
    low = np.clip(np.nan_to_num(place).astype(np.int64), 0, np.maximum(last - 1, 0))
    rows = np.arange(len(values))[:, None]
    left = values[rows, low]
    return np.asarray(left + (values[rows, np.minimum(low + 1, last)] - left) * (place - low))


def _turned(values: Array, place: Array, last: Array) -> Array:
    """The same for angles: along the shorter way from one to the next; wrapped."""
    low = np.clip(np.nan_to_num(place).astype(np.int64), 0, np.maximum(last - 1, 0))
    rows = np.arange(len(values))[:, None]
    left = values[rows, low]
    return _wrapped(left + _wrapped(values[rows, np.minimum(low + 1, last)] - left) * (place - low))


def _wrapped(angle: Array) -> Array:
    return np.asarray(angle - 2 * np.pi * np.round(angle / (2 * np.pi)))


def phase_distortion_mean(distortion: Array) -> Array:
    """(K, 25) mean of the distortion (K, 513) over 25 frames and in 25 bands, radians.

    Reference:
        Degottex & Obin, "Phase distortion statistics as a representation of the glottal source", Interspeech
        2014, equation 4. The bands are laid on the bins of frequency, as in the original, not on harmonics.
    """
    box = np.full(MEAN_FRAMES, 1 / MEAN_FRAMES)
    mean = np.arctan2(zero_phase(np.sin(distortion), box, 0), zero_phase(np.cos(distortion), box, 0))[:, :-1]
    starts = np.concatenate([[0], np.cumsum(BANDS)[:-1]])
    total = np.add.reduceat(np.exp(1j * mean), starts, axis=1)  # (K, 25)
    return np.asarray(np.angle(total))


def phase_distortion_deviation(distortion: Array, rate: int) -> Array:
    """(K, 13) warped cepstrum of the logarithm of the distortion's standard deviation over 9 frames.

    Reference:
        Degottex & Erro 2014, equations 11 to 13: sqrt(-2 ln z) around the trend in time.
    """
    hann = 0.5 * (1 - np.cos(2 * np.pi * np.arange(DEVIATION_FRAMES) / (DEVIATION_FRAMES - 1)))
    hann /= hann.sum()
    box = np.full(DEVIATION_FRAMES, 1 / DEVIATION_FRAMES)
    sine, cosine = (
        zero_phase(ndimage.median_filter(part, size=(DEVIATION_FRAMES, 1), mode="constant"), hann, 0)
        for part in (np.sin(distortion), np.cos(distortion))
    )
    trend = np.arctan2(sine, cosine)
    left = distortion - trend
    length = np.hypot(zero_phase(np.cos(left), box, 0), zero_phase(np.sin(left), box, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.where(length < 1, np.sqrt(-2 * np.log(np.minimum(length, 1))), 0.0)
    deviation[:, 0] = deviation[:, 1]
    deviation[deviation == 0] = 0.001
    return warped_cepstrum(np.log(deviation), rate, 12)

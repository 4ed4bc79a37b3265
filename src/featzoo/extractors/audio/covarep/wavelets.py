"""Features of a bank of wavelets an octave apart: maxima dispersion quotient and peak slope."""

from __future__ import annotations

import numpy as np
from scipy import fft, signal

from featzoo.extractors.audio.covarep.signals import rounded
from featzoo.sequence import Array

REACH = 1000  # samples to either side that the wavelets span
BLOCK = 1 << 15


def wavelet(scale: float) -> Array:
    """The cosine-modulated Gaussian -cos(pi u / s) exp(-(u / s)^2 / 2), u in samples, (2 REACH + 1,).

    Its centre is fs / 2 / s: 8 kHz at scale 1 and 125 Hz at scale 64, of sound at 16 kHz.

    Reference:
        d'Alessandro & Sturmel, "Glottal closure instant and voice source analysis using time-scale lines of
        maximum amplitude", Sadhana 2011, equation 1.
    """
    u = np.arange(-REACH, REACH + 1) / scale
    return np.asarray(-np.cos(np.pi * u) * np.exp(-(u**2) / 2))


def mdq(residual: Array, instants: Array, gaps: Array) -> Array:
    """Maxima dispersion quotient at each instant, (G,), no unit; 0 where the periods beside it leave the recording.

    In 0.2 periods to either side of a closure, the mean distance over five bands (scales 4 to 64)
    between the closure and the band's largest response, in periods.

    Args:
        residual: (N,) residual of linear prediction; NaN counts for nothing.
        instants: (G,) 0-based sample numbers, ascending.
        gaps: (G,) periods, samples.

    Reference:
        Kane & Gobl, "Wavelet maxima dispersion for breathy to tense voice discrimination", IEEE TASLP 2013,
        equations 3 to 5.
    """
    found = np.zeros(len(instants))
    reach = rounded(0.2 * gaps)
    usable = np.flatnonzero((instants >= gaps) & (instants + gaps < len(residual)))
    bank = [wavelet(2.0**power) for power in range(2, 7)]
    first = 0
    while first < len(usable):
        # As many instants as fit a segment, of which there are fewer than samples; at least one, however long the
        # pause before it.
        rows = usable[first : first + BLOCK]
        ends = np.maximum.accumulate(instants[rows] + reach[rows])
        begin = np.minimum.accumulate(instants[rows] - reach[rows])
        count = max(int(np.count_nonzero(ends - begin < BLOCK)), 1)
        rows, first = rows[:count], first + count
        start, stop = max(int(begin[count - 1]) - REACH, 0), min(int(ends[count - 1]) + REACH + 1, len(residual))
        segment = np.asarray(residual[start:stop], dtype=np.float64)
        unknown = np.isnan(segment)
        segment = np.where(unknown, 0.0, segment)
        total = np.zeros(len(rows))
        for taps in bank:
            response = signal.oaconvolve(segment, taps, mode="same")
            if unknown.any():
                response[_spread(unknown, int(np.count_nonzero(taps)) // 2)] = -np.inf
            total += _distances(response, instants[rows] - start, reach[rows])
        found[rows] = total / len(bank) / gaps[rows]
    return found


def _spread(unknown: Array, reach: int) -> Array:
    """Positions where a direct convolution would multiply an unknown sample by a tap that is not 0."""
    counted = np.concatenate([np.zeros(reach + 1), np.cumsum(unknown), np.full(reach, unknown.sum())])
    return np.asarray(counted[2 * reach + 1 :] - counted[: len(unknown)] > 0)


def _distances(response: Array, middle: Array, reach: Array) -> Array:
    """(B,) samples from each `middle` to the largest response in `reach` to either side, counted as the original."""
    found = np.empty(len(middle))
    order = np.argsort(reach, kind="stable")
    padded = np.append(response, -np.inf)
    for begin in range(0, len(order), 128):
        rows = order[begin : begin + 128]
        index = np.arange(2 * int(reach[rows].max()) + 1)
        place = np.where(index <= 2 * reach[rows, None], (middle - reach)[rows, None] + index, len(response))
        best = np.argmax(padded[place], axis=1)
        found[rows] = np.abs(reach[rows] - (best + 1))  # the original's positions count from 1
    return found


def peak_slope(samples: Array, rate: int) -> tuple[Array, Array]:
    """Peak slope every 10 ms of 40 ms frames: (K,) seconds and (K,) log10 amplitude per octave.

    The slope of the line through the logarithms of the largest responses of seven bands (scales 64 to
    1). A frame of digital silence gives 0 instead of NaN, and -inf if only one band is silent.

    Reference:
        Kane & Gobl, "Identifying regions of non-modal phonation using features of the wavelet transform",
        Interspeech 2011, section 2.
    """
    length, hop = int(rounded(0.04 * rate)), int(rounded(0.01 * rate))
    count = max((len(samples) - length) // hop + 1, 0)
    if count == 0:
        return np.zeros(0), np.zeros(0)
    largest = np.zeros((7, count))
    taps = np.stack([wavelet(2.0**power) for power in range(6, -1, -1)])  # (7, 2 REACH + 1)
    size = fft.next_fast_len(BLOCK + 2 * REACH + length, real=True)
    spectra = fft.rfft(taps, size, axis=1)
    rows = max(BLOCK // hop, 1)
    for first in range(0, count, rows):
        frames = min(rows, count - first)
        begin, end = first * hop, (first + frames - 1) * hop + length
        left = max(begin - REACH, 0)
        part = fft.rfft(np.asarray(samples[left : end + REACH], dtype=np.float64), size)
        for band in range(7):
            response = np.abs(fft.irfft(part * spectra[band], size))
            response = response[REACH + begin - left :][: end - begin]
            largest[band, first : first + frames] = _frame_maxima(response, length, hop)
    _beside_silence(samples, largest, taps, length, hop)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log10(largest)  # (7, K), from the lowest band up
        octave = np.arange(7) - 3.0
        slope = (octave[:, None] * level).sum(axis=0) / (octave**2).sum()
    slope[np.isnan(slope)] = 0.0
    middle = rounded((2 * np.arange(count) * hop + length) / 2)
    return middle / rate, slope


def _beside_silence(samples: Array, largest: Array, taps: Array, length: int, hop: int) -> None:
    """Convolve directly, in place, where a response is so small that the FFT's rounding would be visible."""
    bound = np.maximum.accumulate(largest.max(axis=0))
    for frame in np.flatnonzero(largest.min(axis=0) <= 1e-6 * bound):
        begin = int(frame) * hop - REACH
        part = np.zeros(length + 2 * REACH)
        inside = np.asarray(samples[max(begin, 0) : begin + len(part)], dtype=np.float64)
        part[max(-begin, 0) :][: len(inside)] = inside
        heard = part.any()
        for band in range(7):
            largest[band, frame] = np.abs(np.convolve(part, taps[band], "valid")).max() if heard else 0.0


def _frame_maxima(values: Array, length: int, hop: int) -> Array:
    """(K,) largest of each whole frame of `length` every `hop` samples."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, length)[::hop].max(axis=1))

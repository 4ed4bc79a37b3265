"""Harmonic model and phase distortion: mean (HMPDM) and deviation (HMPDD) of the phase distortion."""

from __future__ import annotations

import numpy as np
from scipy import fft

from featzoo.extractors.audio.covarep.envelope import warped_cepstrum
from featzoo.extractors.audio.covarep.harmonic import Harmonics
from featzoo.sequence import Array

BINS = 513
MEAN_FRAMES, DEVIATION_FRAMES = 25, 9
# The recording must have more frames than this, for the original's padding of the filters.
PADDING = 3 * (MEAN_FRAMES - 1)
# Frames to either side that a frame's statistics depend on: a box forth and back; a median, a Hann window, a box.
MARGIN = max(MEAN_FRAMES - 1, DEVIATION_FRAMES // 2 + 2 * (DEVIATION_FRAMES - 1))
# Bins whose deviation is computed at once: such parts stay in the processor's cache.
COLUMNS = 129
ROWS = 16
# Bins in each band of HMPDM: the first eight one by one, then wider.
BANDS = (1,) * 8 + (2, 3, 4, 5, 6, 8, 10, 12, 14, 17, 21, 25, 31, 41, 57, 94, 154)


def between_harmonics(found: Harmonics, rate: int) -> Array:
    """(B, H) phase distortion in radians between neighbouring harmonics: 0 from DC to the first, NaN past the last.

    The phase of the harmonics less that of a minimum-phase filter with their amplitudes, and less the
    linear phase of F0: the difference from harmonic k to k + 1 in column k.

    Args:
        found: The harmonics.
        rate: Hz.

    Reference:
        Degottex & Erro, "A uniform phase representation for the harmonic model in speech synthesis
        applications", EURASIP JASMP 2014, equations 5 to 8.
    """
    rows, width = found.amplitude.shape
    number = np.arange(width)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log(found.amplitude)  # (B, H + 1)
    level[:, 0] = level[:, 1]
    frequency = np.arange(BINS) * rate / (2 * (BINS - 1))
    place = frequency / found.f0[:, None]  # (B, 513) in harmonics
    last = found.harmonics[:, None]
    with np.errstate(invalid="ignore"):  # of digital silence
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
    return distortion


def phase_distortion(found: Harmonics, f0: Array, rate: int, random: np.random.Generator) -> Array:
    """(B, 513) phase distortion in radians at bins 0 .. rate/2; bins above the last harmonic get random phases.

    Args:
        found: The harmonics.
        f0: (B,) the pitch in Hz, to whose multiples the distortion is assigned.
        rate: Hz.
        random: Generator of the phases above the last harmonic.

    Reference:
        Degottex & Erro, "A uniform phase representation for the harmonic model in speech synthesis
        applications", EURASIP JASMP 2014, equations 5 to 10.
    """
    rows = len(found.f0)
    frequency = np.arange(BINS) * rate / (2 * (BINS - 1))
    last = found.harmonics[:, None]
    distortion = between_harmonics(found, rate)
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


def turned(distortion: Array) -> Array:
    """(2, K, 513) cosine and sine of the phase distortion, from which the statistics are computed."""
    return np.stack([np.cos(distortion), np.sin(distortion)])


def phase_distortion_mean(turn: Array) -> Array:
    """(K, 25) mean of the distortion over 25 frames and in 25 bands, radians.

    Args:
        turn: (2, K, 513) from `turned`.

    Reference:
        Degottex & Obin, "Phase distortion statistics as a representation of the glottal source", Interspeech
        2014, equation 4. The bands consist of frequency bins, as in the original, not of harmonics.
    """
    box = np.full(MEAN_FRAMES, 1 / MEAN_FRAMES)
    cosine, sine = (_forth_and_back(part[:, :-1], box) for part in turn)  # (K, 512)
    length = np.sqrt(cosine**2 + sine**2)
    still = length == 0
    length[still] = cosine[still] = 1.0  # without a direction: 0
    band = np.repeat(np.eye(len(BANDS)), BANDS, axis=0)  # (512, 25)
    return np.asarray(np.arctan2((sine / length) @ band, (cosine / length) @ band))


def phase_distortion_deviation(turn: Array, rate: int) -> Array:
    """(K, 13) warped cepstrum of the logarithm of the distortion's standard deviation over 9 frames.

    Args:
        turn: (2, K, 513) from `turned`.
        rate: Hz.

    Reference:
        Degottex & Erro 2014, equations 11 to 13: sqrt(-2 ln z) around the trend in time.
    """
    deviation = np.empty(turn.shape[1:])
    for first in range(0, BINS, COLUMNS):
        columns = slice(first, first + COLUMNS)
        deviation[:, columns] = _deviation(turn[0, :, columns], turn[1, :, columns])
    deviation[:, 0] = deviation[:, 1]
    deviation[deviation == 0] = 0.001
    return warped_cepstrum(deviation, rate, 12)


def _deviation(cosine: Array, sine: Array) -> Array:
    """(K, F) standard deviation of angles around their trend, radians."""
    hann = 0.5 * (1 - np.cos(2 * np.pi * np.arange(DEVIATION_FRAMES) / (DEVIATION_FRAMES - 1)))
    hann /= hann.sum()
    box = np.full(DEVIATION_FRAMES, 1 / DEVIATION_FRAMES)
    along, across = (_in_order(_median(part), hann) for part in (cosine, sine))
    length = np.sqrt(along**2 + across**2)
    still = length == 0
    length[still] = along[still] = 1.0
    along /= length
    across /= length
    # cos and sin of the angle less its trend
    near, far = _in_order(cosine * along + sine * across, box), _in_order(sine * along - cosine * across, box)
    return np.asarray(np.sqrt(-np.log(np.minimum(near**2 + far**2, 1.0))))


def _extended(values: Array, reach: int) -> Array:
    """(K + 2 reach, F): with the odd reflection that filtering forth and back pads with."""
    front, back = 2 * values[:1] - values[reach:0:-1], 2 * values[-1:] - values[-2 : -reach - 2 : -1]
    return np.concatenate([front, values, back])


def _forth_and_back(values: Array, taps: Array) -> Array:
    """(K, F) each column through a symmetric FIR filter, forth and back: one product with its autocorrelation.

    The products are of matrices: `ROWS` frames from the frames around them.
    """
    kernel = np.convolve(taps, taps[::-1])
    count, reach = len(values), len(taps) - 1
    ahead = -count % ROWS
    padded = np.concatenate([_extended(values, reach), np.zeros((ahead, values.shape[1]))])
    weights = np.zeros((ROWS, ROWS + 2 * reach))
    for row in range(ROWS):
        weights[row, row : row + len(kernel)] = kernel
    windows = np.lib.stride_tricks.sliding_window_view(padded, ROWS + 2 * reach, axis=0)[::ROWS]
    return np.asarray(np.matmul(weights, windows.swapaxes(1, 2)).reshape(count + ahead, -1)[:count])  # (K, F)


def _in_order(values: Array, taps: Array) -> Array:
    """The same, added up in the order of a filter, tap by tap.

    Below F0 the distortion is 0 throughout and its deviation a rounding error, whose logarithm is then taken; at the
    ends of the recording the trend's direction can be one. Only this order gives the original's.
    """
    reach = len(taps) - 1
    out = _extended(values, 2 * reach)
    for way in (1, -1):
        rows = out[::way]
        count = len(rows) - reach
        scaled = {tap: rows * tap for tap in set(taps.tolist())}
        total = scaled[taps[-1]][:count].copy()
        for lag in range(1, reach + 1):
            total += scaled[taps[reach - lag]][lag : lag + count]
        out = total[::way]
    return np.asarray(out[reach:-reach])


def _median(values: Array) -> Array:
    """(K, F) median over 9 frames, zeros outside.

    Three neighbours are sorted once for all three windows they are part of: the median of nine is the median of the
    largest of the lows, the median of the middles and the smallest of the highs.
    """
    count = len(values)
    padded = np.zeros((count + 8, values.shape[1]))
    padded[4:-4] = values
    one, two, three = padded[:-2], padded[1:-1], padded[2:]
    low, high = np.minimum(one, two), np.maximum(one, two)
    middle = np.maximum(low, np.minimum(high, three))
    np.minimum(low, three, out=low)
    np.maximum(high, three, out=high)
    lows, middles, highs = ([part[k : count + k] for k in (0, 3, 6)] for part in (low, middle, high))
    top = np.maximum(np.maximum(lows[0], lows[1]), lows[2])
    bottom = np.minimum(np.minimum(highs[0], highs[1]), highs[2])
    return _middle(top, _middle(*middles), bottom)


def _middle(one: Array, two: Array, three: Array) -> Array:
    return np.asarray(np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three)))

"""The features of creaky voice: twelve, with their first and second differences."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage, signal

from featzoo.extractors.audio.covarep.gci import median_f0
from featzoo.extractors.audio.covarep.pitch import Pitch
from featzoo.extractors.audio.covarep.signals import hann_open
from featzoo.sequence import Array

NAMES = (
    "H2H1", "peak_prominence", "zero_crossings", "IFP", "IPS", "power_fall", "power_rise",
    "F0", "F0_median", "energy", "power_deviation", "F0_creak",
)  # fmt: skip
LOWEST = 20  # Hz, of SRH and of the periods of creak
RATE = 16000  # Hz: the constants below count samples at this rate
ROW, FRAME, SHIFT = 160, 512, 80
SHORT, SHORT_SHIFT = 64, 32  # of the very short-term power
PERIODS_FRAME = 800  # 50 ms
PROMINENCE_REACH = 240  # 15 ms


def features(samples: Array, pitch: Pitch, residual: Array) -> Array:
    """(T, 36) of sound at 16 kHz, at samples 160, 320 ...: `NAMES`, their differences, and the differences of those.

    Zero crossings, F0, its median, energy and the deviation of power equal COVAREP's; the others follow their
    papers, where COVAREP's settings are not published.

    Args:
        samples: (N,) sound of positive polarity.
        pitch: From `srh` with candidates from 20 Hz.
        residual: (N,) of linear prediction.
    """
    rows = np.arange(ROW, len(samples) + 1, ROW)
    middle = median_f0(pitch)
    found = np.zeros((len(rows), len(NAMES)))
    if len(samples) > FRAME + ROW:
        found[:, 9] = _stretched(energy(samples), rows, len(samples))
        found[:, 2] = _inside(zero_crossings(samples), rows, FRAME / 2 + 0.5 + SHIFT, SHIFT)
        found[:, 10] = _stretched(power_deviation(samples), rows, len(samples))
        band = signal.sosfiltfilt(signal.butter(7, [100, 1500], "band", output="sos", fs=RATE), samples)
        found[:, 3] = _inside(intra_frame_periodicity(band), rows, FRAME / 2 + 0.5, ROW)
        found[:, 4:7] = _of_pulses(rows, *power_peaks(band))
    if len(pitch.f0) > 1 and len(rows) > 1:
        frames = np.linspace(0, len(pitch.f0) - 1, len(rows))
        found[:, 7] = np.interp(frames, np.arange(len(pitch.f0)), pitch.f0)
        found[:, 8] = middle
    if middle > 0 and len(samples) > 3 * PERIODS_FRAME:
        source = _resonator(np.nan_to_num(residual), middle)
        found[:, 0], found[:, 11] = (_stretched(track, rows, len(samples)) for track in harmonics_of_creak(source))
        found[:, 1] = _inside(peak_prominence(source), rows, PROMINENCE_REACH, ROW)
    change = np.diff(found, axis=0, prepend=found[:1])
    return np.concatenate([found, change, np.diff(change, axis=0, prepend=change[:1])], axis=1)  # (T, 36)


def _frames(samples: Array, length: int, hop: int) -> Array:
    return np.lib.stride_tricks.sliding_window_view(np.asarray(samples, dtype=np.float64), length)[::hop]


def _stretched(track: Array, rows: Array, length: int) -> Array:
    """A track stretched from the first to the last sample, at `rows`, as in the original."""
    return np.interp((rows - 1) / (length - 1) * (len(track) - 1), np.arange(len(track)), track)


def _inside(track: Array, rows: Array, first: float, hop: int) -> Array:
    """A track whose first value is at sample `first`, at `rows`; 0 outside."""
    return np.interp((rows - first) / hop, np.arange(len(track)), track, left=0.0, right=0.0)


def energy(samples: Array) -> Array:
    """(K,) natural logarithm of the energy of 32 ms every 5 ms; the largest is 0."""
    frames = _frames(samples, FRAME, SHIFT)
    total = np.einsum("bi,bi,i->b", frames, frames, hann_open(FRAME) ** 2)
    level = np.log(np.maximum(total, np.finfo(float).tiny))
    return np.asarray(level - level.max())


def zero_crossings(samples: Array) -> Array:
    """(K,) zero crossings per ms, in 32 ms every 5 ms."""
    crossed = np.concatenate([[0], np.cumsum(np.diff(np.asarray(samples) >= 0))])
    return np.asarray((crossed[FRAME - 1 :] - crossed[: 1 - FRAME])[::SHIFT] / 32)


def power_deviation(samples: Array) -> Array:
    """(K,) standard deviation of 33 powers of 4 ms (20 log10, every 2 ms); the median of 13; 0 at the ends."""
    level = 20 * np.log10(np.maximum((_frames(samples, SHORT, SHORT_SHIFT) ** 2).mean(axis=1), 1e-30))
    found = np.zeros(len(level))
    if len(level) > 33:
        found[16:-16] = np.lib.stride_tricks.sliding_window_view(level, 33).std(axis=1, ddof=1)
    return np.asarray(ndimage.median_filter(found, 13, mode="constant"))


def intra_frame_periodicity(band: Array) -> Array:
    """(K,) in [0, 1]: the least of the autocorrelation at a period and its multiples below 15 ms, in 32 ms every 10 ms.

    Reference:
        Ishi, Sakakibara, Ishiguro & Hagita, "A method for automatic detection of vocal fry", IEEE TASLP 2008,
        section III.B.
    """
    frames, longest = _frames(band, FRAME, ROW), 240
    correlation = fft.irfft(np.abs(fft.rfft(frames, 2 * FRAME, axis=1)) ** 2, axis=1)[:, : longest + 2]
    correlation = correlation / np.maximum(correlation[:, :1], np.finfo(float).tiny)
    correlation *= FRAME / (FRAME - np.arange(longest + 2))
    inner = correlation[:, 1:-1]
    peak = (inner > correlation[:, :-2]) & (inner >= correlation[:, 2:])
    period = np.argmax(np.where(peak, inner, -np.inf), axis=1) + 1
    found = np.zeros(len(frames))
    for row in np.flatnonzero(peak.any(axis=1)):
        found[row] = correlation[row, period[row] : longest + 1 : period[row]].min()
    return np.clip(found, 0.0, 1.0)


def power_peaks(band: Array) -> tuple[Array, Array]:
    """Peaks of the power of 4 ms: their sample numbers (P,), and (P, 3) similarity to the one before, fall and rise.

    Fall and rise, in units of 20 log10 of the power, are to the least in 10 ms after and before; a peak has 2 of both.

    Reference:
        Ishi et al. 2008, sections III.A and III.C.
    """
    level = 20 * np.log10(np.maximum((_frames(band, SHORT, SHORT_SHIFT) ** 2).mean(axis=1), 1e-30))
    least = ndimage.minimum_filter1d(level, 6, mode="nearest", origin=-3)  # of a frame and the five after it
    before = ndimage.minimum_filter1d(level, 6, mode="nearest", origin=2)
    highest = level == ndimage.maximum_filter1d(level, 11, mode="nearest")
    peaks = np.flatnonzero(highest & (level - least >= 2) & (level - before >= 2))
    centre = peaks * SHORT_SHIFT + SHORT // 2
    similar = np.zeros(len(peaks))
    for number in range(1, len(peaks)):
        if centre[number] - centre[number - 1] <= 0.1 * RATE:
            similar[number] = _similarity(band, int(centre[number - 1]), int(centre[number]))
    return centre, np.stack([similar, (level - least)[peaks], (level - before)[peaks]], axis=1)


def _similarity(band: Array, one: int, other: int) -> float:
    """The largest normalised correlation of 15 ms around two samples, up to 2 ms shifted; at least 0."""
    half, slack = 120, 32
    first, second = band[max(one - half, 0) : one + half], band[max(other - half - slack, 0) : other + half + slack]
    if len(first) < 2 * half or len(second) < len(first):
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(second, len(first))
    size = np.sqrt((first @ first) * np.einsum("bi,bi->b", windows, windows))
    return float(np.max(windows @ first / np.maximum(size, np.finfo(float).tiny), initial=0.0))


def _of_pulses(rows: Array, centre: Array, values: Array) -> Array:
    """(T, 3) the values of the nearest pulse within 25 ms, or 0."""
    if not len(centre):
        return np.zeros((len(rows), 3))
    after = np.clip(np.searchsorted(centre, rows), 0, len(centre) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(centre[before] - rows) <= np.abs(centre[after] - rows), before, after)
    return np.where((np.abs(centre[nearest] - rows) <= 0.025 * RATE)[:, None], values[nearest], 0.0)


def _resonator(residual: Array, f0: float) -> Array:
    """The residual through a resonator at the median F0, its poles at a radius of 0.9."""
    radius = 0.9
    return np.asarray(signal.lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * f0 / RATE), radius**2], residual))


def harmonics_of_creak(source: Array) -> tuple[Array, Array]:
    """H2 - H1 in dB and F0 in Hz of the resonator's output, (K,) each, every 10 ms from frames of 50 ms.

    F0 is the largest autocorrelation between 20 and 300 Hz; both are averaged over 9 frames.

    Reference:
        Drugman, Kane & Gobl, "Resonator-based creaky voice detection", Interspeech 2012, section 3.1.
    """
    frames = _frames(source, PERIODS_FRAME, ROW) * np.hamming(PERIODS_FRAME)
    spectrum = np.abs(fft.rfft(frames, RATE, axis=1))  # (K, 8001): a bin per Hz
    shortest = RATE // 300
    correlation = fft.irfft(spectrum**2, axis=1)[:, shortest : RATE // LOWEST]
    f0 = np.round(RATE / (shortest + np.argmax(correlation, axis=1))).astype(np.int64)
    row = np.arange(len(f0))
    level = 20 * np.log10(np.maximum(spectrum, np.finfo(float).tiny))
    difference = level[row, 2 * f0] - level[row, f0]
    smooth = [ndimage.uniform_filter1d(track.astype(np.float64), 9, mode="nearest") for track in (difference, f0)]
    return smooth[0], smooth[1]


def peak_prominence(source: Array) -> Array:
    """(K,) every 10 ms: how far the largest peak of 30 ms stands out of its own surroundings, 0 to 1.

    Reference:
        Drugman, Kane & Gobl 2012, section 3.2.
    """
    reach, core = PROMINENCE_REACH, 72
    found = np.zeros(max((len(source) - 2 * reach) // ROW, 0))
    for number in range(len(found)):
        begin = number * ROW
        top = begin + int(np.argmax(np.abs(source[begin : begin + 2 * reach])))
        height = abs(source[top])
        if height == 0:
            continue
        beside = [source[max(top - reach, 0) : max(top - core, 0)], source[top + core + 1 : top + reach]]
        rest = np.concatenate(beside) * np.sign(source[top])
        found[number] = max(1 - float(np.max(rest, initial=0.0)) / height, 0.0)
    return np.asarray(ndimage.median_filter(found, 3, mode="nearest"))

"""Parameters of the voice source at each instant of glottal closure: NAQ, QOQ, H1-H2 and PSP."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft

from featzoo.extractors.audio.covarep.iaif import periods
from featzoo.extractors.audio.covarep.signals import rounded
from featzoo.sequence import Array

LOWEST, HIGHEST = 20, 500  # Hz: a period outside is a gap, not a period, and gives 0
PSP_BINS = 2048
PSP_ERROR = 0.01
# Peaks of the source's spectrum are searched up to here; H1 and H2 are below 1 kHz.
PEAKS_BELOW = 3000
NAMES = ("NAQ", "QOQ", "H1H2", "PSP")


def voice_quality(
    flow: Array, derivative: Array, rate: int, instants: Array, gaps: Array | None = None, offset: int = 0
) -> Array:
    """(G, 4): NAQ (no unit), QOQ (no unit), H1-H2 (dB) and PSP (no unit) at each instant.

    The values are 0 where the distance to the previous instant is not a period of 20 to 500 Hz, such as after a pause.

    Args:
        flow: (N,) glottal flow.
        derivative: (N,) its derivative.
        rate: Hz.
        instants: (G,) 0-based sample numbers in `flow`, ascending.
        gaps: (G,) periods in samples; from `instants` if None. Where given, none of the instants is
            the recording's first.
        offset: The sample number in the recording of the first of `flow`: pulses that would begin before
            the recording do so at its start.
    """
    found = np.zeros((len(instants), 4))
    if len(instants) < 2 and gaps is None:
        return found
    whole = gaps is None
    gaps = periods(instants) if gaps is None else gaps
    with np.errstate(divide="ignore"):
        f0 = rate / gaps
    usable = np.flatnonzero((f0 > LOWEST) & (f0 < HIGHEST))
    begins = instants - gaps
    if whole:
        begins[0] = -offset  # only the end of the first pulse is known: the original starts it at sample 1
    padded_flow, padded_slope = np.append(flow, 0.0), np.append(derivative, 0.0)
    for rows in _alike(usable, instants - begins):
        found[rows, :2] = _pulse_shape(padded_flow, padded_slope, rate, begins[rows], instants[rows], gaps[rows])
    later = usable[usable > 0] if whole else usable
    for rows in _alike(later, instants - begins):
        found[rows, 3] = _psp(padded_flow, begins[rows], instants[rows], gaps[rows])
    for rows in _alike(usable, gaps, 32):
        found[rows, 2] = harmonic_difference(padded_slope, rate, instants[rows], gaps[rows])
    return found


def _alike(rows: Array, lengths: Array, block: int = 256) -> list[Array]:
    """`rows` in blocks of similar length, so that little padding is needed."""
    ordered = rows[np.argsort(lengths[rows], kind="stable")]
    blocks = []
    while len(ordered):
        longest = max(int(lengths[ordered[0]] * 1.25), 64)
        end = min(block, int(np.searchsorted(lengths[ordered], longest, side="right")))
        blocks.append(ordered[:end])
        ordered = ordered[end:]
    return blocks


def _gathered(padded: Array, first: Array, last: Array) -> tuple[Array, Array]:
    """(B, L) samples first..last of each row, 0 outside, and which they are."""
    index = first[:, None] + np.arange(int((last - first).max()) + 1)
    inside = (index <= last[:, None]) & (index >= 0) & (index < len(padded) - 1)
    return padded[np.where(inside, index, len(padded) - 1)], inside


def _pulse_shape(flow: Array, slope: Array, rate: int, first: Array, last: Array, gaps: Array) -> Array:
    """(B, 2) NAQ and QOQ.

    Reference:
        Alku, Bäckström & Vilkman, "Normalized amplitude quotient for parametrization of the glottal
        flow", JASA 2002, equation 2: NAQ = A / (d T0). Hacki, "Klassifizierung von Glottisdysfunktionen
        mit Hilfe der Elektroglottographie", Folia Phoniatrica 1989: QOQ, here at half of the amplitude.
    """
    pulse, inside = _gathered(flow, first, last)
    index = np.arange(pulse.shape[1])
    span = (last - first)[:, None]
    start, end = flow[first][:, None], flow[last][:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        pulse = np.where(inside, pulse - (start + (end - start) * index / np.maximum(span, 1)), -np.inf)
    top = np.argmax(pulse, axis=1)[:, None]
    amplitude = np.take_along_axis(pulse, top, axis=1)
    reach = last + int(rounded(0.0005 * rate))
    reach = np.where(reach < len(slope) - 1, reach, last)
    steepest = np.abs(_gathered(slope, first, reach)[0]).max(axis=1)
    low = pulse <= 0.5 * amplitude
    left = np.where((low | (index <= 2)) & (index <= top), index, 0).max(axis=1)
    right = np.where((low | (index >= span - 2)) & (index >= top), index, pulse.shape[1]).min(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([amplitude[:, 0] / steepest / gaps, (right - left) / gaps], axis=1)  # (B, 2)


def _psp(flow: Array, first: Array, last: Array, gaps: Array) -> Array:
    """(B,) parabolic spectral parameter.

    Reference:
        Alku, Strik & Vilkman, "Parabolic spectral parameter - a new method for quantification of the
        glottal flow", Speech Communication 1997, equations 1 to 6; fitted to the spectrum in dB.
    """
    pulse, inside = _gathered(flow, first, last)
    low = np.where(inside, pulse, np.inf).min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        pulse = np.where(inside, pulse - low, 0.0)
        pulse /= pulse.max(axis=1, keepdims=True)
    length = int(gaps.max())
    flat = np.array([_flat(gap) for gap in range(int(gaps.min()), length + 1)])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(parabola(pulse) / flat[gaps - int(gaps.min())])


@cache
def _flat(gap: int) -> float:
    """The parabola of a period of constant flow, the steepest that there is."""
    return float(parabola(np.full((1, gap), 1.0 / gap))[0])


def parabola(pulses: Array) -> Array:
    """(B,) curvature a of a k^2 + b fitted to the spectra in dB of `pulses` (B, L).

    The fit covers the first 3 bins, then more, until the normalised error reaches 0.01.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        level = 20 * np.log10(np.abs(fft.rfft(pulses, PSP_BINS, axis=1)))  # (B, 1025)
    count = np.arange(1.0, level.shape[1] + 1)
    square = (count - 1) ** 2
    squares, fourths = np.cumsum(square), np.cumsum(square**2)
    total, weighted = np.cumsum(level, axis=1), np.cumsum(square * level, axis=1)
    power = np.cumsum(level**2, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = fourths - squares**2 / count
        a = (weighted - total * squares / count) / spread
        error = (power - total**2 / count - a**2 * spread) / power
    stop = np.argmax(~(error[:, 2:] < PSP_ERROR), axis=1) + 2
    return np.asarray(a[np.arange(len(a)), stop])


def harmonic_difference(slope: Array, rate: int, instants: Array, gaps: Array) -> Array:
    """(B,) H1 - H2 in dB: the peaks of the source's spectrum nearest F0 and 2 F0.

    Args:
        slope: (N,) derivative of the glottal flow.
        rate: Hz; the spectrum has a bin per Hz.
        instants: (B,) sample numbers.
        gaps: (B,) periods, samples.

    Reference:
        Titze & Sundberg, "Vocal intensity in speakers and singers", JASA 1992.
    """
    half = rounded(gaps * 3 / 2)
    found = np.zeros(len(instants))
    whole = (instants >= half) & (instants + half < len(slope) - 1)
    if not whole.any():
        return found
    half, middle, f0 = half[whole], instants[whole], rate / gaps[whole]
    frames, inside = _gathered(slope, middle - half, middle + half)
    window = 0.54 - 0.46 * np.cos(np.pi * np.arange(frames.shape[1]) / half[:, None])
    bins = min(PEAKS_BELOW, rate // 2)
    with np.errstate(divide="ignore"):
        spectrum = fft.rfft(frames * 2**15 * np.where(inside, window, 0.0), rate, axis=1)[:, :bins]
        level = 20 * np.log10(np.abs(spectrum))  # (B, bins)
    row, place = np.nonzero((level[:, 1:-1] > level[:, :-2]) & (level[:, 1:-1] > level[:, 2:]))
    place += 1
    height = level[row, place]
    while True:
        # Of two neighbours closer than half of F0 the lower is removed: all such pairs at once, then again.
        close = np.flatnonzero((np.diff(row) == 0) & (np.diff(place) <= f0[row[:-1]] / 2))
        if not len(close):
            break
        gone = np.unique(close + (height[close] >= height[close + 1]))
        row, place, height = (np.delete(values, gone) for values in (row, place, height))
    # The original's frequencies count from 1.
    nearest = [_nearest(row, place + 1, height, multiple * f0) for multiple in (1, 2)]
    enough = np.bincount(row, minlength=len(f0)) >= 5
    found[whole] = np.where(enough, nearest[0] - nearest[1], 0.0)
    return found


def _nearest(row: Array, place: Array, height: Array, wanted: Array) -> Array:
    """(B,) height of each row's peak that is nearest to `wanted` (B,); NaN in a row without peaks."""
    found = np.full(len(wanted), np.nan)
    distance = np.abs(place - wanted[row])
    order = np.lexsort((place, distance, row))
    rows, first = np.unique(row[order], return_index=True)
    found[rows] = height[order][first]
    return found

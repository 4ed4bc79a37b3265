"""The glottal flow by iterative adaptive inverse filtering, pitch-synchronous."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft, signal

from featzoo.extractors.audio.covarep.signals import inverse_filter, linear_prediction, rounded
from featzoo.sequence import Array

LEAK = 0.99  # of the integrator that undoes lip radiation
BLOCK_ROWS = 256
# A frame across a longer pause is cut to this many seconds to either side, to bound memory.
LONGEST_SECONDS = 60.0


@cache
def _high_pass(rate: int) -> Array:
    """Linear-phase FIR, least squares: stop below 40 Hz, pass above 70 Hz; an odd number of taps."""
    order = int(rounded(300 / 16000 * rate))
    order += order % 2
    return np.asarray(signal.firls(order + 1, [0, 40, 70, rate / 2], [0, 0, 1, 1], fs=rate))


def orders(rate: int) -> tuple[int, int]:
    """Orders of the vocal tract and of the glottis: 20 and 8 at 16 kHz."""
    return 2 * int(rounded(rate / 2000)) + 4, 2 * int(rounded(rate / 4000))


def periods(instants: Array) -> Array:
    """T0 in samples at each instant: the distance to the one before; at the first, to the next."""
    gaps = np.diff(instants)
    return np.concatenate([gaps[:1], gaps])


def iaif(frames: Array, lengths: Array, rate: int) -> tuple[Array, Array]:
    """Glottal flow and its derivative of frames of differing lengths.

    Args:
        frames: (B, L) windowed sound; row b is `lengths[b]` samples, then zeros.
        lengths: (B,) samples.
        rate: Hz.

    Returns:
        Flow and derivative, (B, L) each, 0 after a row's end; rows not longer than the tract's order are 0.

    Reference:
        Alku, "Glottal wave analysis with pitch synchronous iterative adaptive inverse filtering",
        Speech Communication 1992, figure 2.
    """
    tract, glottis = orders(rate)
    width = frames.shape[1]
    index = np.arange(width)
    inside = index < lengths[:, None]  # (B, L)
    window = np.where(inside, 0.5 * (1 - np.cos(2 * np.pi * (index + 1) / (lengths[:, None] + 1))), 0.0)
    taps = _high_pass(rate)
    size = fft.next_fast_len(width + len(taps) - 1, real=True)
    spectrum = fft.rfft(frames, size, axis=1) * fft.rfft(taps, size)
    sound = fft.irfft(spectrum, size, axis=1)[:, len(taps) // 2 :][:, :width] * inside  # (B, L)
    # A ramp in front keeps the filters from starting with a step.
    ramp = sound[:, :1] * np.linspace(-1, 1, tract + 1)
    led = np.concatenate([ramp, sound], axis=1)  # (B, tract + 1 + L)

    def undone(learnt: Array, order: int, integrate: bool) -> Array:
        out = inverse_filter(led, linear_prediction(learnt * window, order))
        return _integrated(out)[:, tract + 1 :] if integrate else out[:, tract + 1 :]

    flat = undone(sound, 1, integrate=False)
    source = undone(flat, tract, integrate=True)
    voice = undone(source, glottis, integrate=True)
    derivative = inverse_filter(led, linear_prediction(voice * window, tract))
    flow = _integrated(derivative)[:, tract + 1 :]
    derivative = derivative[:, tract + 1 :]
    usable = inside & (lengths > tract)[:, None] & np.isfinite(flow).all(axis=1, keepdims=True)
    return np.where(usable, flow, 0.0), np.where(usable, derivative, 0.0)


def _integrated(rows: Array) -> Array:
    return np.asarray(signal.lfilter([1.0], [1.0, -LEAK], rows, axis=1))


def glottal_flow(
    samples: Array, rate: int, instants: Array, gaps: Array | None = None, span: tuple[int, int] | None = None
) -> tuple[Array, Array]:
    """Glottal flow and its derivative, 0 outside all frames.

    A frame spans two periods around each instant, Hann-windowed; the flows of the frames are added up.

    Args:
        samples: (N,) sound of positive polarity.
        rate: Hz.
        instants: (G,) 0-based sample numbers, ascending.
        gaps: (G,) periods in samples; from `instants` if None.
        span: The samples first..last+1 to give; all if None.

    Returns:
        Two arrays with a value for each sample in `span`.
    """
    begin, end = span or (0, len(samples))
    flow, derivative = np.zeros(end - begin), np.zeros(end - begin)
    if gaps is None:
        gaps = periods(instants)
    gaps = np.minimum(gaps, int(LONGEST_SECONDS * rate))
    # The original treats the 0-based number as 1-based, so it starts a sample early.
    first = np.maximum(instants - gaps - 1, 0)
    last = np.minimum(instants + gaps - 1, len(samples) - 1)
    lengths = last - first + 1
    order = np.flatnonzero((first < end) & (last >= begin) & (lengths > 0))
    # Frames of similar length share an array; a long one, across a pause, has a separate array.
    order = order[np.argsort(lengths[order], kind="stable")]
    while len(order):
        longest = max(int(lengths[order[0]] * 1.25), 64)
        count = min(BLOCK_ROWS, int(np.searchsorted(lengths[order], longest, side="right")))
        rows, order = order[:count], order[count:]
        index = np.arange(lengths[rows].max())
        place = np.minimum(first[rows, None] + index, len(samples) - 1)
        window = 0.5 * (1 - np.cos(2 * np.pi * (index + 1) / (lengths[rows, None] + 1)))
        frames = np.where(index < lengths[rows, None], samples[place] * window, 0.0)
        flows, slopes = iaif(frames, lengths[rows], rate)
        for row, number in enumerate(rows):
            left, right = max(int(first[number]), begin), min(int(last[number]) + 1, end)
            inner = slice(left - int(first[number]), right - int(first[number]))
            flow[left - begin : right - begin] += flows[row, inner]
            derivative[left - begin : right - begin] += slopes[row, inner]
    return flow, derivative

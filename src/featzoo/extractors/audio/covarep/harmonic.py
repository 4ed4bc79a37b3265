"""Harmonic model: amplitude and phase of the harmonics of F0 at each frame of SRH."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

from featzoo.extractors.audio.covarep.signals import rounded
from featzoo.sequence import Array

BINS = 4096
PERIODS = 3  # that a window spans
BLOCK_ROWS = 64


class Harmonics(NamedTuple):
    """Sinusoidal frames; H is the largest number of harmonics, missing ones are NaN.

    Attributes:
        frame: (K,) which of the pitch frames were kept: those whose window is inside the recording.
        f0: (K,) Hz, as measured on the harmonics.
        harmonics: (K,) number of harmonics, without DC.
        amplitude: (K, H + 1) linear; column 0 is DC.
        phase: (K, H + 1) radians at the middle of the window, modulo 2 pi.
    """

    frame: Array
    f0: Array
    harmonics: Array
    amplitude: Array
    phase: Array


def usable_frames(time: Array, f0: Array, rate: int, length: int) -> tuple[Array, Array, Array]:
    """Frames whose windows are inside the recording: their numbers, middle samples and half lengths, (K,) each.

    A window spans three periods; F0 of 0 is treated as 100 Hz.
    """
    f0 = np.where(f0 > 0, f0, 100.0)
    half = rounded(PERIODS * rate / f0 / 2)
    middle = rounded(time * rate)
    kept = np.flatnonzero((middle - half >= 0) & (middle + half < length))
    return kept, middle[kept], half[kept]


def spectra(samples: Array, middle: Array, half: Array) -> Array:
    """(B, 2049) half spectra of Blackman windows with unit sum around each `middle`; phase 0 is there.

    Of a window longer than 4096 samples (F0 below 12 Hz, in digital silence) only the first 4096 count, as in
    the original.
    """
    reach = int(half.max())
    offset = np.arange(2 * reach + 1)  # from the window's first sample
    width = np.maximum(half, 1)[:, None]
    turn = np.pi * offset / width
    window = np.where(offset <= 2 * width, 0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn), 0.0)
    window /= window.sum(axis=1, keepdims=True)
    offset, window = offset[:BINS], window[:, :BINS]
    place = np.minimum((middle - half)[:, None] + offset, len(samples) - 1)
    # The first sample is placed so that the middle of the window is at 0.
    at = (offset - half[:, None]) % BINS
    frames = np.zeros((len(middle), BINS))
    np.put_along_axis(frames, at, samples[place] * window, axis=1)
    return np.asarray(fft.rfft(frames, axis=1))


def harmonics(spectrum: Array, f0: Array, rate: int) -> Harmonics:
    """The harmonics in each row of `spectrum` (B, F), given F0 (B,) in Hz.

    A harmonic is the peak of the log spectrum (parabola through three bins) nearest to k F0 where
    one is within F0 / 2, else the spectrum at k F0. F0 is then the median spacing of the harmonics found.

    Reference:
        McAulay & Quatieri, "Speech analysis/synthesis based on a sinusoidal representation", IEEE TASSP
        1986; Degottex & Erro, "A uniform phase representation for the harmonic model in speech
        synthesis applications", EURASIP JASMP 2014, section 2.
    """
    bins = 2 * (spectrum.shape[1] - 1)
    magnitude = np.abs(spectrum)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log(magnitude)
    position, height, owner = _peaks(level)
    count = rounded((rate / 2 - f0 / 2) / f0)
    number = np.arange(1, int(count.max(initial=0)) + 1)
    wanted = number * f0[:, None] * bins / rate  # (B, H) in bins
    stretch = 4.0 * spectrum.shape[1]
    keys = owner * stretch + position
    goal = np.arange(len(f0))[:, None] * stretch + wanted
    if len(keys):
        after = np.clip(np.searchsorted(keys, goal), 0, len(keys) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(np.abs(keys[before] - goal) <= np.abs(keys[after] - goal), before, after)
        found = np.abs(keys[nearest] - goal) < f0[:, None] / 2 * bins / rate
    else:
        nearest, found = np.zeros(goal.shape, dtype=np.int64), np.zeros(goal.shape, dtype=bool)
        position = height = np.zeros(1)
    sampled = np.minimum(rounded(wanted), spectrum.shape[1] - 1)
    place = np.where(found, position[nearest], wanted)
    rows = np.arange(len(f0))[:, None]
    amplitude = np.where(found, np.exp(height[nearest]), magnitude[rows, sampled])
    phase = _phase_at(spectrum, np.clip(place, 0, spectrum.shape[1] - 1))
    missing = number > count[:, None]
    amplitude[missing] = phase[missing] = place[missing] = np.nan
    spacing = np.diff(np.concatenate([np.zeros((len(f0), 1)), place], axis=1), axis=1)
    measured = np.nanmedian(spacing, axis=1) * rate / bins if spacing.shape[1] else f0
    amplitude = np.concatenate([magnitude[:, :1], amplitude], axis=1)  # (B, H + 1)
    phase = np.concatenate([np.angle(spectrum[:, :1]), phase], axis=1)
    return Harmonics(np.arange(len(f0)), measured, count, amplitude, phase)


def _peaks(level: Array) -> tuple[Array, Array, Array]:
    """Position in bins, height and row of each local maximum of each row, by a parabola through three bins."""
    middle = level[:, 1:-1]
    owner, place = np.nonzero((middle > level[:, :-2]) & (middle > level[:, 2:]))
    low, top, high = level[owner, place], level[owner, place + 1], level[owner, place + 2]
    with np.errstate(invalid="ignore"):
        shift = 0.5 * (low - high) / (low - 2 * top + high)
        shift = np.where(np.isfinite(shift), shift, 0.0)
        height = top - 0.25 * np.where(shift == 0, 0.0, low - high) * shift
    return place + 1 + shift, height, owner


def _phase_at(spectrum: Array, place: Array) -> Array:
    """(B, H) phase at fractional bins: along the unwrapped phase of the two neighbours."""
    low = np.minimum(np.floor(np.nan_to_num(place)).astype(np.int64), spectrum.shape[1] - 2)
    rows = np.arange(len(spectrum))[:, None]
    left, right = spectrum[rows, low], spectrum[rows, low + 1]
    return np.asarray(np.angle(left) + (place - low) * np.angle(right * np.conj(left)))

"""Signal processing shared by COVAREP's stages: MATLAB's rounding and windows, zero-phase filters, prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal

from featzoo.sequence import Array

# Frames handled at once: blocks of about a megabyte stay in the processor's cache.
BLOCK_SAMPLES = 1 << 17


def rounded(value: Any) -> Any:
    """Round half away from zero, as MATLAB does (Python rounds half to even); int or an array of int64."""
    whole = np.floor(np.abs(value) + 0.5) * np.sign(value)
    return whole.astype(np.int64) if isinstance(whole, np.ndarray) else int(whole)


def hann_open(length: int) -> Array:
    """Hann window without zero end points: 0.5 (1 - cos(2 pi k / (n + 1))), k = 1..n."""
    return np.asarray(0.5 * (1 - np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1))))


def blackman(length: int) -> Array:
    """Symmetric Blackman window."""
    k = 2 * np.pi * np.arange(length) / max(length - 1, 1)
    return np.asarray(0.42 - 0.5 * np.cos(k) + 0.08 * np.cos(2 * k))


def zero_phase_elliptic(samples: Array, order: int, cutoff: float, rate: float) -> None:
    """Elliptic high-pass (3 dB ripple, 60 dB stop band, `cutoff` in Hz), forth and back, of `samples` in place.

    The result is that of `scipy.signal.sosfiltfilt`, computed block by block so that an hour of sound needs no second
    copy. It uses second-order sections, because as one fraction the filter of order 9 has a pole outside the unit
    circle at 44.1 kHz.
    """
    sections = signal.ellip(order, 3, 60, cutoff / (rate / 2), "highpass", output="sos")
    rest = signal.sosfilt_zi(sections)
    pad = min(3 * order, len(samples) - 1)
    # Odd reflections lead in and out.
    front, tail = 2 * samples[0] - samples[pad:0:-1], 2 * samples[-1] - samples[-2 : -pad - 2 : -1]
    state = rest * (front[0] if pad else samples[0])
    for way in (1, -1):
        _, state = signal.sosfilt(sections, front, zi=state) if pad else (front, state)
        whole = samples[::way]
        for first in range(0, len(whole), BLOCK_SAMPLES):
            part = slice(first, first + BLOCK_SAMPLES)
            whole[part], state = signal.sosfilt(sections, whole[part], zi=state)
        if way == 1:
            front = signal.sosfilt(sections, tail, zi=state)[0][::-1] if pad else tail
            state = rest * (front[0] if pad else samples[-1])


def autocorrelation(frames: Array, order: int) -> Array:
    """(B, order + 1) lags 0..order of each row of `frames` (B, L)."""
    length = frames.shape[1]
    lags = [np.einsum("bi,bi->b", frames[:, : max(length - lag, 0)], frames[:, lag:]) for lag in range(order + 1)]
    return np.stack(lags, axis=1)  # (B, order + 1)


def linear_prediction(frames: Array, order: int) -> Array:
    """Prediction-error filters (B, order + 1) of each row, first coefficient 1, by the autocorrelation method.

    Reference:
        Makhoul, "Linear prediction: a tutorial review", Proc. IEEE 1975; Levinson's recursion.
        A row of zeros gives NaN, as in MATLAB.
    """
    lags = autocorrelation(frames, order)
    found = np.zeros_like(lags)
    found[:, 0] = 1.0
    error = lags[:, 0].copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        for step in range(1, order + 1):
            reflection = -np.einsum("bi,bi->b", found[:, :step], lags[:, step:0:-1]) / error
            found[:, 1 : step + 1] += reflection[:, None] * found[:, step - 1 :: -1][:, :step]
            error *= 1 - reflection**2
    return found


def inverse_filter(frames: Array, coefficients: Array) -> Array:
    """Each row of `frames` (B, L) through its own FIR filter (B, P + 1), from rest."""
    out = frames * coefficients[:, :1]
    for lag in range(1, min(coefficients.shape[1], frames.shape[1])):
        out[:, lag:] += coefficients[:, lag : lag + 1] * frames[:, :-lag]
    return out


def overlap_add(out: Array, frames: Array, start: int, hop: int) -> None:
    """Add each row of `frames` (B, L) into `out`, the first at `start`, the others `hop` apart."""
    count, length = frames.shape
    for left in range(0, length, hop):
        part = frames[:, left : left + hop]
        width = part.shape[1]
        place = out[start + left : start + left + count * hop]
        rows = np.zeros((count, hop))
        rows[:, :width] = part
        flat = rows.reshape(-1)  # (B * hop,)
        place += flat[: len(place)]


def at(native_time: Array, values: Array, wanted: Array) -> Array:
    """Linear interpolation of a track (K,) or (K, D) at `wanted`; NaN outside and where a neighbour is NaN."""
    native_time = np.asarray(native_time, dtype=np.float64)
    values = np.asarray(values, dtype=np.float64)
    shape = (len(wanted), *values.shape[1:])
    if len(native_time) < 2:
        return np.full(shape, np.nan)
    right = np.clip(np.searchsorted(native_time, wanted, side="right"), 1, len(native_time) - 1)
    left = right - 1
    share = (wanted - native_time[left]) / (native_time[right] - native_time[left])
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    low, high = values[left], values[right]
    with np.errstate(invalid="ignore"):
        found = low + (high - low) * share
    # An infinite neighbour counts only where it has a weight; an exact hit is the value itself.
    found = np.where(share == 0, low, np.where(share == 1, high, found))
    outside = (wanted < native_time[0]) | (wanted > native_time[-1])
    found[outside] = np.nan
    return np.asarray(found)

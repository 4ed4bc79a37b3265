"""The residual of linear prediction, and the polarity that it shows."""

from __future__ import annotations

import numpy as np

from featzoo.extractors.covarep.signals import (
    BLOCK_SAMPLES,
    hann_open,
    inverse_filter,
    linear_prediction,
    overlap_add,
    rounded,
    zero_phase_elliptic,
)
from featzoo.sequence import Array

# Hz above which the reference residual of the polarity detector looks.
POLARITY_CUTOFF = 480.0


def long_order(rate: int) -> int:
    """The order used everywhere but in SRH: 18 at 16 kHz."""
    return int(rounded(rate / 1000)) + 2


def residual(samples: Array, rate: int, order: int, model: Array | None = None) -> Array:
    """Residual of linear prediction, (N,) float64, largest magnitude 1.

    Frames of 25 ms every 5 ms are windowed, filtered by their own inverse, brought back to the energy
    that they had, and added up. Where a whole frame is zero the residual is NaN; the last frame's
    rest, which no whole frame covers, is 0.

    Args:
        samples: (N,) sound.
        rate: Hz.
        order: Of the prediction.
        model: (N,) sound to estimate the predictors on; `samples` if None.

    Reference:
        Drugman & Alwan, "Joint robust voicing detection and pitch estimation based on residual
        harmonics", Interspeech 2011, section 2.1.
    """
    length, hop = int(rounded(0.025 * rate)) + 1, int(rounded(0.005 * rate))
    out = np.zeros(len(samples))
    # The frame that reaches the last sample is left out, as in the original.
    count = max((len(samples) - 1 - length) // hop + 1, 0)
    if count == 0:
        return out
    window = hann_open(length)
    block = max(BLOCK_SAMPLES // length, 1)
    for first in range(0, count, block):
        rows = min(block, count - first)
        span = slice(first * hop, (first + rows - 1) * hop + length)
        frames = _rows(samples[span], length, hop) * window
        learnt = frames if model is None else _rows(model[span], length, hop) * window
        errors = inverse_filter(frames, linear_prediction(learnt, order))
        with np.errstate(invalid="ignore", divide="ignore"):
            energy = np.einsum("bi,bi->b", frames, frames) / np.einsum("bi,bi->b", errors, errors)
        overlap_add(out, errors * np.sqrt(energy)[:, None], first * hop, hop)
    largest = np.nanmax(np.abs(out)) if not np.isnan(out).all() else 0.0
    return out / largest if largest > 0 else out


def polarity(samples: Array, rate: int, found: Array | None = None) -> int:
    """Whether the recording is upside down: 1 or -1.

    Args:
        samples: (N,) sound.
        rate: Hz.
        found: The residual of `samples` where it is known already (order `long_order(rate)`).

    Reference:
        Drugman, "Residual excitation skewness for automatic speech polarity detection", IEEE Signal
        Processing Letters 2013: the sign of the skewness of the residual less that of the residual whose
        predictors come from the high-passed signal.
    """
    if len(samples) < 2:
        return 1
    order = long_order(rate)
    plain = residual(samples, rate, order) if found is None else found
    high = residual(samples, rate, order, zero_phase_elliptic(samples, 9, POLARITY_CUTOFF, rate))
    return -1 if skewness(plain) < skewness(high) else 1


def skewness(values: Array) -> float:
    """Third standardised moment; NaN values count as 0, as in the original."""
    known = np.nan_to_num(values)
    known -= known.mean()
    spread = float(np.mean(known * known))
    if spread == 0:
        return 0.0
    known *= known * known
    return float(known.mean() / spread**1.5)


def _rows(samples: Array, length: int, hop: int) -> Array:
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]  # (B, length)

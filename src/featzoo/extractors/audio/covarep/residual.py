"""The residual of linear prediction, and the polarity that it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from featzoo.extractors.audio.covarep.signals import (
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
# Seconds that are filtered at once there, and seconds of margin after which the effect of the cut vanishes (to 1e-16).
STRETCH_SECONDS, SETTLE_SECONDS = 30, 4


def long_order(rate: int) -> int:
    """The order used everywhere except in SRH: 18 at 16 kHz."""
    return int(rounded(rate / 1000)) + 2


def residual(samples: Array, rate: int, order: int) -> Array:
    """Residual of linear prediction, (N,) float64, largest magnitude 1.

    Frames of 25 ms every 5 ms are windowed, filtered by their own inverse, brought back to the energy
    that they had, and added up. If a whole frame is zero the residual is NaN; the end of the recording
    that no whole frame covers is 0.

    Args:
        samples: (N,) sound.
        rate: Hz.
        order: Of the prediction.

    Reference:
        Drugman & Alwan, "Joint robust voicing detection and pitch estimation based on residual
        harmonics", Interspeech 2011, section 2.1.
    """
    out = np.zeros(len(samples))
    seen, largest = 0, 0.0
    for part in _stretches(samples, rate, order):
        out[seen : seen + len(part)] = part
        seen += len(part)
        largest = float(np.fmax.reduce(np.abs(part), initial=largest))
    if largest > 0:
        out /= largest
    return out


def _stretches(
    samples: Array, rate: int, order: int, model: Callable[[int, int], Array] | None = None
) -> Iterator[Array]:
    """The residual before scaling, in consecutive parts, up to the last whole frame.

    Args:
        samples: (N,) sound.
        rate: Hz.
        order: Of the prediction.
        model: Gives samples first..last+1 of the sound that the predictors are estimated on, if another.
    """
    length, hop = int(rounded(0.025 * rate)) + 1, int(rounded(0.005 * rate))
    # The frame that reaches the last sample is left out, as in the original.
    count = max((len(samples) - 1 - length) // hop + 1, 0)
    stretch, block = STRETCH_SECONDS * rate // hop, max(BLOCK_SAMPLES // length, 1)
    window = hann_open(length)
    carried = np.zeros(0)
    for begin in range(0, count, stretch):
        end = min(begin + stretch, count)
        first, last = begin * hop, (end - 1) * hop + length
        sound = np.asarray(samples[first:last], dtype=np.float64)
        learnt = sound if model is None else model(first, last)
        out = np.zeros(last - first)
        out[: len(carried)] = carried
        for row in range(0, end - begin, block):
            span = slice(row * hop, (min(row + block, end - begin) - 1) * hop + length)
            frames = _rows(sound[span], length, hop) * window
            filters = linear_prediction(frames if model is None else _rows(learnt[span], length, hop) * window, order)
            errors = inverse_filter(frames, filters)
            with np.errstate(invalid="ignore", divide="ignore"):
                energy = np.einsum("bi,bi->b", frames, frames) / np.einsum("bi,bi->b", errors, errors)
            errors *= np.sqrt(energy)[:, None]
            overlap_add(out, errors, row * hop, hop)
        done = len(out) if end == count else stretch * hop
        carried = out[done:]
        yield out[:done]


def polarity(samples: Array, rate: int, found: Array | None = None) -> int:
    """Whether the recording is upside down: 1 or -1.

    Args:
        samples: (N,) sound.
        rate: Hz.
        found: The residual of `samples`, if already computed (order `long_order(rate)`).

    Reference:
        Drugman, "Residual excitation skewness for automatic speech polarity detection", IEEE Signal
        Processing Letters 2013: the sign of the skewness of the residual less that of the residual whose
        predictors come from the high-passed signal.
    """
    if len(samples) < 2:
        return 1
    order, settle = long_order(rate), SETTLE_SECONDS * rate

    def high(first: int, last: int) -> Array:
        left = max(first - settle, 0)
        sound = np.array(samples[left : last + settle], dtype=np.float64)
        zero_phase_elliptic(sound, 9, POLARITY_CUTOFF, rate)
        return sound[first - left : last - left]

    if found is None:
        plain = skewness(_stretches(samples, rate, order), len(samples))
    else:
        plain = skewness((found[n : n + BLOCK_SAMPLES] for n in range(0, len(found), BLOCK_SAMPLES)), len(found))
    return -1 if plain < skewness(_stretches(samples, rate, order, high), len(samples)) else 1


def skewness(parts: Iterable[Array], count: int) -> float:
    """Third standardised moment of `count` values; those that are NaN or missing count as 0, as in the original."""
    total = np.zeros(3)
    for part in parts:
        known = np.nan_to_num(part)
        square = known * known
        total += known.sum(), square.sum(), np.dot(square, known)
    mean, second, third = total / count
    spread = second - mean**2
    if spread <= 0:
        return 0.0
    return float((third - 3 * mean * second + 2 * mean**3) / spread**1.5)


def _rows(samples: Array, length: int, hop: int) -> Array:
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]  # (B, length)

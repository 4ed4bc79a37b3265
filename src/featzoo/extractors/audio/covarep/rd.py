"""The shape parameter Rd of the glottal pulse, by mean squared phase."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy import optimize

from featzoo.extractors.audio.covarep.brent import bounded_minimum
from featzoo.sequence import Array

LOWEST, HIGHEST = 0.3, 2.5
HARMONICS = 8
TOP = 8000.0  # Hz up to which harmonics count


def lf_times(rd: Any) -> tuple[Any, Any, Any]:
    """te, tp and ta of the LF model, in periods.

    Reference:
        Fant, "The LF-model revisited. Transformations and frequency domain analysis", STL-QPSR 1995,
        equations 2 to 4.
    """
    return_phase, skew = (-1 + 4.8 * rd) / 100, (22.4 + 11.8 * rd) / 100
    frequency = skew / (4 * (0.11 * rd / (0.5 + 1.2 * skew) - return_phase))
    peak = 1 / (2 * frequency)
    return peak * (skew + 1), peak, return_phase


@cache
def _known_shapes() -> tuple[Array, Array, Array]:
    """A table of Rd with the growth and decay of the LF model, from which Newton's iteration starts."""
    shapes = np.exp(np.linspace(np.log(LOWEST - 0.21), np.log(HIGHEST - 0.19), 400)) + 0.2
    found = []
    for te, tp, ta in (lf_times(rd) for rd in shapes):
        omega, rest = np.pi / tp, 1 - te
        decay = optimize.brentq(lambda e, r=rest, t=ta: 1 - np.exp(-e * r) - e * t, 1e-3, 1 / ta + 1)
        closing = -((1 - np.exp(-decay * rest)) / decay - rest * np.exp(-decay * rest)) / (decay * ta)
        growth = optimize.brentq(lambda a, w=omega, t=te, c=closing: float(_area(a, w, t)[0]) + c, -100, 300)
        found.append((growth, decay))
    growth, decay = np.array(found).T
    return shapes, growth, decay


def _area(growth: Any, omega: Any, te: Any) -> tuple[Any, Any]:
    """Area of the open phase, and its derivative by the growth."""
    sine, below = np.sin(omega * te), growth**2 + omega**2
    rise = omega * np.exp(-growth * te)
    area = -(rise + growth * sine - omega * np.cos(omega * te)) / (sine * below)
    return area, -(sine - te * rise) / (sine * below) - 2 * growth * area / below


def lf_spectrum(rd: Array, last: int) -> Array:
    """Complex spectra (B, last) of the LF model's flow derivative (period 1, Ee = 1), harmonics 1..last.

    Args:
        rd: (B,) values in [0.3, 2.5].
        last: Number of harmonics.

    Reference:
        Fant, Liljencrants & Lin, "A four-parameter model of glottal flow", STL-QPSR 1985; Doval,
        d'Alessandro & Henrich, "The spectrum of glottal flow models", Acta Acustica 2006, appendix.
    """
    te, tp, ta = lf_times(rd)
    omega, rest = np.pi / tp, 1 - te
    shapes, growths, decays = _known_shapes()
    growth, decay = np.interp(rd, shapes, growths), np.interp(rd, shapes, decays)
    for _ in range(4):
        shut = np.exp(-decay * rest)
        decay = decay - (1 - shut - decay * ta) / (rest * shut - ta)
    shut = np.exp(-decay * rest)
    closing = -((1 - shut) / decay - rest * shut) / (decay * ta)
    for _ in range(4):  # the flow returns to its start: the derivative's area is 0
        area, slope = _area(growth, omega, te)
        growth = growth - (area + closing) / slope
    s = 2j * np.pi * np.arange(1, last + 1)  # (last,)
    te, omega, decay, growth, shut, ta = (values[:, None] for values in (te, omega, decay, growth, shut, ta))
    moved = np.exp(-s * te)  # (B, last)
    sine, cosine = np.sin(omega * te), np.cos(omega * te)
    less = growth - s
    opening = (omega * np.exp(-growth * te) + moved * (less * sine - omega * cosine)) / (less * less + omega**2)
    back = (moved - shut) / (decay + s) - shut * (moved - 1) / s
    return np.asarray(-opening / sine - back / (decay * ta))


@cache
def _minimum_phase_weights(last: int) -> Array:
    """(8, last + 1): minimum phase of harmonics 1..8 from log magnitudes at 0..last.

    The half spectrum 0..last is closed by a repeated last value and mirrored; of the cepstrum the
    anticausal half is folded over: a discrete Hilbert transform, whose kernel is a cotangent.
    """
    bins = 2 * last + 2
    h = np.arange(1, HARMONICS + 1)[:, None]

    def kernel(m: Array) -> Array:
        odd = m % 2 == 1
        return np.where(odd, -2 / bins / np.tan(np.pi * np.where(odd, m, 1) / bins), 0.0)

    k = np.arange(last + 1)
    weights = kernel(h - k) + np.where(k > 0, kernel(h + k), 0.0)
    weights[:, last] += kernel(h[:, 0] - last - 1)
    return np.asarray(weights)


def last_harmonic(f0: Array, count: Array) -> Array:
    """(K,) the last harmonic that counts: one before the last below 8 kHz, as in the original."""
    return np.asarray(np.minimum(np.floor(TOP / f0), count) - 1).astype(np.int64)


def residual_phases(amplitude: Array, phase: Array, last: Array) -> Array:
    """(B, 8) phases of harmonics 1..8 less their minimum phase; NaN beyond the last harmonic.

    Args:
        amplitude: (B, H + 1) with DC, which is replaced by the first harmonic.
        phase: (B, H + 1) radians.
        last: (B,) number of the last harmonic that counts.
    """
    found = np.full((len(last), HARMONICS), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log(amplitude)
    for size in np.unique(last[last >= 2]):
        rows = np.flatnonzero(last == size)
        logs = level[rows, : size + 1]  # (b, size + 1)
        logs[:, 0] = logs[:, 1]
        width = min(HARMONICS, int(size))
        with np.errstate(invalid="ignore"):
            minimum = logs @ _minimum_phase_weights(int(size)).T  # (b, 8)
        found[rows, :width] = phase[rows, 1 : width + 1] - minimum[:, :width]
    return found


def rd_msp(phases: Array, last: Array, conjugated: bool) -> tuple[Array, Array]:
    """Rd in [0.3, 2.5] and its confidence in [0, 1], (K,) each; NaN where nothing can be measured.

    The error of an Rd is the mean square of the wrapped phase_{h+1} - phase_h - phase_1 of the speech
    after the LF model and the minimum phase are removed; confidence is 1 - sqrt(error) / pi.

    Args:
        phases: (K, 8) from `residual_phases`.
        last: (K,) from `last_harmonic`.
        conjugated: Whether the model is removed with the wrong sign of its phase, as COVAREP has done
            since 2016 (v1.4.2 and later); v1.4.1 and the paper: False.

    Reference:
        Degottex, Roebel & Rodet, "Phase minimization for glottal model estimation", IEEE TASLP 2011,
        equations 12 to 16.
    """
    rd, error = np.full(len(last), np.nan), np.full(len(last), np.nan)
    good = np.flatnonzero(np.isfinite(phases[:, :2]).all(axis=1))
    if not len(good):
        return rd, error
    sign = 1.0 if conjugated else -1.0
    # Frames with similar numbers of harmonics share an array.
    order = good[np.argsort(last[good], kind="stable")]
    for first in range(0, len(order), 256):
        block = order[first : first + 256]
        measured, lasts = phases[block], last[block]
        weights = _weights(lasts)

        def measure(shape: Array, rows: Array, w: Array = weights, m: Array = measured, s: float = sign) -> Array:
            model = lf_spectrum(shape, w.shape[2])
            minimum = np.einsum("bhk,bk->bh", w[rows], np.log(np.abs(model)))  # (b, 8)
            left = m[rows] + minimum + s * np.angle(model[:, :HARMONICS])
            bent = left[:, 1:] - left[:, :-1] - left[:, :1]
            return np.asarray(np.nanmean((bent - 2 * np.pi * np.round(bent / (2 * np.pi))) ** 2, axis=1))

        rd[block], error[block] = bounded_minimum(measure, len(block), LOWEST, HIGHEST)
    return rd, 1 - np.sqrt(error) / np.pi


def _weights(last: Array) -> Array:
    """(B, 8, L) weights of harmonics 1..L of the model, 0 beyond each row's last harmonic."""
    found = np.zeros((len(last), HARMONICS, max(int(last.max()), HARMONICS)))
    for size in np.unique(last):
        weights = _minimum_phase_weights(int(size)).copy()
        weights[:, 1] += weights[:, 0]  # DC has the first harmonic's magnitude
        found[last == size, :, :size] = weights[:, 1:]
    return found

"""Fundamental frequency and voicing by the summation of residual harmonics (SRH)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft, signal

from featzoo.extractors.audio.covarep.residual import residual
from featzoo.extractors.audio.covarep.signals import BLOCK_SAMPLES, blackman, rounded
from featzoo.sequence import Array

LOWEST, HIGHEST = 50, 500  # Hz
TOP_RATE = 16000  # Hz: sound at a higher rate is brought down first
HARMONICS = 5


class Pitch(NamedTuple):
    """SRH's tracks, one value per 10 ms.

    Attributes:
        time: (K,) seconds; the first is 0.05.
        f0: (K,) Hz, in unvoiced frames too; 1 without a candidate (digital silence).
        voiced: (K,) bool.
        strength: (K,) the SRH value of the chosen candidate.
    """

    time: Array
    f0: Array
    voiced: Array
    strength: Array


def srh(samples: Array, rate: int, lowest: int = LOWEST) -> Pitch:
    """F0 in Hz and voicing, every 10 ms from 50 ms on.

    SRH(f) = sum_{k=1..5} E(k f) - sum_{k=1..4} E((k + 1/2) f), E the amplitude spectrum of the residual,
    normalised; the candidate is the largest between 50 and 500 Hz. A second pass looks between half and
    twice the recording's median. Voiced where SRH > 0.07, or 0.085 where its deviation over the
    recording exceeds 0.05.

    Args:
        samples: (N,) sound.
        rate: Hz.
        lowest: The lowest candidate, Hz.

    Reference:
        Drugman & Alwan, "Joint robust voicing detection and pitch estimation based on residual
        harmonics", Interspeech 2011, equations 1 and 2.
    """
    if rate > TOP_RATE:
        divisor = np.gcd(rate, TOP_RATE)
        samples = signal.resample_poly(np.asarray(samples, dtype=np.float64), TOP_RATE // divisor, rate // divisor)
        rate = TOP_RATE
    half = int(rounded((int(rounded(0.1 * rate)) - 2) / 2))
    hop = int(rounded(0.01 * rate))
    count = max((len(samples) - 2 * half - 1) // hop + 1, 0) if len(samples) > 2 * half else 0
    if count == 0:
        none = np.zeros(0)
        return Pitch(none, none, none.astype(bool), none)
    time = (half + 1 + np.arange(count) * hop) / rate
    sound = residual(samples, rate, int(rounded(0.75 * rate / 1000)))
    f0, strength = _search(sound, rate, half, np.arange(count) * hop, (lowest, HIGHEST))
    with np.errstate(invalid="ignore"):
        sure = f0[strength > 0.1]
    if len(sure):
        middle = float(np.median(sure))
        span = max(lowest, int(rounded(0.5 * middle))), min(HIGHEST, int(rounded(2 * middle)))
        # A first choice inside the narrower range is also the second choice.
        astray = np.flatnonzero((f0 != 1) & ((f0 < span[0]) | (f0 > span[1])))
        f0[astray], strength[astray] = _search(sound, rate, half, astray * hop, span)
    deviation = float(np.std(strength, ddof=1)) if count > 1 else 0.0
    return Pitch(time, f0, strength > (0.085 if deviation > 0.05 else 0.07), strength)


def _search(sound: Array, rate: int, half: int, starts: Array, span: tuple[int, int]) -> tuple[Array, Array]:
    """The best candidate of the frames that begin at `starts`, and its score; 1 and 0 if none is positive."""
    window = blackman(2 * half)
    candidates = np.arange(span[0], span[1] + 1)
    frames = np.lib.stride_tricks.sliding_window_view(sound, 2 * half)
    f0, strength = np.ones(len(starts)), np.zeros(len(starts))
    block = max(BLOCK_SAMPLES // rate, 1)
    for first in range(0, len(starts), block):
        rows = slice(first, first + block)
        part = frames[starts[rows]] * window  # (B, 2 half)
        part -= part.mean(axis=1, keepdims=True)
        whole = fft.rfft(part, rate, axis=1)  # (B, rate / 2 + 1)
        # Parseval: bins 0 .. rate/2 - 1 of a real signal.
        energy = (rate * np.einsum("bi,bi->b", part, part) - np.abs(whole[:, -1]) ** 2 + np.abs(whole[:, 0]) ** 2) / 2
        low = whole[:, : min(HARMONICS * HIGHEST, rate // 2)]
        spectrum = np.sqrt(low.real**2 + low.imag**2)
        scores = np.zeros((len(part), len(candidates)))
        # The spectrum has a bin per Hz; the original counts from 1, so that k f is read from bin k f - 1.
        for k in range(1, HARMONICS + 1):
            scores += spectrum[:, k * span[0] - 1 : k * span[1] : k]
        for k in range(3, 2 * HARMONICS, 2):  # halves of F0, half a bin rounded up
            for first_of in (0, 1):
                every = scores[:, first_of::2]
                start = (k * (span[0] + first_of) + 1) // 2 - 1
                every -= spectrum[:, start : start + k * every.shape[1] : k]
        with np.errstate(invalid="ignore", divide="ignore"):
            scores /= np.sqrt(energy)[:, None]
        scores = np.where(np.isnan(scores), -np.inf, scores)
        best = np.argmax(scores, axis=1)
        value = scores[np.arange(len(part)), best]
        positive = value > 0
        f0[rows][positive] = candidates[best[positive]]
        strength[rows][positive] = value[positive]
    return f0, strength

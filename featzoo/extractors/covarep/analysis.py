"""One recording through all stages of COVAREP, onto the grid of 10 ms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from featzoo.extractors.covarep import hmpd
from featzoo.extractors.covarep.envelope import cepstral_order, true_envelope, warped_cepstrum
from featzoo.extractors.covarep.gci import median_f0, sedreams, voiced_instants
from featzoo.extractors.covarep.harmonic import BLOCK_ROWS, harmonics, spectra, usable_frames
from featzoo.extractors.covarep.iaif import glottal_flow, periods
from featzoo.extractors.covarep.pitch import Pitch, srh
from featzoo.extractors.covarep.rd import last_harmonic, rd_msp, residual_phases
from featzoo.extractors.covarep.residual import long_order, polarity, residual
from featzoo.extractors.covarep.signals import at, rounded
from featzoo.extractors.covarep.voice_quality import LOWEST, voice_quality
from featzoo.extractors.covarep.wavelets import mdq, peak_slope
from featzoo.sequence import Array

MCEP_ORDER = 24
INSTANTS_AT_ONCE = 4000
FRAMES_AT_ONCE = 4096
NATIVE_STEP = 0.005  # seconds, of HMPD's own grid


class Source(NamedTuple):
    """What is measured at each of G voiced instants of glottal closure.

    Attributes:
        instants: (G,) 0-based sample numbers.
        quality: (G, 4) NAQ, QOQ, H1-H2, PSP; 0 where not computed.
        dispersion: (G,) MDQ.
    """

    instants: Array
    quality: Array
    dispersion: Array


class Frames(NamedTuple):
    """What is measured at each of K pitch frames whose window lies in the recording.

    Attributes:
        time: (K,) seconds.
        rd: (K, 2) Rd and its confidence.
        cepstrum: (K, 25) MCEP.
        mean: (K, 25) HMPDM; without rows where the recording is too short.
        deviation: (K, 13) HMPDD; likewise.
    """

    time: Array
    rd: Array
    cepstrum: Array
    mean: Array
    deviation: Array


def grid(length: int, rate: int) -> Array:
    """(T,) sample numbers, counted from 1, of the rows: 5 ms, 15 ms ..."""
    return np.arange(int(rounded(0.005 * rate)), length + 1, int(rounded(0.01 * rate)))


def source(samples: Array, rate: int, pitch: Pitch, found: Array) -> Source:
    """The voice source of `samples` (N,), of positive polarity; `found` (N,) is their residual."""
    everywhere = sedreams(samples, rate, median_f0(pitch), found)
    instants = voiced_instants(everywhere, pitch, rate, len(samples))
    if len(instants) < 2:
        return Source(instants[:0], np.zeros((0, 4)), np.zeros(0))
    gaps = periods(instants)
    quality = np.zeros((len(instants), 4))
    reach = 2 * rate // LOWEST
    for first in range(0, len(instants), INSTANTS_AT_ONCE):
        rows = slice(first, first + INSTANTS_AT_ONCE)
        begin = max(int(instants[first]) - reach, 0) if first else 0
        end = min(int(instants[rows][-1]) + reach, len(samples))
        flow, derivative = glottal_flow(samples, rate, instants, gaps, (begin, end))
        known = gaps[rows] if first else None
        quality[rows] = voice_quality(flow, derivative, rate, instants[rows] - begin, known)
    return Source(instants, quality, mdq(found, instants, gaps))


def frames(samples: Array, rate: int, pitch: Pitch, conjugated: bool) -> Frames:
    """Rd, MCEP, HMPDM and HMPDD of `samples` (N,), of positive polarity."""
    kept, middle, half = usable_frames(pitch.time, pitch.f0, rate, len(samples))
    f0 = np.where(pitch.f0[kept] > 0, pitch.f0[kept], 100.0)
    random = np.random.default_rng(0)  # phases above the last harmonic: the same in every run
    phases, last = np.full((len(kept), 8), np.nan), np.zeros(len(kept), dtype=np.int64)
    cepstrum = np.empty((len(kept), MCEP_ORDER + 1))

    def distortions() -> Iterator[Array]:
        for first in range(0, len(kept), BLOCK_ROWS):
            rows = slice(first, first + BLOCK_ROWS)
            spectrum = spectra(samples, middle[rows], half[rows])
            found = harmonics(spectrum, f0[rows], rate)
            last[rows] = last_harmonic(found.f0, found.harmonics)
            phases[rows] = residual_phases(found.amplitude, found.phase, last[rows])
            with np.errstate(divide="ignore"):
                level = np.log(np.abs(spectrum))
            order = cepstral_order(f0[rows], rate)
            cepstrum[rows] = warped_cepstrum(true_envelope(level, order), rate, MCEP_ORDER)
            yield hmpd.phase_distortion(found, f0[rows], rate, random)

    mean, deviation = _statistics(distortions(), len(kept), rate)
    rd = np.stack(rd_msp(phases, last, conjugated), axis=1)  # (K, 2)
    return Frames(pitch.time[kept], rd, cepstrum, mean, deviation)


def _statistics(distortions: Iterator[Array], count: int, rate: int) -> tuple[Array, Array]:
    """HMPDM (K, 25) and HMPDD (K, 13), a stretch at a time; none of `count` frames is too few for the filters."""
    mean, deviation = [np.zeros((0, 25))], [np.zeros((0, 13))]
    held, lead, seen = np.zeros((0, hmpd.BINS)), 0, 0
    parts: list[Array] = []
    for part in distortions:
        parts.append(part)
        seen += len(part)
        if sum(map(len, parts)) < FRAMES_AT_ONCE and seen < count:
            continue
        held = np.concatenate([held, *parts])
        parts = []
        if count <= hmpd.MARGIN or (seen < count and len(held) <= lead + 2 * hmpd.MARGIN):
            continue
        stop = len(held) if seen == count else len(held) - hmpd.MARGIN
        mean.append(hmpd.phase_distortion_mean(held)[lead:stop])
        deviation.append(hmpd.phase_distortion_deviation(held, rate)[lead:stop])
        held = held[max(stop - hmpd.MARGIN, 0) :]
        lead = min(hmpd.MARGIN, stop)
    return np.concatenate(mean), np.concatenate(deviation)


def analyse(samples: Array, rate: int, corrected: bool = False) -> Array:
    """(T, 74) float64 features of a recording, in COVAREP's order of columns.

    Args:
        samples: (N,) sound in [-1, 1).
        rate: Hz.
        corrected: Whether to give what the papers define in place of what COVAREP does.
    """
    samples = np.asarray(samples, dtype=np.float64)
    number = grid(len(samples), rate)
    pitch = srh(samples, rate)
    found = residual(samples, rate, long_order(rate))
    sign = polarity(samples, rate, found)
    samples, found = samples * sign, found * sign
    voice = source(samples, rate, pitch, found)
    slope_time, slope = peak_slope(samples, rate)
    del found
    block = frames(samples, rate, pitch, conjugated=not corrected)
    columns = np.full((len(number), 74), np.nan)
    centre = pitch.time * rate
    columns[:, 0] = at(centre, pitch.f0, number)
    share = at(centre, pitch.voiced.astype(np.float64), number)
    columns[:, 1] = np.where(np.isnan(share), np.nan, share >= 0.5)
    closed = voice.instants + 1.0
    tracks = np.column_stack([voice.quality, voice.dispersion])  # (G, 5)
    for column in range(5):
        seen = tracks[:, column] != 0 if corrected else slice(None)
        # MDQ's track counts the instants from 0, the others' from 1.
        columns[:, 2 + column] = at(closed[seen] - (column == 4), tracks[seen, column], number)
    columns[:, 7] = at(slope_time * rate, slope, number)
    columns[:, 8:10] = at(block.time * rate, block.rd, number)
    shown = block.time * rate if corrected else rounded(np.linspace(1, len(samples), len(block.time)))
    columns[:, 11:36] = at(shown, block.cepstrum, number)
    columns[:, 36:74] = _phase_columns(block, (number - 1) / rate)
    if corrected:
        silent = ~(columns[:, 1] == 1)
        columns[np.ix_(silent, [0, *range(2, 10)])] = np.nan
    else:
        columns[:, 10] = 0.0
        columns[np.isnan(columns)] = 0.0
    columns[np.isinf(columns)] = np.nan
    return columns


def _phase_columns(block: Frames, time: Array) -> Array:
    """(T, 38) HMPDM and HMPDD at `time`: through a grid of 5 ms, as in the original."""
    if len(block.mean) < 2:
        return np.full((len(time), 38), np.nan)
    first = int(np.ceil(block.time[0] / NATIVE_STEP - 1e-9))
    fine = np.arange(first, int(np.floor(block.time[-1] / NATIVE_STEP + 1e-9)) + 1) * NATIVE_STEP
    fine = np.clip(fine, block.time[0], block.time[-1])
    mean = at(block.time, np.unwrap(block.mean, axis=0), fine)
    mean = at(fine, np.unwrap(np.angle(np.exp(1j * mean)), axis=0), time)
    return np.concatenate([np.angle(np.exp(1j * mean)), at(fine, at(block.time, block.deviation, fine), time)], axis=1)

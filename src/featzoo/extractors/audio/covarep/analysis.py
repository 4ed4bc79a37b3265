"""One recording through all stages of COVAREP, onto the grid of 10 ms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from featzoo.extractors.audio.covarep import creak, harmonic_scale, hmpd
from featzoo.extractors.audio.covarep.creak_network import Network
from featzoo.extractors.audio.covarep.envelope import cepstral_order, true_envelope, warped_cepstrum
from featzoo.extractors.audio.covarep.gci import Turns, median_f0, sedreams, turns, voiced_instants
from featzoo.extractors.audio.covarep.harmonic import BINS as SPECTRUM_SIZE
from featzoo.extractors.audio.covarep.harmonic import BLOCK_ROWS, harmonics, spectra, usable_frames
from featzoo.extractors.audio.covarep.iaif import glottal_flow, periods
from featzoo.extractors.audio.covarep.pitch import Pitch, srh
from featzoo.extractors.audio.covarep.rd import last_harmonic, rd_msp, residual_phases
from featzoo.extractors.audio.covarep.residual import long_order, polarity, residual
from featzoo.extractors.audio.covarep.signals import at, rounded
from featzoo.extractors.audio.covarep.voice_quality import LOWEST, voice_quality
from featzoo.extractors.audio.covarep.wavelets import mdq, peak_slope
from featzoo.sequence import Array

MCEP_ORDER = 24
INSTANTS_AT_ONCE = 4000
# Number of frames whose envelopes, and whose mean phases, are computed at once.
FRAMES_AT_ONCE, AVERAGED_AT_ONCE = 256, 512
NATIVE_STEP = 0.005  # seconds, of HMPD's own grid


class Source(NamedTuple):
    """Measurements at each of G voiced instants of glottal closure.

    Attributes:
        instants: (G,) 0-based sample numbers.
        quality: (G, 4) NAQ, QOQ, H1-H2, PSP; 0 where not computed.
        dispersion: (G,) MDQ.
    """

    instants: Array
    quality: Array
    dispersion: Array


class Frames(NamedTuple):
    """Measurements at each of K pitch frames whose window is inside the recording.

    Attributes:
        time: (K,) seconds.
        rd: (K, 2) Rd and its confidence.
        cepstrum: (K, 25) MCEP.
        mean: (K, 25) HMPDM; without rows if the recording is too short.
        deviation: (K, 13) HMPDD; the same.
    """

    time: Array
    rd: Array
    cepstrum: Array
    mean: Array
    deviation: Array


def grid(length: int, rate: int) -> Array:
    """(T,) sample numbers, counted from 1, of the rows: 5 ms, 15 ms ..."""
    return np.arange(int(rounded(0.005 * rate)), length + 1, int(rounded(0.01 * rate)))


def source(samples: Array, rate: int, pitch: Pitch, found: Array, turn: Turns | None = None) -> Source:
    """The voice source of `samples` (N,), of positive polarity.

    Args:
        samples: (N,) sound.
        rate: Hz.
        pitch: From `srh`.
        found: (N,) residual of the sound.
        turn: From `turns`; computed here if None.
    """
    turn = turns(samples, rate, median_f0(pitch)) if turn is None else turn
    instants = voiced_instants(sedreams(turn, found), pitch, rate, len(samples))
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


def frames(samples: Array, rate: int, pitch: Pitch, conjugated: bool, on_harmonics: bool = False) -> Frames:
    """Rd, MCEP, HMPDM and HMPDD of `samples` (N,), of positive polarity.

    Args:
        samples: (N,) sound.
        rate: Hz.
        pitch: From `srh`.
        conjugated: As of `rd_msp`.
        on_harmonics: Whether HMPD is measured on harmonics in voiced frames instead of on frequency bins.
    """
    kept, middle, half = usable_frames(pitch.time, pitch.f0, rate, len(samples))
    f0 = np.where(pitch.f0[kept] > 0, pitch.f0[kept], 100.0)
    random = np.random.default_rng(0)  # phases above the last harmonic: the same in every run
    phases, last = np.full((len(kept), 8), np.nan), np.zeros(len(kept), dtype=np.int64)
    cepstrum = np.empty((len(kept), MCEP_ORDER + 1))

    def phases_turned() -> Iterator[Array]:
        for start in range(0, len(kept), FRAMES_AT_ONCE):
            together = slice(start, min(start + FRAMES_AT_ONCE, len(kept)))
            level = np.empty((together.stop - start, SPECTRUM_SIZE // 2 + 1))
            for first in range(start, together.stop, BLOCK_ROWS):
                rows = slice(first, min(first + BLOCK_ROWS, together.stop))
                spectrum = spectra(samples, middle[rows], half[rows])
                with np.errstate(divide="ignore"):
                    np.log(np.abs(spectrum), out=level[first - start : rows.stop - start])
                found = harmonics(spectrum, f0[rows], rate)
                last[rows] = last_harmonic(found.f0, found.harmonics)
                phases[rows] = residual_phases(found.amplitude, found.phase, last[rows])
                if on_harmonics:
                    yield harmonic_scale.turned(found, pitch.voiced[kept[rows]], rate)
                else:
                    yield hmpd.turned(hmpd.phase_distortion(found, f0[rows], rate, random))
            envelope = true_envelope(level, cepstral_order(f0[together], rate))
            cepstrum[together] = warped_cepstrum(np.exp(envelope, out=envelope), rate, MCEP_ORDER)

    # Products of small matrices: threads would cost more than they save, and wait for each other on a busy machine.
    with threadpool_limits(limits=1, user_api="blas"):
        mean, deviation = _statistics(phases_turned(), len(kept), rate, f0 if on_harmonics else None)
    rd = np.stack(rd_msp(phases, last, conjugated), axis=1)  # (K, 2)
    return Frames(pitch.time[kept], rd, cepstrum, mean, deviation)


def _statistics(turned: Iterator[Array], count: int, rate: int, f0: Array | None = None) -> tuple[Array, Array]:
    """HMPDM (K, 25) and HMPDD (K, 13) of the (2, B, 513) `turned` of `count` frames; empty if there are too few."""
    mean, deviation = [np.zeros((0, 25))], [np.zeros((0, 13))]
    parts: list[Array] = []
    lead, seen = 0, 0  # frames of `parts` that are done and kept as a margin; frames seen
    for part in turned:
        parts.append(part)
        seen += part.shape[1]
        ready = sum(block.shape[1] for block in parts) >= lead + AVERAGED_AT_ONCE + hmpd.MARGIN
        if f0 is None and count <= hmpd.PADDING:
            parts = []
        elif ready or seen == count:
            held = np.concatenate(parts, axis=1)
            stop = held.shape[1] - (0 if seen == count else hmpd.MARGIN)
            if f0 is None:
                mean.append(hmpd.phase_distortion_mean(held)[lead:stop])
                deviation.append(hmpd.phase_distortion_deviation(held, rate)[lead:stop])
            else:
                mean.append(harmonic_scale.mean(held)[lead:stop])
                pitch = f0[seen - held.shape[1] + lead : seen - held.shape[1] + stop]
                deviation.append(
                    harmonic_scale.deviation_cepstrum(harmonic_scale.deviation(held)[lead:stop], pitch, rate)
                )
            lead = min(hmpd.MARGIN, stop)
            parts = [held[:, stop - lead :]]
    return np.concatenate(mean), np.concatenate(deviation)


def analyse(samples: Array, rate: int, corrected: bool = False, network: Network | None = None) -> Array:
    """(T, 74) float64 features of a recording, in COVAREP's order of columns.

    Args:
        samples: (N,) sound in [-1, 1), float32 or float64. One more array of N float64 is held at a time.
        rate: Hz.
        corrected: Whether to follow the papers instead of COVAREP.
        network: Computes the posterior of creak of sound at 16 kHz; without it the column is 0, or NaN if `corrected`.
    """
    number = grid(len(samples), rate)
    pitch = srh(samples, rate)
    turn = turns(samples, rate, median_f0(pitch))
    found = residual(samples, rate, long_order(rate))
    if polarity(samples, rate, found) < 0:
        samples, turn = -samples, turn.reversed()
        np.negative(found, out=found)
    voice = source(samples, rate, pitch, found, turn)
    slope_time, slope = peak_slope(samples, rate)
    creaky = (
        None if network is None else network.posterior(creak.features(samples, srh(samples, rate, creak.LOWEST), found))
    )
    del found
    block = frames(samples, rate, pitch, conjugated=not corrected, on_harmonics=corrected)
    columns = np.full((len(number), 74), np.nan)
    # The original rounds frames to whole samples, which changes nothing at 16 kHz.
    centre, kept = (time * rate if corrected else rounded(time * rate) for time in (pitch.time, block.time))
    columns[:, 0] = at(centre, pitch.f0, number)
    share = at(centre, pitch.voiced.astype(np.float64), number)
    columns[:, 1] = np.where(np.isnan(share), np.nan, share >= 0.5)
    _fill_source_columns(columns[:, 2:7], voice, number, corrected)
    columns[:, 7] = at(slope_time * rate, slope, number)
    for column in range(2):
        columns[:, 8 + column] = at(kept, block.rd[:, column], number)
    shown = kept if corrected else rounded(np.linspace(1, len(samples), len(block.time)))
    for column in range(MCEP_ORDER + 1):
        columns[:, 11 + column] = at(shown, block.cepstrum[:, column], number)
    if creaky is not None:
        columns[:, 10] = at(np.arange(1, len(creaky) + 1) * creak.ROW, creaky, number)
    if len(block.mean) > 1:
        fill = _fill_phase_columns_directly if corrected else _fill_phase_columns
        fill(columns[:, 36:74], block, (number - 1) / rate)
    _fill_gaps(columns, corrected)
    return columns


def _fill_source_columns(columns: Array, voice: Source, number: Array, corrected: bool) -> None:
    """NAQ, QOQ, H1-H2, PSP and MDQ at the samples `number` into (T, 5) `columns`."""
    closed = voice.instants + 1.0
    tracks = np.column_stack([voice.quality, voice.dispersion])  # (G, 5)
    for column in range(5):
        seen = tracks[:, column] != 0 if corrected else slice(None)
        # MDQ's track counts the instants from 0, the others count from 1.
        columns[:, column] = at(closed[seen] - (column == 4), tracks[seen, column], number)


def _fill_gaps(columns: Array, corrected: bool) -> None:
    """Write NaN where nothing is voiced if `corrected`, else 0 for NaN as in the original; NaN for infinities."""
    if corrected:
        silent = ~(columns[:, 1] == 1)
        columns[np.ix_(silent, [0, *range(2, 10), *range(36, 74)])] = np.nan
    else:
        columns[np.isnan(columns)] = 0.0
    columns[np.isinf(columns)] = np.nan


def _fill_phase_columns(columns: Array, block: Frames, time: Array) -> None:
    """HMPDM and HMPDD at `time` into (T, 38) `columns`: through a grid of 5 ms, as in the original."""
    first = int(np.ceil(block.time[0] / NATIVE_STEP - 1e-9))
    fine = np.arange(first, int(np.floor(block.time[-1] / NATIVE_STEP + 1e-9)) + 1) * NATIVE_STEP
    fine = np.clip(fine, block.time[0], block.time[-1])
    # Column by column: an hour of all at once would fill a gigabyte.
    for column in range(25):
        mean = at(block.time, np.unwrap(block.mean[:, column]), fine)
        mean = at(fine, np.unwrap(np.angle(np.exp(1j * mean))), time)
        columns[:, column] = np.angle(np.exp(1j * mean))
    for column in range(13):
        columns[:, 25 + column] = at(fine, at(block.time, block.deviation[:, column], fine), time)


def _fill_phase_columns_directly(columns: Array, block: Frames, time: Array) -> None:
    """HMPDM, along the shorter way round the circle, and HMPDD at `time` into (T, 38) `columns`; NaN beside NaN."""
    for column in range(25):
        cosine, sine = (at(block.time, part(block.mean[:, column]), time) for part in (np.cos, np.sin))
        columns[:, column] = np.arctan2(sine, cosine)
    for column in range(13):
        columns[:, 25 + column] = at(block.time, block.deviation[:, column], time)

"""COVAREP's 74 acoustic features at 100 Hz, written from the papers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from featzoo import media
from featzoo.backends import check
from featzoo.clips import Clip
from featzoo.errors import ClipError
from featzoo.extractors.contract import Extractor
from featzoo.sequence import Array, FeatureSequence

NAMES = (
    "F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak",
    *(f"MCEP_{n}" for n in range(25)), *(f"HMPDM_{n}" for n in range(25)), *(f"HMPDD_{n}" for n in range(13)),
)  # fmt: skip


@dataclass(frozen=True)
class Covarep(Extractor):
    """COVAREP's features: pitch, voice source, spectral envelope and phase, (T, 74) float32 every 10 ms.

    Attributes:
        rate: Resample to this rate in Hz first; None keeps the recording's own, at which many of the
            features are others.
        channel: `first`, as COVAREP does, or `mono`, the mean of all.
        compat: `covarep` gives the newest COVAREP's numbers with its faults, as the features published with
            CMU-MOSI and MOSEI have them; `corrected` what the papers define, NaN where nothing was observed.
        whole_recording: Analyse a segment's whole recording and cut its rows out, as the published
            features were made; False analyses the segment alone.

    Reference:
        Degottex, Kane, Drugman, Raitio & Scherer, "COVAREP - a collaborative voice analysis repository for
        speech technologies", ICASSP 2014. Each stage names its own paper.

    Differences:
        In both modes: `creak` is not computed, because its weights may not be distributed: 0 (COVAREP
        without its toolbox) or NaN. peakSlope of -inf beside digital silence is NaN. Random phases
        above the last harmonic come from a fixed seed. Sound on which COVAREP stops (shorter than 0.85 s,
        without voice) gives rows with zeros or NaN in the columns that it lacks. A pause of more
        than 60 s counts as one of 60 s in inverse filtering. Where the search for Rd meets an exact tie, which
        rounding decides in COVAREP, it goes the same way on every machine: about one frame in 800 differs
        by up to 0.004.
        `corrected`: MCEP at its frames' own times, Rd as in v1.4.1 and its paper, NaN outside a track's
        support and, for F0 to Rd_conf, where VUV is 0; instants without a period give nothing where COVAREP gives
        0. HMPD is as in `covarep`.
    """

    name = "covarep"
    modality = "audio"
    reads = ("audio",)
    extra = "covarep"
    # On request only, until creak is computed and an hour of sound fits into 1.5 GB.
    usual = ()

    rate: int | None = 16000
    channel: Literal["first", "mono"] = "first"
    compat: Literal["covarep", "corrected"] = "covarep"
    whole_recording: bool = True

    def prepare(self) -> None:
        """Check that SciPy is there."""
        check("scipy", self.extra)

    def extract(self, clip: Clip) -> FeatureSequence:
        """(T, 74) float32; row i spans 10 i to 10 (i + 1) ms."""
        corrected = self.compat == "corrected"
        if self.whole_recording and (clip.start > 0 or clip.end is not None):
            stamp = _stamp(clip.file)
            features, intervals = _whole(clip.file, stamp, self.rate, self.channel, corrected)
            end = float("inf") if clip.end is None else clip.end
            middle = intervals.mean(axis=1)
            inside = (middle >= clip.start) & (middle < end)
            features = features[inside]
            intervals = np.clip(intervals[inside], clip.start, end) - clip.start
        else:
            features, intervals = _analysed(clip, self.rate, self.channel, corrected)
        if not len(features):
            raise ClipError("too-short", f"{clip.id}: no row of 10 ms lies in its sound")
        return FeatureSequence(features, intervals, NAMES)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise ClipError("not-found", f"no file {path}") from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)
def _whole(path: Path, _stamp: tuple[int, int], rate: int | None, channel: str, corrected: bool) -> tuple[Array, Array]:
    """Features of a whole recording, kept for its next segment."""
    return _analysed(Clip(path.name, path), rate, channel, corrected)


def _analysed(clip: Clip, rate: int | None, channel: str, corrected: bool) -> tuple[Array, Array]:
    from featzoo.extractors.covarep.analysis import analyse, grid

    sound = clip.audio(mono=channel == "mono")
    sound = media.Audio(sound.samples[:1], sound.rate)
    if rate is not None:
        sound = media.resample(sound, rate)
    samples, hertz = sound.samples[0], sound.rate
    features = analyse(samples, hertz, corrected).astype(np.float32)
    hop = np.diff(grid(hertz, hertz)[:2])[0] / hertz
    start = np.arange(len(features)) * hop
    intervals = np.minimum(np.stack([start, start + hop], axis=1), len(samples) / hertz)
    return features, intervals

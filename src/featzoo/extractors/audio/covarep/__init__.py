"""COVAREP's 74 acoustic features at 100 Hz, written from the papers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from featzoo.errors import ClipError
from featzoo.extractors.contract import UNKEYED, Extractor
from featzoo.media import audio
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check
from featzoo.weights.locate import file_digest, folder_digest, locate_file

if TYPE_CHECKING:
    from featzoo.extractors.audio.covarep.creak_network import Network

NAMES = (
    "F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak",
    *(f"MCEP_{n}" for n in range(25)), *(f"HMPDM_{n}" for n in range(25)), *(f"HMPDD_{n}" for n in range(13)),
)  # fmt: skip


CREAK_RATE = 16000


class Settings(NamedTuple):
    """The options of an analysis."""

    rate: int | None
    channel: Channel
    corrected: bool
    weights: str
    digest: str


@dataclass(frozen=True)
class Covarep(Extractor):
    """COVAREP's features: pitch, voice source, spectral envelope and phase, (T, 74) float32 every 10 ms.

    Attributes:
        rate: Resample to this rate in Hz first; None keeps the recording's own, at which many of the
            features are others.
        channel: `first`, as COVAREP does, the `mix` of all channels (stereo: their mean; surround sound: as ffmpeg
            mixes it), or the number of one, from 1.
        compat: `covarep` gives the newest COVAREP's numbers with its faults, as the features published with
            CMU-MOSI and MOSEI have them; `corrected` what the papers define, NaN where nothing was observed.
        creak_weights: COVAREP's network of creaky voice, which may not be distributed with featzoo: a .mat file, or
            a folder of them, from your own copy; for sound at 16 kHz.
        whole_recording: Analyse a segment's whole recording and cut its rows out, as for the published
            features; False analyses only the segment.

    Reference:
        Degottex, Kane, Drugman, Raitio & Scherer, "COVAREP - a collaborative voice analysis repository for
        speech technologies", ICASSP 2014. Each stage names its own paper.

    Differences:
        In both modes: without `creak_weights`, `creak` is 0 (as COVAREP gives it without its toolbox) or NaN; with
        them, five of the network's twelve features equal COVAREP's and seven follow their papers, whose settings are
        not published: the posterior is like COVAREP's, not equal. peakSlope of -inf beside digital silence is NaN;
        nothing is infinite. Samples that are not finite count as 0. Random phases above the last harmonic come from
        a fixed seed. COVAREP fails for a file that is shorter than 0.85 s or has fewer
        than two voiced instants of closure (silence, most noise); here such a file has rows, with 0 or NaN in
        the undefined columns. A pause of more than 60 s counts as one of 60 s in inverse filtering. An exact tie in
        the search for Rd, which rounding decides in COVAREP, has the same result on every machine:
        about one frame in 800 differs by up to 0.004.
        `corrected`: MCEP at its frames' own times, Rd as in v1.4.1 and its paper, NaN outside the range where a track
        is defined and, for F0, NAQ to Rd_conf and HMPD, where VUV is 0; instants without a period are left out where
        COVAREP gives 0. HMPD is measured on harmonics, over the voiced frames that have them, so short sound has it
        too; its windows are COVAREP's 25 and 9 frames of 10 ms, where the papers have 6 and 2 periods of four
        frames each.
    """

    name = "covarep"
    modality = "audio"
    reads = ("audio",)
    extra = "covarep"
    version = 3
    # On request only: it needs ten times the time of eGeMAPS, which serves new work as well.
    usual = ()

    rate: int | None = 16000
    channel: Channel = "first"
    compat: Literal["covarep", "corrected"] = "covarep"
    creak_weights: str = field(default="", metadata=UNKEYED)
    whole_recording: bool = True

    def __post_init__(self) -> None:
        if self.creak_weights and self.rate != CREAK_RATE:
            raise ValueError(f"creak_weights are for sound at {CREAK_RATE} Hz: rate={CREAK_RATE}")

    def prepare(self) -> None:
        """Check that the packages are installed and that the network of creak can be read."""
        check("scipy", self.extra)
        check("threadpoolctl", self.extra)
        if self.creak_weights:
            _network(self.creak_weights, self.digests()["creak"])

    def digests(self) -> dict[str, str]:
        """Digests of the network of creak, if one is given."""
        if not self.creak_weights:
            return {}
        path = Path(self.creak_weights).expanduser()
        if path.is_dir():
            return {"creak": folder_digest(path, ("*.mat",))}
        return {"creak": file_digest(locate_file(self.creak_weights))}

    def provenance(self) -> dict[str, Any]:
        """The source of creak, or a note that it was not computed."""
        return {"creak": "by the user's copy of COVAREP's network"} if self.creak_weights else {"note": self._note()}

    def _note(self) -> str:
        value = "NaN" if self.compat == "corrected" else "0"
        return f"column creak is {value}: give creak_weights=PATH to compute it"

    def extract(self, clip: Clip) -> FeatureSequence:
        """(T, 74) float32; row i spans 10 i to 10 (i + 1) ms."""
        if self.whole_recording and (clip.start > 0 or clip.end is not None):
            features, intervals, notes = _whole(clip.file, _stamp(clip.file), self._settings())
            clip.notes.update(notes)
            end = float("inf") if clip.end is None else clip.end
            middle = intervals.mean(axis=1)
            inside = (middle >= clip.start) & (middle < end)
            features = features[inside]
            intervals = np.clip(intervals[inside], clip.start, end) - clip.start
        else:
            features, intervals = _analysed(clip, self._settings())
        if not len(features):
            raise ClipError("too-short", f"{clip.id}: the sound is too short for a row of 10 ms")
        return FeatureSequence(features, intervals, NAMES)

    def _settings(self) -> Settings:
        digest = self.digests().get("creak", "")
        return Settings(self.rate, self.channel, self.compat == "corrected", self.creak_weights, digest)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise ClipError("not-found", f"no file {path}") from error
    return status.st_mtime_ns, status.st_size


@cache
def _network(path: str, _digest: str) -> Network:
    from featzoo.extractors.audio.covarep.creak_network import read_network

    return read_network(Path(path).expanduser())


@lru_cache(maxsize=2)
def _whole(path: Path, _stamp: tuple[int, int], settings: Settings) -> tuple[Array, Array, dict[str, str]]:
    """Features of a whole recording, kept for its next segment."""
    recording = Clip(path.name, path)
    return *_analysed(recording, settings), recording.notes


def _analysed(clip: Clip, settings: Settings) -> tuple[Array, Array]:
    from featzoo.extractors.audio.covarep.analysis import analyse, grid

    sound = clip.audio(channel=settings.channel)
    if not np.isfinite(sound.samples).all():
        sound = audio.Audio(np.nan_to_num(sound.samples, posinf=0.0, neginf=0.0), sound.rate)
    if settings.rate is not None:
        sound = audio.resample(sound, settings.rate)
    samples, hertz = sound.samples[0], sound.rate
    network = _network(settings.weights, settings.digest) if settings.weights else None
    features = analyse(samples, hertz, settings.corrected, network).astype(np.float32)
    hop = np.diff(grid(hertz, hertz)[:2])[0] / hertz
    start = np.arange(len(features)) * hop
    intervals = np.minimum(np.stack([start, start + hop], axis=1), len(samples) / hertz)
    return features, intervals

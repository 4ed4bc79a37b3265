"""How well sound was recorded: level, noise, clipping, silence and offset, one row for each clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from featzoo.errors import ClipError
from featzoo.extractors.contract import Extractor
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence

COLUMNS = ("level", "peak", "snr", "clipped", "silent", "offset")
FRAME_SECONDS = 0.02
# The mean power of rounding to 16 bits: no recording of 16 bits has less noise.
ROUNDING = (1 / 32768) ** 2 / 12
# Full scale, less one step of 16 bits: the largest positive sample is 32767/32768.
FULL_SCALE = 1 - 1.5 / 32768
FLOOR_DB = -100.0


@dataclass(frozen=True)
class Quality(Extractor):
    """Six measures of a recording, (1, 6), and notes on clips that are worth a look.

    `level` root mean square and `peak` largest magnitude, dB re full scale (0 and below for 16-bit sound; -100 stands
    for less); `snr` signal-to-noise ratio, dB; `clipped` share of samples at full scale or above; `silent` share of
    frames of 20 ms below `silence`; `offset` mean of the samples, re full scale.

    The signal-to-noise ratio compares frames of 20 ms: the noise has the power of the quietest (10th percentile), the
    signal is what the loudest (95th percentile) have in addition. Frames of zeros are left out. A clip without pauses
    has no frame with noise alone, and its estimate is too low; NaN if all frames are zeros.

    A clip is noted as `clipped`, `noisy`, `quiet`, `mostly-silent` or `offset` if it passes a limit below. Notes are
    counted by `feat extract` and stored beside the features.

    Attributes:
        silence: Frames below this level are silent, dB re full scale.
        most_clipped: Largest share of clipped samples without a note.
        least_snr: Smallest signal-to-noise ratio without a note, dB.
        least_level: Smallest level without a note, dB re full scale.
        most_silent: Largest share of silent frames without a note.
        most_offset: Largest magnitude of the offset without a note.
        channel: The `mix` of all channels (stereo: their mean; surround sound: as ffmpeg mixes it), the `first`, or the
            number of one, from 1.

    Reference:
        The signal-to-noise ratio follows the idea of NIST's `stnr` (percentiles of the power of short frames).

    Differences:
        `stnr` fits the distribution of the noise to a histogram of levels; here two percentiles are compared.
    """

    name = "quality"
    modality = "audio"
    reads = ("audio",)
    usual = ()  # describes the recording, not the speaker

    silence: float = -60.0
    most_clipped: float = 0.001
    least_snr: float = 10.0
    least_level: float = -50.0
    most_silent: float = 0.8
    most_offset: float = 0.02
    channel: Channel = "mix"

    def extract(self, clip: Clip) -> FeatureSequence:
        """(1, 6) float32 over the whole clip.

        Raises:
            ClipError: With reason `too-short`, if the sound is shorter than a frame.
        """
        sound = clip.audio(channel=self.channel)
        samples = sound.samples[0].astype(np.float64)  # (N,)
        size = round(FRAME_SECONDS * sound.rate)
        if len(samples) < size:
            seconds = len(samples) / sound.rate
            raise ClipError("too-short", f"{seconds:.3f} s of sound; one frame is {FRAME_SECONDS} s")
        power = np.square(samples[: len(samples) // size * size]).reshape(-1, size).mean(axis=1)  # (T,)
        row = {
            "level": _decibels(np.square(samples).mean()),
            "peak": _decibels(np.square(np.abs(samples).max())),
            "snr": signal_to_noise(power),
            "clipped": float((np.abs(samples) >= FULL_SCALE).mean()),
            "silent": float((power < 10 ** (self.silence / 10)).mean()),
            "offset": float(samples.mean()),
        }
        clip.notes.update(self._notes(row))
        features = np.array([[row[column] for column in COLUMNS]], dtype=np.float32)  # (1, 6)
        return FeatureSequence(features, np.array([[0.0, len(samples) / sound.rate]]), COLUMNS)

    def _notes(self, row: dict[str, float]) -> dict[str, str]:
        """What a user should look at, by kind."""
        notes = {}
        if row["clipped"] > self.most_clipped:
            notes["clipped"] = f"{100 * row['clipped']:.2g} % of the samples are at full scale"
        if row["snr"] < self.least_snr:
            notes["noisy"] = f"the signal-to-noise ratio is about {row['snr']:.0f} dB"
        if row["level"] < self.least_level:
            notes["quiet"] = f"the level is {row['level']:.0f} dB re full scale"
        if row["silent"] > self.most_silent:
            notes["mostly-silent"] = f"{100 * row['silent']:.0f} % of the frames are below {self.silence:g} dB"
        if abs(row["offset"]) > self.most_offset:
            notes["offset"] = f"the samples' mean is {row['offset']:.3f} of full scale"
        return notes


def signal_to_noise(power: Array) -> float:
    """The signal-to-noise ratio in dB of (T,) mean powers of frames; NaN if all are zero."""
    heard = power[power > 0]
    if not len(heard):
        return float("nan")
    noise, loud = np.percentile(heard, [10, 95])
    noise = max(noise, ROUNDING)
    return _decibels(max(loud - noise, 0.0) / noise)


def _decibels(power: Any) -> float:
    return max(FLOOR_DB, 10 * float(np.log10(power))) if power > 0 else FLOOR_DB

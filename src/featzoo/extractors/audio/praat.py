"""Praat's pitch, intensity, harmonicity, formants, jitter and shimmer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from featzoo.errors import ClipError
from featzoo.extractors.contract import Extractor
from featzoo.media.audio import resample
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check, require

FRAMES = ("pitch", "intensity", "hnr", "f1", "f2", "f3", "b1", "b2", "b3")
FUNCTIONALS = (
    "jitter_local", "jitter_rap", "jitter_ppq5", "shimmer_local", "shimmer_apq3", "shimmer_apq5",
    "pitch_mean", "pitch_sd", "hnr_mean", "f1_mean", "f2_mean", "f3_mean",
)  # fmt: skip
# Praat's values for undefined results: an unvoiced frame's HNR, and the logarithm of zero intensity.
UNVOICED_HNR, NO_INTENSITY = -199.0, -299.0
# Praat's intensity window is the longest of its windows, in periods of the pitch floor.
PERIODS = 6.4
# Seconds that a formant frame is made of: Praat's Gaussian is twice as long as its name says.
FORMANT_WINDOW = 0.05
# Praat's own defaults: shortest and longest period in seconds, largest factors between neighbours.
PERIOD_LIMITS = (0.0001, 0.02, 1.3)
AMPLITUDE_FACTOR = 1.6


class Contours(NamedTuple):
    """Praat's objects of one sound."""

    pitch: Any
    intensity: Any
    harmonicity: Any
    formants: Any


@dataclass(frozen=True)
class Praat(Extractor):
    """Praat's contours at 100 Hz, or its measures of a whole clip.

    Attributes:
        level: `frames` (T, 9) `pitch` Hz, `intensity` dB re 20 uPa for samples in Pa, `hnr` dB, formants
            `f1`-`f3` and their bandwidths `b1`-`b3` in Hz; row k stands for [k hop, (k + 1) hop] and
            holds the contours at its middle. `functionals` (1, 12) over the clip: jitter and shimmer as
            fractions (not per cent), mean and standard deviation of the pitch in Hz, mean HNR in dB,
            mean formants of the voiced frames in Hz.
        hop: Seconds between frames.
        pitch_floor: Lowest pitch sought, Hz; it also sets the windows: 6.4 periods for the intensity.
        pitch_ceiling: Highest pitch sought, Hz.
        formant_ceiling: Highest formant sought, Hz: 5500 fits women, 5000 men, 8000 a small child.
        rate: Resample to this rate in Hz first; None keeps the recording's own.
        channel: The `mix` of all channels (stereo: their mean; surround sound: as ffmpeg mixes it), the `first`, or the
            number of one, from 1.

    Reference:
        Boersma & Weenink, Praat, through parselmouth (Jadoul et al., J. Phonetics 2018). Pitch and HNR:
        Boersma, IFA Proceedings 17, 1993. Commands and settings are those of Praat's menus: To Pitch,
        To Intensity, To Harmonicity (cc), To Formant (burg), To PointProcess (periodic, cc).

    Differences:
        What Praat does not define is NaN: the pitch and the HNR of an unvoiced frame (Praat: 0 and
        -200), the intensity of digital silence (-300), formants that were not found, and the first and
        last frames, where a contour's window does not fit. Praat also reports formants in digital
        silence where there is sound elsewhere (the ringing of its resampler): NaN here. Intensity and
        HNR are those of the nearest Praat frame, so that no undefined value is interpolated; pitch and
        formants are interpolated linearly as by `Get value at time`. Formants are also measured in
        unvoiced frames: mask by pitch. Of the functionals, formants are means over the voiced frames.
    """

    name = "praat"
    modality = "audio"
    reads = ("audio",)
    version = 2
    licence = "parselmouth: GPL-3.0-or-later"
    extra = "praat"
    variants = {"functionals": {"level": "functionals"}}

    level: Literal["frames", "functionals"] = "frames"
    hop: float = 0.01
    pitch_floor: float = 75.0
    pitch_ceiling: float = 600.0
    formant_ceiling: float = 5500.0
    rate: int | None = None
    channel: Channel = "mix"

    def __post_init__(self) -> None:
        if not 0 < self.pitch_floor < self.pitch_ceiling:
            raise ValueError("pitch_floor and pitch_ceiling must be positive, the floor below the ceiling")
        if min(self.hop, self.formant_ceiling, 1 if self.rate is None else self.rate) <= 0:
            raise ValueError("hop, formant_ceiling and rate must be positive")

    def prepare(self) -> None:
        """Check the package."""
        check("parselmouth", self.extra)

    def extract(self, clip: Clip) -> FeatureSequence:
        """(T, 9) at 100 Hz, or (1, 12) functionals; float32.

        Raises:
            ClipError: With reason `too-short`, if not one intensity window fits.
        """
        parselmouth = require("parselmouth", self.extra)
        sound = clip.audio(channel=self.channel)
        seconds = sound.samples.shape[1] / sound.rate
        needed = max(PERIODS / self.pitch_floor, self.hop)
        if seconds < needed:
            raise ClipError("too-short", f"{seconds:.3f} s of sound; a pitch floor of {self.pitch_floor:g} Hz "
                            f"needs {needed:.3f} s")  # fmt: skip
        if self.rate is not None:
            sound = resample(sound, self.rate)
        try:
            voice = parselmouth.Sound(sound.samples[0].astype(np.float64), sound.rate)
            contours = self._contours(voice)
            middle = (np.arange(int(seconds / self.hop + 1e-9)) + 0.5) * self.hop  # (T,)
            rows = self._frames(contours, middle, parselmouth.ValueInterpolation.NEAREST)
            # Praat resamples by one long FFT, whose ringing in digital silence has "formants".
            rows[_silent(sound.samples[0], sound.rate, middle), 3:] = np.nan
            if self.level == "functionals":
                rows = self._functionals(voice, contours, rows)
        except parselmouth.PraatError as error:
            raise ClipError("engine", f"Praat: {' '.join(str(error).split())}") from error
        features = np.where(np.isfinite(rows), rows, np.nan).astype(np.float32)
        if self.level == "functionals":
            return FeatureSequence(features, np.array([[0.0, seconds]]), FUNCTIONALS)
        start = np.arange(len(rows)) * self.hop
        return FeatureSequence(features, np.minimum(np.stack([start, start + self.hop], axis=1), seconds), FRAMES)

    def _contours(self, voice: Any) -> Contours:
        return Contours(
            voice.to_pitch(time_step=self.hop, pitch_floor=self.pitch_floor, pitch_ceiling=self.pitch_ceiling),
            voice.to_intensity(minimum_pitch=self.pitch_floor, time_step=self.hop),
            voice.to_harmonicity_cc(time_step=self.hop, minimum_pitch=self.pitch_floor),
            voice.to_formant_burg(time_step=self.hop, maximum_formant=self.formant_ceiling),
        )

    def _frames(self, contours: Contours, middle: Array, nearest: Any) -> Array:
        """(T, 9) float64, NaN where undefined."""
        pitch, intensity, harmonicity, formants = contours
        numbers = (1, 2, 3)
        rows = np.array([
            (
                pitch.get_value_at_time(time),
                intensity.get_value(time, nearest),
                harmonicity.get_value(time, nearest),
                *(formants.get_value_at_time(n, time) for n in numbers),
                *(formants.get_bandwidth_at_time(n, time) for n in numbers),
            )
            for time in middle.tolist()
        ], dtype=np.float64)  # fmt: skip
        for column, limit in ((1, NO_INTENSITY), (2, UNVOICED_HNR)):
            rows[rows[:, column] < limit, column] = np.nan
        return rows

    def _functionals(self, voice: Any, contours: Contours, frames: Array) -> Array:
        """(1, 12) float64; `frames` are the (T, 9) contours, for the formants of voiced frames."""
        from parselmouth.praat import call

        pulses = call(voice, "To PointProcess (periodic, cc)", self.pitch_floor, self.pitch_ceiling)
        jitter = [call(pulses, f"Get jitter ({kind})", 0, 0, *PERIOD_LIMITS) for kind in ("local", "rap", "ppq5")]
        shimmer = [
            call([voice, pulses], f"Get shimmer ({kind})", 0, 0, *PERIOD_LIMITS, AMPLITUDE_FACTOR)
            for kind in ("local", "apq3", "apq5")
        ]
        pitch = [call(contours.pitch, f"Get {what}", 0, 0, "Hertz") for what in ("mean", "standard deviation")]
        hnr = call(contours.harmonicity, "Get mean", 0, 0)
        formants = [_mean(frames[~np.isnan(frames[:, 0]), column]) for column in (3, 4, 5)]
        return np.array([[*jitter, *shimmer, *pitch, hnr, *formants]], dtype=np.float64)


def _silent(samples: Array, rate: int, middle: Array) -> Array:
    """(T,) whether the formant window around each time holds nothing but zeros."""
    heard = np.concatenate([[0], np.cumsum(samples != 0)])
    half = FORMANT_WINDOW / 2
    edges = [np.clip(np.round((middle + side) * rate), 0, len(samples)).astype(int) for side in (-half, half)]
    quiet: Array = heard[edges[1]] == heard[edges[0]]
    return quiet


def _mean(values: Array) -> float:
    """The mean of the observed values; NaN without any."""
    seen = values[~np.isnan(values)]
    return float(seen.mean()) if len(seen) else float("nan")

"""Where speech is: Silero's voice activity detector, as faster-whisper carries it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from featzoo.errors import ClipError, MissingWeights
from featzoo.extractors.contract import Extractor
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check, require
from featzoo.weights.locate import file_digest

RATE = 16000
# Samples that one probability stands for.
FRAME = 512
MODEL = "assets/silero*.onnx"


@dataclass(frozen=True)
class VoiceActivity(Extractor):
    """Silero's voice activity detector: speech or not every 32 ms, or a summary of the clip.

    Attributes:
        level: `frames` (T, 2) every 32 ms: `probability` of speech, and `speech`, 1 within a segment of speech;
            `functionals` (1, 4) over the clip: `share` of the time that is speech, `segments` their number, `longest`
            the longest in seconds, `start` of the first in seconds (NaN without speech).
        threshold: Probability at which a segment begins; it ends 0.15 below.
        least_speech: Shortest segment, seconds.
        least_silence: Shortest pause between two segments, seconds.
        pad: Seconds that are added to a segment on both sides.
        channel: The `mix` of all channels (stereo: their mean; surround sound: as ffmpeg mixes it), the `first`, or the
            number of one, from 1.

    Reference:
        Silero Team, "Silero VAD", version 6 (MIT licence); the model and the rules for segments are those of
        faster-whisper.

    Differences:
        Segments are cut at the clip's end. The defaults are Silero's, not faster-whisper's, which joins segments
        that are less than 2 s apart.
    """

    name = "voice-activity"
    modality = "audio"
    reads = ("audio",)
    licence = "Silero VAD: MIT"
    extra = "asr"
    variants = {"functionals": {"level": "functionals"}}
    usual = ()  # describes the recording, not the speaker

    level: Literal["frames", "functionals"] = "frames"
    threshold: float = 0.5
    least_speech: float = 0.25
    least_silence: float = 0.1
    pad: float = 0.03
    channel: Channel = "mix"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is a probability between 0 and 1; got {self.threshold}")
        if min(self.least_speech, self.least_silence, self.pad) < 0:
            raise ValueError("least_speech, least_silence and pad are seconds, 0 or more")

    def prepare(self) -> None:
        """Check the packages and that the model is there."""
        check("faster_whisper", self.extra)
        check("onnxruntime", self.extra)
        self.digests()

    def digests(self) -> dict[str, str]:
        """The digest of the model's file."""
        check("faster_whisper", self.extra)
        found = importlib.util.find_spec("faster_whisper")  # importing it would take seconds
        files = [
            file for place in (found and found.submodule_search_locations) or () for file in Path(place).glob(MODEL)
        ]
        if len(files) != 1:
            raise MissingWeights(f"the package faster-whisper holds {len(files)} files {MODEL}: install it again")
        return {"weights": file_digest(files[0])}

    def extract(self, clip: Clip) -> FeatureSequence:
        """(T, 2) at 31.25 Hz, or (1, 4).

        Raises:
            ClipError: With reason `too-short`, if the sound is shorter than a frame.
        """
        samples = clip.audio(RATE, self.channel).samples[0]  # (N,)
        seconds = len(samples) / RATE
        if len(samples) < FRAME:
            raise ClipError("too-short", f"{seconds:.3f} s of sound; one frame is {FRAME / RATE} s")
        segments = self._segments(samples)
        if self.level == "functionals":
            lengths = segments[:, 1] - segments[:, 0]
            first = segments[0, 0] if len(segments) else np.nan
            row = [lengths.sum() / seconds, len(segments), lengths.max(initial=0.0), first]
            names: tuple[str, ...] = ("share", "segments", "longest", "start")
            return FeatureSequence(np.array([row], dtype=np.float32), np.array([[0.0, seconds]]), names)
        vad = require("faster_whisper.vad", self.extra)
        padded = np.pad(samples, (0, -len(samples) % FRAME))
        probability = np.asarray(vad.get_vad_model()(padded), dtype=np.float32).ravel()  # (T,)
        edges = np.minimum(np.arange(len(probability) + 1) * FRAME / RATE, seconds)  # (T + 1,)
        middle = (edges[:-1] + edges[1:]) / 2  # (T,)
        speech = ((middle[:, None] >= segments[:, 0]) & (middle[:, None] < segments[:, 1])).any(axis=1)  # (T,)
        features = np.stack([probability, speech.astype(np.float32)], axis=1)  # (T, 2)
        return FeatureSequence(features, np.stack([edges[:-1], edges[1:]], axis=1), ("probability", "speech"))

    def _segments(self, samples: Array) -> Array:
        """(S, 2) start and end of the segments of speech, seconds."""
        vad: Any = require("faster_whisper.vad", self.extra)
        options = vad.VadOptions(
            threshold=self.threshold,
            min_speech_duration_ms=round(1000 * self.least_speech),
            min_silence_duration_ms=round(1000 * self.least_silence),
            speech_pad_ms=round(1000 * self.pad),
        )
        found = vad.get_speech_timestamps(samples, options)
        return np.array([(each["start"], each["end"]) for each in found], dtype=np.float64).reshape(-1, 2) / RATE

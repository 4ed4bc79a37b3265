"""Zero crossings: how often the sound changes its sign, in each window."""

from dataclasses import dataclass

import numpy as np

from featzoo import Clip, ClipError, Extractor, FeatureSequence


@dataclass(frozen=True)
class ZeroCrossings(Extractor):
    """Zero crossings per second, (T, 1) float32.

    Attributes:
        hop: Length of a window in seconds.
    """

    name = "zero-crossings"
    modality = "audio"
    reads = ("audio",)

    hop: float = 0.1

    def __post_init__(self) -> None:
        if not self.hop > 0:
            raise ValueError(f"hop is above 0 seconds; got {self.hop}")

    def extract(self, clip: Clip) -> FeatureSequence:
        """One row for each whole window.

        Raises:
            ClipError: With reason `too-short`, if the clip is shorter than a window.
        """
        sound = clip.audio(rate=16000)
        step = max(1, round(self.hop * sound.rate))
        count = sound.samples.shape[1] // step
        if not count:
            raise ClipError("too-short", f"{clip.id} is shorter than a window of {self.hop} s")
        windows = sound.samples[0, : count * step].reshape(count, step)  # (T, step)
        changes = np.abs(np.diff(windows >= 0, axis=1)).sum(axis=1, keepdims=True)  # (T, 1)
        edges = np.arange(count + 1) * step / sound.rate
        rate = (changes * sound.rate / step).astype(np.float32)
        return FeatureSequence(rate, np.stack([edges[:-1], edges[1:]], axis=1), ("zero_crossings",))

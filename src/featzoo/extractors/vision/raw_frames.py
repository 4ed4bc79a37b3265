"""Sampled raw frames, for heads with image networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featzoo.extractors.contract import Extractor
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence


@dataclass(frozen=True)
class Frames(Extractor):
    """Raw RGB frames: (T, height, width, 3) uint8, 6 frames of 140 x 248 by default.

    Attributes:
        count: Number of frames, in the middle of equal parts of the clip; frames repeat if the clip has fewer.
        rate: Maximum number of frames per second; replaces `count`.
        height: Rows; the image is scaled to cover height x width and cropped at its centre.
        width: Columns.

    Reference:
        The defaults are the input of Fodor et al., arXiv 2405.03846, before its random crop.

    Differences:
        The paper specifies neither the frames nor the handling of other aspect ratios: both are our choices.
    """

    name = "frames"
    modality = "vision"
    version = 2  # exactly the frames asked for, with square pixels; each row stands for the time until the next
    reads = ("video",)
    usual: ClassVar[tuple[str, ...]] = ()  # only on request: pixels take far more room than features

    count: int = 6
    rate: float | None = None
    height: int = 140
    width: int = 248

    def __post_init__(self) -> None:
        if min(self.count, self.height, self.width) < 1 or (self.rate is not None and self.rate <= 0):
            raise ValueError("count, height, width and rate must be positive")

    def extract(self, clip: Clip) -> FeatureSequence:
        """(T, height, width, 3) uint8 with the interval of each frame."""
        count = self.count if self.rate is None else None
        shots = list(clip.frames(count=count, rate=self.rate, size=(self.height, self.width)))
        return FeatureSequence(
            np.stack([shot.image for shot in shots]),
            np.array([(shot.start, shot.end) for shot in shots]),
            ("red", "green", "blue"),
        )

"""VideoMAE: hidden states of a transformer over short stretches of video, through transformers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.extractors.precision import Precision
from featzoo.extractors.vision.batches import Pictures, Preparation, sequences, through
from featzoo.extractors.vision.preprocessing import (
    PREPROCESSOR,
    Demands,
    Habits,
    averaged,
    check_model,
    loaded,
    model_digests,
    preparation,
)
from featzoo.media.clip import Clip
from featzoo.media.picture import Frame
from featzoo.sequence import FeatureSequence
from featzoo.weights.locate import locate, read_settings

# Windows handed on at a time: 64 frames.
PIECE = 4


class Shot(NamedTuple):
    """A frame prepared for the network: (3, h, w) uint8, and its time."""

    image: Any
    start: float
    end: float


@dataclass(frozen=True)
class VideoMae(ModelExtractor):
    """The mean of VideoMAE's hidden states over each window of frames: (T, 768) float32 for the base models.

    A row covers the model's number of frames (16), from the first frame's start to the last frame's end.
    The last window ends with the last sampled frame, and overlaps the previous window if the frames do not divide
    evenly. A clip with fewer frames repeats its last frame.

    Attributes:
        model: A local folder or a hub name that is in the local cache; with its preprocessor_config.json.
        layers: Hidden states to average; 0 is the input of the first layer, -1 the encoder's output.
        stride: Use every `stride`-th frame, at any rate: with 4, a window spans 2.1 s at 30 frames/s.
        rate: Maximum number of frames per second; replaces `stride`, and is the better choice for variable rates.
        hop: Sampled frames from one window to the next; None is a whole window.
        precision: The network's precision: fp32, or bf16 or fp16 (much faster on GPUs).
        batch_size: Windows per forward pass; does not change the features.

    Reference:
        Tong et al., "VideoMAE", NeurIPS 2022: 16 frames at stride 4 on Kinetics-400.

    Differences:
        The mean of all tokens, as in its classifiers, without their normalisation and head. Images are
        resized by Pillow, as in transformers if torchvision is not installed.
    """

    name = "videomae"
    modality = "vision"
    version = 2  # exactly the frames asked for, with square pixels; each row stands for the time until the next
    reads = ("video",)
    licence = "MCG-NJU/videomae-base: CC BY-NC 4.0, no commercial use"
    extra = "vision"
    window = 16
    kinds: ClassVar[tuple[str, ...]] = ("videomae",)
    habits: ClassVar[Habits] = Habits(cut=True, square=False, resample=2)

    model: str = field(default="MCG-NJU/videomae-base", metadata=UNKEYED)
    layers: tuple[int, ...] = (-1,)
    stride: int = 4
    rate: float | None = None
    hop: int | None = None
    precision: Precision = "fp32"
    batch_size: int = field(default=4, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if min(self.stride, self.batch_size, self.hop or 1) < 1 or (self.rate is not None and self.rate <= 0):
            raise ValueError("stride, rate, hop and batch_size must be positive")
        if self.hop == 0 or not self.layers:
            raise ValueError("hop must be positive, and layers must name at least one layer")

    def prepare(self) -> None:
        """Check the packages, that the model is on this machine, is of this kind, and has the requested layers."""
        check_model(self.model, self.name, Demands(self.kinds, self.layers, self.habits))
        self.digests()

    def digests(self) -> dict[str, str]:
        """Digests of the weights and of the preprocessing of pictures."""
        return model_digests(self.model, self.name)

    def provenance(self) -> dict[str, Any]:
        """The name of the model."""
        return {"model": self.model}

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Decode, resize and crop windows of frames: images (T, 16, 3, h, w) uint8."""
        import torch

        length = int(read_settings(self.model, self.name, "config.json").get("num_frames", 16))
        fit = self._preparation().fit
        images: list[Any] = []
        times: list[tuple[float, float]] = []
        shots = clip.frames(rate=self.rate) if self.rate else clip.frames(step=self.stride)
        for window in windows(_fitted(shots, fit), length, self.hop or length):
            images.append(torch.stack([shot.image for shot in window]))  # (16, 3, h, w)
            times.append((window[0].start, window[-1].end))
            if len(images) == PIECE:
                yield Pictures(torch.stack(images), np.array(times))  # (T, 16, 3, h, w)
                images, times = [], []
        if images:
            yield Pictures(torch.stack(images), np.array(times))  # (T, 16, 3, h, w)

    def encode(self, samples: Sequence[Pictures], device: str = "cpu") -> list[FeatureSequence]:
        """(T, D) for each sample; a batch may hold frames of several samples."""
        network = _network(self.model, device, self.precision, self.digests()["weights"])

        def rows(pictures: Any) -> Any:
            return averaged(network(pictures, output_hidden_states=True), self.layers).mean(1)  # (B, D)

        found = through(rows, self._preparation(), samples, self.batch_size, device, self.precision)
        return sequences(found, samples, "hidden")

    def _preparation(self) -> Preparation:
        return preparation(read_settings(self.model, self.name, PREPROCESSOR), self.habits, self.model)


def _fitted(shots: Iterable[Frame], fit: Any) -> Iterator[Shot]:
    for shot in shots:
        yield Shot(fit(shot.image), shot.start, shot.end)


def windows(shots: Iterable[Shot], length: int, hop: int) -> Iterator[list[Shot]]:
    """Windows of `length` shots, a new one each `hop` shots; holds no more than a window.

    The remaining shots make a last window with the shots before them, or with the last one repeated
    if there are none.
    """
    held: deque[Shot] = deque(maxlen=length)
    count, covered, end = 0, 0, length
    for shot in shots:
        held.append(shot)
        count += 1
        if count == end:
            yield list(held)
            covered, end = count, end + hop
    # Some shots are not yet part of any window.
    if count > covered and count > end - length:
        yield [*held, *[held[-1]] * (length - len(held))]


@cache
def _network(model: str, device: str, precision: Precision, _digest: str) -> Any:
    """The encoder, loaded once per process unless its files change."""
    return loaded("VideoMAEModel", locate(model, "videomae"), device, precision)

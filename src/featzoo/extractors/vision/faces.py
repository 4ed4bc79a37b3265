"""Where the face is: boxes, landmarks and presence in each frame, through MTCNN. Needs no download."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check, require, torchvision_module
from featzoo.weights.locate import file_digest

POINTS = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
NAMES = (
    "present", "faces", "x", "y", "width", "height", "probability",
    *(f"{point}_{axis}" for point in POINTS for axis in "xy"),
)  # fmt: skip
# Where the chosen face's box is among the columns: x, y, width, height.
BOX = slice(2, 6)
# Frames of a long clip are handed on in pieces of this many, so that memory stays bounded.
PIECE = 32
# MTCNN's own thresholds of its first two networks; the third is the extractor's `threshold`.
FIRST_THRESHOLDS = (0.6, 0.7)


class Pictures(NamedTuple):
    """Frames as the detector sees them: T of (h, w, 3) uint8, by how much each was shrunk, and (T, 2) times."""

    images: list[Array]
    ratios: list[float]
    intervals: Array

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Faces(ModelExtractor):
    """One face of each frame, and whether there is any: (T, 17) float32.

    Columns: `present` is 1 or 0, `faces` how many were found. Of the chosen face: the top left corner `x`, `y`,
    `width` and `height` of its box, `probability` in [0, 1], and x and y of the eyes, the nose and the corners of
    the mouth, left and right as the picture shows them. In pixels of the decoded, upright frame; a box may reach
    past the picture's edge. Without a face they are NaN.

    Attributes:
        rate: At most so many frames a second; None is every frame.
        face: Which of several: the `largest` box, the `first` (of which the detector is surest), or the most
            `central` (whose box's centre is nearest to the picture's).
        min_size: Pixels that a face spans at least, of the picture that the detector sees (see `longest`).
        threshold: Probability that a face has at least.
        longest: A picture with a longer side is shrunk for the detector until it has so many pixels; None never.
        batch_size: Frames per pass; does not change the features.

    Reference:
        Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE
        Signal Processing Letters 23(10), 2016, as facenet-pytorch gives it, with the weights in its package.

    Differences:
        facenet-pytorch asks for 0.7 in place of 0.9, and looks at pictures at their full size. Faces are not
        followed from frame to frame.
    """

    name = "faces"
    modality = "vision"
    version = 2  # exactly the frames asked for, with square pixels; each row stands for the time until the next
    reads = ("video",)
    licence = "facenet-pytorch: MIT; its weights were trained on WIDER FACE and CelebA (non-commercial research data)"
    extra = "faces"
    usual: ClassVar[tuple[str, ...]] = ()  # on request: it is for cropping and counting, not for heads
    # A window of frames is held in memory.
    window: ClassVar[int] = 64

    rate: float | None = 5.0
    face: Literal["largest", "first", "central"] = "largest"
    min_size: int = 20
    threshold: float = 0.9
    longest: int | None = 640
    batch_size: int = field(default=16, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if (self.rate is not None and self.rate <= 0) or self.batch_size < 1:
            raise ValueError("rate and batch_size are positive")
        if self.min_size < 12 or (self.longest is not None and self.longest < self.min_size):
            raise ValueError(
                "min_size is at least 12 pixels, what MTCNN's first network sees, and longest at least that"
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError("threshold is a probability, 0 to 1")

    def prepare(self) -> None:
        """Check the packages; the weights are among them."""
        for package in ("torch", "torchvision", "facenet_pytorch"):
            check(package, self.extra)

    def digests(self) -> dict[str, str]:
        """Of the three networks' weights."""
        check("facenet_pytorch", self.extra)
        return {file.stem: file_digest(file) for file in _weights_files()}

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Frames, shrunk to `longest`."""
        yield from pictures(clip, self.rate, self.longest, PIECE)

    def encode(self, samples: Sequence[Pictures], device: str = "cpu") -> list[FeatureSequence]:
        """(T, 17) for each sample; batches cross samples."""
        images = [image for sample in samples for image in sample.images]
        rows = self.rows(images, device)
        rows[:, BOX.start :] *= np.concatenate([_scales(sample.ratios) for sample in samples])
        edges = np.cumsum([0, *map(len, samples)])
        return [
            FeatureSequence(rows[a:b].astype(np.float32), sample.intervals, NAMES)
            for sample, a, b in zip(samples, edges[:-1], edges[1:], strict=True)
        ]

    def rows(self, images: Sequence[Array], device: str = "cpu") -> Array:
        """The columns for pictures as they are, whatever `longest` says.

        Args:
            images: T of (h, w, 3) uint8 RGB, of one or several sizes.
            device: Where the networks run.

        Returns:
            (T, 17) float64.
        """
        rows = np.full((len(images), len(NAMES)), np.nan)
        rows[:, :2] = 0.0
        for batch in same_size(images, self.batch_size):
            height, width = images[batch[0]].shape[:2]
            if min(height, width) < self.min_size:
                continue
            stacked = np.stack([images[n] for n in batch])  # (B, h, w, 3)
            for number, found in zip(batch, self._detect(stacked, device), strict=True):
                if len(found):
                    rows[number, 0], rows[number, 1] = 1.0, len(found)
                    rows[number, BOX.start :] = found[chosen(found, self.face, height, width)]
        return rows

    def _detect(self, images: Array, device: str) -> list[Array]:
        """For each of (B, h, w, 3) pictures its faces, surest first: (N, 15) as the last columns."""
        import torch

        model = _model(device, self.min_size, self.threshold, "".join(self.digests().values()))
        boxes, probabilities, points = model.detect(torch.from_numpy(images), landmarks=True)
        found = []
        for box, probability, point in zip(boxes, probabilities, points, strict=True):
            if box is None:
                found.append(np.empty((0, len(NAMES) - BOX.start)))
                continue
            corners, sure = np.asarray(box, float), np.asarray(probability, float)
            marks = np.asarray(point, float).reshape(len(sure), -1)  # (N, 5, 2) -> (N, 10)
            sides = corners[:, 2:] - corners[:, :2]
            faces = np.column_stack([corners[:, :2], sides, sure, marks])  # (N, 15)
            found.append(faces[np.argsort(-sure, kind="stable")])
        return found


def pictures(clip: Clip, rate: float | None, longest: int | None, piece: int) -> Iterator[Pictures]:
    """A clip's frames at `rate`, shrunk to `longest`, in pieces of at most so many.

    Raises:
        ClipError: If it has no pictures that can be decoded.
    """
    images: list[Array] = []
    ratios: list[float] = []
    times: list[tuple[float, float]] = []
    for shot in clip.frames(rate=rate):
        image, ratio = shrunk(shot.image, longest)
        images.append(image)
        ratios.append(ratio)
        times.append((shot.start, shot.end))
        if len(times) == piece:
            yield Pictures(images, ratios, np.array(times))
            images, ratios, times = [], [], []
    if times:
        yield Pictures(images, ratios, np.array(times))


def shrunk(image: Array, longest: int | None) -> tuple[Array, float]:
    """A picture whose longer side is at most `longest`, and how many of its own pixels one of these spans.

    Args:
        image: (H, W, 3) uint8.
        longest: Pixels; None leaves it as it is.
    """
    height, width = image.shape[:2]
    if longest is None or max(height, width) <= longest:
        return image, 1.0
    import torch
    from torch.nn.functional import interpolate

    ratio = max(height, width) / longest
    size = (max(1, round(height / ratio)), max(1, round(width / ratio)))
    picture = torch.from_numpy(image).permute(2, 0, 1)[None]  # (1, 3, H, W)
    small = interpolate(picture, size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy()), ratio  # (h, w, 3)


def same_size(images: Sequence[Array], batch_size: int) -> Iterator[list[int]]:
    """Numbers of pictures, in batches that can be stacked."""
    sizes: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        sizes.setdefault(image.shape, []).append(number)
    for numbers in sizes.values():
        for start in range(0, len(numbers), batch_size):
            yield numbers[start : start + batch_size]


def chosen(faces: Array, face: str, height: int, width: int) -> int:
    """Which of several faces of a picture: `largest`, `first` or `central`.

    Args:
        faces: (N, 4 or more): x, y, width and height of each, surest first; N is at least 1.
        face: Which.
        height: Of the picture.
        width: Of the picture.
    """
    if face == "first":
        return 0
    if face == "largest":
        return int(np.argmax(faces[:, 2] * faces[:, 3]))
    centres = faces[:, :2] + faces[:, 2:4] / 2  # (N, 2)
    return int(np.argmin(((centres - (width / 2, height / 2)) ** 2).sum(axis=1)))


def crop(frame: Array, box: Sequence[float] | Array, margin: float = 0.2) -> Array:
    """The square part of a frame around a face.

    The square is moved inwards where it would reach past the frame's edge, and cut only where the frame is smaller,
    so that no pixel is made up.

    Args:
        frame: (H, W, 3) uint8.
        box: x, y, width and height of the face in the frame's pixels, columns `BOX` of `Faces`.
        margin: Share of the box's longer side to add on each side.

    Returns:
        (h, w, 3) uint8; h = w unless the frame is smaller than that. A view of the frame.

    Raises:
        ValueError: If there is no box (NaN), or it has no size.
    """
    x, y, width, height = (float(value) for value in box)
    if not (np.isfinite([x, y, width, height]).all() and min(width, height) > 0):
        raise ValueError(f"a box is x, y, width, height with a positive size; got {tuple(map(float, box))}")
    side = max(1, round(max(width, height) * (1 + 2 * margin)))
    spans = []
    for start, extent, whole in ((y, height, frame.shape[0]), (x, width, frame.shape[1])):
        first = min(max(0, round(start + extent / 2 - side / 2)), max(0, whole - side))
        spans.append(slice(first, min(whole, first + side)))
    return frame[spans[0], spans[1]]  # (h, w, 3)


def _scales(ratios: Sequence[float]) -> Array:
    """(T, 15): pixels grow by the ratio, the probability does not."""
    scales = np.repeat(np.asarray(ratios)[:, None], len(NAMES) - BOX.start, axis=1)  # (T, 15)
    scales[:, NAMES.index("probability") - BOX.start] = 1.0
    return scales


def _weights_files() -> list[Path]:
    found = importlib.util.find_spec("facenet_pytorch")
    places = (found.submodule_search_locations if found else None) or ()
    return sorted(file for place in places for file in (Path(place) / "data").glob("?net.pt"))


@cache
def _model(device: str, min_size: int, threshold: float, _digest: str) -> Any:
    """MTCNN, loaded once per process while its weights stay as they are."""
    torchvision_module()
    network = require("facenet_pytorch", "faces").MTCNN
    return network(
        keep_all=True,
        min_face_size=min_size,
        thresholds=[*FIRST_THRESHOLDS, threshold],
        device=device,
    ).eval()

"""Presence, box and landmarks of the face in each frame, through MTCNN. Nothing is downloaded."""

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
# The columns of the chosen face's box: x, y, width, height.
BOX = slice(2, 6)
# Frames of a long clip are passed on in groups of this size, so that memory stays bounded.
PIECE = 32
# MTCNN's own thresholds of its first two networks; the third is the extractor's `threshold`.
FIRST_THRESHOLDS = (0.6, 0.7)


class Pictures(NamedTuple):
    """Frames for the detector: T of (h, w, 3) uint8, the factor by which each was reduced, and (T, 2) times."""

    images: list[Array]
    ratios: list[float]
    intervals: Array

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Faces(ModelExtractor):
    """Presence and one face of each frame: (T, 17) float32.

    Columns: `present` is 1 or 0, `faces` is the number of faces found. For the chosen face: the top left corner `x`,
    `y`, `width` and `height` of its box, `probability` in [0, 1], and x and y of the eyes, the nose and the corners of
    the mouth, with left and right as in the image. They are in pixels of the decoded, upright frame; a box may extend
    past the frame's edge. Without a face they are NaN.

    Attributes:
        rate: Maximum number of frames per second; None is every frame.
        face: The chosen one of several faces: the `largest` box, the `first` (with the highest probability), or the
            most `central` (whose box's centre is nearest to the frame's).
        min_size: Minimum size of a face in pixels of the detector's image (see `longest`).
        threshold: Minimum probability of a face.
        longest: An image whose longer side has more pixels is reduced to this size for the detector; None never.
        batch_size: Frames per pass; does not change the features.

    Reference:
        Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE
        Signal Processing Letters 23(10), 2016, as facenet-pytorch gives it, with the weights in its package.

    Differences:
        facenet-pytorch uses a threshold of 0.7 instead of 0.9, and images at full size. Faces are not
        tracked from frame to frame.
    """

    name = "faces"
    modality = "vision"
    version = 2  # exactly the requested frames, with square pixels; each row lasts until the next
    reads = ("video",)
    licence = "facenet-pytorch: MIT; its weights were trained on WIDER FACE and CelebA (non-commercial research data)"
    extra = "faces"
    usual: ClassVar[tuple[str, ...]] = ()  # only on request: it is for cropping and counting, not for heads
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
            raise ValueError("rate and batch_size must be positive")
        if self.min_size < 12 or (self.longest is not None and self.longest < self.min_size):
            raise ValueError(
                "min_size must be at least 12 pixels, the input of MTCNN's first network, and longest at least min_size"
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError("threshold must be a probability, 0 to 1")

    def prepare(self) -> None:
        """Check that the packages, which include the weights, are installed."""
        for package in ("torch", "torchvision", "facenet_pytorch"):
            check(package, self.extra)

    def digests(self) -> dict[str, str]:
        """Digests of the three networks' weights."""
        check("facenet_pytorch", self.extra)
        return {file.stem: file_digest(file) for file in _weights_files()}

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Frames, reduced to `longest`."""
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
        """The columns for images at their full size, regardless of `longest`.

        Args:
            images: T of (h, w, 3) uint8 RGB, of one or several sizes.
            device: The device for the networks.

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
        """The faces in each of (B, h, w, 3) images, most probable first: (N, 15), in the order of the last columns."""
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
    """A clip's frames at `rate`, reduced to `longest`, in groups of limited size.

    Raises:
        ClipError: If it has no frames that can be decoded.
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
    """An image whose longer side is at most `longest`, and the factor by which it was reduced.

    Args:
        image: (H, W, 3) uint8.
        longest: Pixels; None leaves it unchanged.
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
    """Indices of images, in batches that can be stacked."""
    sizes: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        sizes.setdefault(image.shape, []).append(number)
    for numbers in sizes.values():
        for start in range(0, len(numbers), batch_size):
            yield numbers[start : start + batch_size]


def chosen(faces: Array, face: str, height: int, width: int) -> int:
    """The chosen one of several faces in an image: `largest`, `first` or `central`.

    Args:
        faces: (N, 4 or more): x, y, width and height of each, most probable first; N is at least 1.
        face: The rule.
        height: Height of the image.
        width: Width of the image.
    """
    if face == "first":
        return 0
    if face == "largest":
        return int(np.argmax(faces[:, 2] * faces[:, 3]))
    centres = faces[:, :2] + faces[:, 2:4] / 2  # (N, 2)
    return int(np.argmin(((centres - (width / 2, height / 2)) ** 2).sum(axis=1)))


def crop(frame: Array, box: Sequence[float] | Array, margin: float = 0.2) -> Array:
    """The square part of a frame around a face.

    A square that would extend past the frame's edge is moved inwards, and is cut only if the frame is smaller,
    so that no pixel is invented.

    Args:
        frame: (H, W, 3) uint8.
        box: x, y, width and height of the face in the frame's pixels, columns `BOX` of `Faces`.
        margin: Share of the box's longer side to add on each side.

    Returns:
        (h, w, 3) uint8; h = w unless the frame is smaller than that. A view of the frame.

    Raises:
        ValueError: If the box is NaN or empty.
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
    """(T, 15): pixels are multiplied by the ratio, the probability is not."""
    scales = np.repeat(np.asarray(ratios)[:, None], len(NAMES) - BOX.start, axis=1)  # (T, 15)
    scales[:, NAMES.index("probability") - BOX.start] = 1.0
    return scales


def _weights_files() -> list[Path]:
    found = importlib.util.find_spec("facenet_pytorch")
    places = (found.submodule_search_locations if found else None) or ()
    return sorted(file for place in places for file in (Path(place) / "data").glob("?net.pt"))


@cache
def _model(device: str, min_size: int, threshold: float, _digest: str) -> Any:
    """MTCNN, loaded once per process and again if its weights change."""
    torchvision_module()
    network = require("facenet_pytorch", "faces").MTCNN
    return network(
        keep_all=True,
        min_face_size=min_size,
        thresholds=[*FIRST_THRESHOLDS, threshold],
        device=device,
    ).eval()

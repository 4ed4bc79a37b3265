"""Preparation of images and batches, shared by the vision networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from featzoo.devices import float32_products
from featzoo.extractors.precision import DTYPES, Precision
from featzoo.extractors.vision.faces import BOX, Faces, crop, shrunk
from featzoo.media.picture import Frame
from featzoo.sequence import Array, FeatureSequence

# Frames of a long clip are passed on in groups of this size, so that memory stays bounded.
PIECE = 32


class Preparation(NamedTuple):
    """The preprocessing of a network's images.

    Attributes:
        fit: (H, W, 3) uint8 to a tensor (3, h, w) uint8: resized and cut, on the CPU.
        size: h and w.
        scale: Factor for grey levels, applied on the device: 1/255.
        mean: Subtracted next, for red, green and blue.
        std: Divisor, applied last.
    """

    fit: Callable[[Array], Any]
    size: tuple[int, int]
    scale: float
    mean: Sequence[float]
    std: Sequence[float]


class Pictures(NamedTuple):
    """Images for the network, one entry per row.

    Attributes:
        images: (T, 3, h, w) or (T, frames, 3, h, w) uint8.
        intervals: (T, 2) seconds.
        seen: (T,) bool, False if a frame has no face to crop: these rows become NaN. None is all True.
    """

    images: Any
    intervals: Array
    seen: Array | None = None

    def __len__(self) -> int:
        return len(self.intervals)


def pieces(
    shots: Iterable[Frame], preparation: Preparation, cut: Callable[[Array], Array | None] | None = None
) -> Iterator[Pictures]:
    """A clip's frames prepared for the network, PIECE at a time.

    Args:
        shots: The frames.
        preparation: The network's preprocessing.
        cut: Returns the part of a frame to use, or None if there is none.
    """
    import torch

    images: list[Any] = []
    times: list[tuple[float, float]] = []
    seen: list[bool] = []
    for shot in shots:
        part = shot.image if cut is None else cut(shot.image)
        # Without a part to use, the network gets a black image, and its row is discarded.
        images.append(torch.zeros(3, *preparation.size, dtype=torch.uint8) if part is None else preparation.fit(part))
        times.append((shot.start, shot.end))
        seen.append(part is not None)
        if len(images) == PIECE:
            yield Pictures(torch.stack(images), np.array(times), np.array(seen))  # (T, 3, h, w)
            images, times, seen = [], [], []
    if images:
        yield Pictures(torch.stack(images), np.array(times), np.array(seen))  # (T, 3, h, w)


@cache
def face_cutter() -> Callable[[Array], Array | None]:
    """A function that returns the largest face of an image with a margin of a fifth of its size, or None."""
    faces = Faces()

    def cut(image: Array) -> Array | None:
        small, ratio = shrunk(image, faces.longest)
        row = faces.rows([small])[0]
        return crop(image, row[BOX] * ratio) if row[0] else None

    return cut


def through(
    network: Callable[[Any], Any],
    preparation: Preparation,
    samples: Sequence[Pictures],
    batch_size: int,
    device: str,
    precision: Precision,
) -> list[Array]:
    """A network's output for each sample; a batch may hold images of several samples.

    Args:
        network: (B, ...) images to (B, D), in `precision` and on `device`.
        preparation: The network's preprocessing.
        samples: Samples of any clips.
        batch_size: Rows in a forward pass.
        device: The network's device.
        precision: The network's precision; images are normalised in float32.

    Returns:
        (T, D) float32 for each sample.
    """
    import torch

    dtype = getattr(torch, DTYPES[precision])
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (preparation.mean, preparation.std))
    pictures = _joined([sample.images for sample in samples], pinned=device != "cpu")
    found = []
    with torch.inference_mode(), float32_products(device):
        for batch in pictures.split(batch_size):
            scaled = batch.to(device, non_blocking=True).float().mul_(preparation.scale).sub_(mean).div_(std)
            if scaled.ndim == 4:
                scaled = scaled.contiguous(memory_format=torch.channels_last)
            found.append(network(scaled.to(dtype)).float())
    # Wait for the device only once, after its last batch.
    rows: Array = torch.cat(found).cpu().numpy()  # (sum T, D)
    seen = [np.ones(len(sample), bool) if sample.seen is None else sample.seen for sample in samples]
    rows[~np.concatenate(seen)] = np.nan
    edges = np.cumsum([0, *map(len, samples)])
    return [rows[first:last].copy() for first, last in pairwise(edges)]


def _joined(images: Sequence[Any], pinned: bool) -> Any:
    """(sum T, ...); in pinned memory, from which a GPU copies while the CPU continues."""
    import torch

    if not pinned:
        return torch.cat(list(images))
    shape = (sum(map(len, images)), *images[0].shape[1:])
    return torch.cat(list(images), out=torch.empty(shape, dtype=images[0].dtype, pin_memory=True))


def sequences(rows: Sequence[Array], samples: Sequence[Pictures], prefix: str) -> list[FeatureSequence]:
    """Rows with their times and the columns `prefix_0`, `prefix_1` ..."""
    names = tuple(f"{prefix}_{i}" for i in range(rows[0].shape[1])) if rows else ()
    return [FeatureSequence(row, sample.intervals, names) for row, sample in zip(rows, samples, strict=True)]

"""The frames in a clip's timeline, with the box of the face and its action units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featzoo.errors import ClipError
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence

# Frames in the strip, and the shape to which they are cropped and the width to which they are reduced.
SHOTS, ASPECT, WIDTH = 8, 4 / 3, 240
# Columns of a face's box in pixels, in the sets `faces` and `action-units`.
BOXES = (("x", "y", "width", "height"), ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight"))
# An action unit is named if its probability is above 0.5; at most this many.
LIKELY, UNITS = 0.5, 3

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shot:
    """One frame of the strip.

    Attributes:
        image: (H, W, 3) uint8, cropped around its centre.
        end: Until when it stands for what is shown, seconds.
        box: Left, top, width and height of the face as shares of the image; None without one.
        units: The likeliest action units, as `AU12 0.93`.
    """

    image: Array
    end: float
    box: Box | None = None
    units: tuple[str, ...] = ()


def take_shots(clip: Clip, sequences: Iterable[FeatureSequence]) -> list[Shot]:
    """Some frames of a clip; none if they cannot be decoded.

    Args:
        clip: The clip.
        sequences: Its features, among which boxes and action units are sought.
    """
    features = list(sequences)
    try:
        return [_shot(frame.image, frame.end, frame.time, features) for frame in clip.frames(count=SHOTS)]
    except ClipError:
        return []


def draw_shots(axis: Any, shots: Sequence[Shot], seconds: float) -> None:
    """Draw shots beside each other, each in its part of the time axis."""
    from matplotlib.patches import Rectangle

    width = seconds / len(shots)
    for number, shot in enumerate(shots):
        left = number * width
        axis.imshow(shot.image, extent=(left, left + width, 0, 1), aspect="auto")
        if shot.box is not None:
            x, y, w, h = shot.box
            corner = (left + x * width, 1 - y - h)
            axis.add_patch(Rectangle(corner, w * width, h, fill=False, edgecolor="#ffd23f", linewidth=1.2))
        if shot.units:
            back = {"facecolor": "black", "alpha": 0.55, "pad": 1, "linewidth": 0}
            axis.text(left + 0.02 * width, 0.03, "\n".join(shot.units), fontsize=5.5, color="white", bbox=back,
                      clip_on=True)  # fmt: skip
    axis.set_xlim(0, seconds)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    axis.set_ylabel("frames", fontsize=8)


def _shot(image: Array, end: float, time: float, features: Sequence[FeatureSequence]) -> Shot:
    height, width = image.shape[:2]
    kept_width, kept_height = min(width, round(height * ASPECT)), min(height, round(width / ASPECT))
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    step = max(1, kept_width // WIDTH)
    cropped = image[top : top + kept_height : step, left : left + kept_width : step]
    box, units = None, tuple[str, ...]()
    for sequence in features:
        row = _row_at(sequence, time)
        found = _box(sequence, row)
        if box is None and found is not None:
            x, y, w, h = found
            box = ((x - left) / kept_width, (y - top) / kept_height, w / kept_width, h / kept_height)
        units = units or _units(sequence, row)
    return Shot(cropped, end, box, units)


def _row_at(sequence: FeatureSequence, time: float) -> int | None:
    """The row whose interval holds a time."""
    rows = np.flatnonzero((sequence.intervals[:, 0] <= time + 1e-6) & (time + 1e-6 < sequence.intervals[:, 1]))
    return int(rows[0]) if len(rows) else None


def _box(sequence: FeatureSequence, row: int | None) -> Box | None:
    columns = next((names for names in BOXES if set(names) <= set(sequence.names)), None)
    if row is None or columns is None:
        return None
    x, y, w, h = (float(sequence.features[row, sequence.names.index(name)]) for name in columns)
    return None if np.isnan([x, y, w, h]).any() else (x, y, w, h)


def _units(sequence: FeatureSequence, row: int | None) -> tuple[str, ...]:
    columns = [k for k, name in enumerate(sequence.names) if re.fullmatch(r"AU\d\d", name)]
    if row is None or not columns:
        return ()
    values = {sequence.names[k]: float(sequence.features[row, k]) for k in columns}
    likely = sorted((name for name in values if values[name] > LIKELY), key=lambda name: -values[name])
    return tuple(f"{name} {values[name]:.2f}" for name in likely[:UNITS])

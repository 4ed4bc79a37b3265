"""Decoded frames as arrays: upright, with square pixels, scaled and cut."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from featzoo.sequence import Array

# Of pixels, width over height: beyond these a header is wrong.
ASPECTS = (0.2, 5.0)


class Frame(NamedTuple):
    """One picture of a clip.

    Attributes:
        image: (H, W, 3) RGB or (H, W) grey uint8.
        start: Seconds from the clip's start, from when the frame stands for what is shown.
        end: Until when.
        time: When it appears: for a sampled frame, at or before the instant it was sampled at.
    """

    image: Array
    start: float
    end: float
    time: float


def scaler() -> Any:
    """A converter of pictures, for one thread: a frame's own is shared by its readers and locks up."""
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()


def picture(scale: Any, frame: Any, height: int | None, width: int | None, grey: bool, aspect: float = 1.0) -> Array:
    """One decoded frame as an array, upright, scaled to cover height x width and cut at the centre.

    Args:
        scale: This thread's `scaler()`.
        frame: An `av.VideoFrame`.
        height: Rows; None keeps the size at which the frame is displayed.
        width: Columns.
        grey: One channel.
        aspect: Width of a pixel over its height.

    Returns:
        (H, W, 3) RGB or (H, W) grey uint8. Where height and width are None, the coded size with the width
        stretched to square pixels.
    """
    turned, mirrored = orientation(frame)
    stretched = max(1, round(frame.width * aspect)) if ASPECTS[0] <= aspect <= ASPECTS[1] else frame.width
    across, down = (frame.height, stretched) if turned % 2 else (stretched, frame.height)
    if height is None or width is None:
        height, width = down, across
    ratio = max(height / down, width / across)
    down, across = max(height, round(down * ratio)), max(width, round(across * ratio))
    sized = (down, across) if turned % 2 else (across, down)
    layout = "gray8" if grey else "rgb24"
    image = scale.reformat(frame, width=sized[0], height=sized[1], format=layout, interpolation="AREA").to_ndarray()
    image = np.rot90(image, turned) if turned else image
    image = image[:, ::-1] if mirrored else image
    top, left = (down - height) // 2, (across - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def orientation(frame: Any) -> tuple[int, bool]:
    """What brings a frame upright: quarter turns anticlockwise, then whether it is mirrored left to right.

    It comes from the display matrix of a video, or from the EXIF orientation of a JPEG.
    """
    from av.sidedata.sidedata import Type

    found = frame.side_data.get(Type.DISPLAYMATRIX)
    if found is None:
        return 0, False
    # Rows (a, b, u), (c, d, v), (x, y, w): a pixel (column, row) goes to (a * column + c * row, b * column + d * row).
    a, b, _, c, d, *_ = np.frombuffer(found, np.int32).tolist()
    mirrored = a * d - b * c < 0
    if mirrored:  # undone last: the columns' new direction is turned round
        a, c = -a, -c
    turned = round(np.degrees(np.arctan2(-b, a)) / 90) % 4 if (a, b) != (0, 0) else 0
    return turned, mirrored

"""Decoded frames as arrays: upright, with square pixels, scaled and cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from featzoo.sequence import Array

# Of pixels, width over height: beyond these a header is wrong.
ASPECTS = (0.2, 5.0)
# More than FFmpeg has (32 in version 8).
SIDE_DATA_KINDS = 40
DISPLAY_MATRIX = 6  # AV_FRAME_DATA_DISPLAYMATRIX


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


class Converter:
    """Turns the decoded frames of one clip into arrays, in one thread.

    Args:
        size: (height, width) to cover and cut at the centre; None keeps the size at which frames are displayed:
            the coded height, and the width stretched to square pixels.
        grey: One channel in place of three.
        aspect: Width of a pixel over its height.
    """

    def __init__(self, size: tuple[int, int] | None = None, grey: bool = False, aspect: float = 1.0) -> None:
        from av.video.reformatter import VideoReformatter

        self._size, self._layout = size, "gray8" if grey else "rgb24"
        self._aspect = aspect if ASPECTS[0] <= aspect <= ASPECTS[1] else 1.0
        # Our own: that of a frame is shared by its readers and locks up.
        self._reformatter = VideoReformatter()
        self._orientation: tuple[int, bool] | None = None

    def image(self, frame: Any) -> Array:
        """An `av.VideoFrame`, upright: (H, W, 3) RGB or (H, W) grey uint8."""
        if self._orientation is None:
            # Once: a frame whose side data has been read stays in memory until Python collects its cycles.
            self._orientation = orientation(frame)
        turned, mirrored = self._orientation
        stretched = max(1, round(frame.width * self._aspect))
        across, down = (frame.height, stretched) if turned % 2 else (stretched, frame.height)
        height, width = self._size or (down, across)
        ratio = max(height / down, width / across)
        down, across = max(height, round(down * ratio)), max(width, round(across * ratio))
        wide, high = (down, across) if turned % 2 else (across, down)
        scaled = self._reformatter.reformat(frame, width=wide, height=high, format=self._layout, interpolation="AREA")
        image = np.rot90(scaled.to_ndarray(), turned)
        image = image[:, ::-1] if mirrored else image
        top, left = (down - height) // 2, (across - width) // 2
        return np.ascontiguousarray(image[top : top + height, left : left + width])


def orientation(frame: Any) -> tuple[int, bool]:
    """What brings a frame upright: quarter turns anticlockwise, then whether it is mirrored left to right.

    It comes from the display matrix of a video, or from the EXIF orientation of a picture.
    """
    if _filtered(frame, [f"mode=select:type={DISPLAY_MATRIX}"]) is None:
        return 0, False
    # Without the other kinds: PyAV 18 crashes on those that have metadata, and does not know some, such as EXIF.
    others = [f"mode=delete:type={kind}" for kind in range(SIDE_DATA_KINDS) if kind != DISPLAY_MATRIX]
    found = _filtered(frame, others)
    if found is None or not len(found.side_data):
        return 0, False
    # Rows (a, b, u), (c, d, v), (x, y, w): a pixel (column, row) goes to (a * column + c * row, b * column + d * row).
    a, b, _, c, d, *_ = np.frombuffer(found.side_data[0], np.int32).tolist()
    mirrored = a * d - b * c < 0
    if mirrored:  # undone last: the columns' new direction is turned round
        a, c = -a, -c
    turned = round(np.degrees(np.arctan2(-b, a)) / 90) % 4 if (a, b) != (0, 0) else 0
    return turned, mirrored


def _filtered(frame: Any, steps: Sequence[str]) -> Any | None:
    """A frame after some of FFmpeg's `sidedata` filters; None if one of them drops it."""
    from av.filter import Graph

    graph = Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    for step in steps:
        following = graph.add("sidedata", step)
        last.link_to(following)
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    try:
        return graph.pull()
    except BlockingIOError:
        return None

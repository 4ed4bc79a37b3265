"""The pictures of one clip: when each frame is shown, and the decoding of those that are wanted.

Times are in seconds from the clip's start, as in `media`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import ClipError
from featzoo.media.container import (
    declared_seconds,
    decode_stream,
    opened,
    origin,
    packets_of,
    refuse_truncated,
    stream_of,
)
from featzoo.sequence import Array

# So many frames at the end are all decoded: some packets show nothing, and the last that shows stands for them.
TAIL = 16
# Codecs whose packets say truly whether other frames need them.
SKIPPING = ("h264", "mpeg4")


class Frame(NamedTuple):
    """One picture: (H, W, 3) RGB or (H, W) grey uint8, shown from `start` to `end` seconds."""

    image: Array
    start: float
    end: float


class FrameIndex(NamedTuple):
    """When each frame of a recording is shown, read from the packets without decoding.

    Attributes:
        pts: (F,) presentation times in stream units, ascending.
        start: (F,) seconds on the clip's clock.
        end: (F,) seconds on the clip's clock.
        keys: pts of the key frames, ascending.
    """

    pts: Array
    start: Array
    end: Array
    keys: Array

    def at(self, times: Array) -> Array:
        """The indices of the frames on display at `times`."""
        return np.clip(np.searchsorted(self.start, times, side="right") - 1, 0, len(self.start) - 1)

    def spread(self, count: int) -> Array:
        """`count` frames at the middles of as many equal parts; frames repeat where there are fewer."""
        span = self.end[-1] - self.start[0]
        return self.at(self.start[0] + (np.arange(count) + 0.5) * span / count)

    def sampled(self, rate: float) -> Array:
        """At most `rate` frames a second: those on display at 0, 1/rate, 2/rate ... each once."""
        ticks = np.arange(self.start[0], self.end[-1] - 1e-9, 1.0 / rate)
        return np.unique(self.at(ticks))


def index_frames(path: Path, start: float = 0.0, end: float | None = None) -> FrameIndex:
    """The presentation times of a clip's frames, from its packets.

    Raises:
        ClipError: If it has no pictures, or none inside the segment.
    """
    with opened(path) as container:
        stream = stream_of(container, "video", path)
        unit, zero = float(stream.time_base), origin(container)
        # Packets hold the compressed pictures: what is said of each is kept, not the packet.
        listed = [(p.pts, p.duration or 0, p.is_keyframe, p.is_discard) for p in packets_of(container, stream, path)]
        shown_ones = [stamp for stamp, _, _, discard in listed if not discard]
        pts = [stamp for stamp in shown_ones if stamp is not None]
        keys = [stamp for stamp, _, key, _ in listed if key and stamp is not None]
        last = max((duration for _, duration, _, _ in listed), default=0)
        declared, rate = declared_seconds(stream, container), float(stream.average_rate or stream.guessed_rate or 25)
        if not pts or len(set(pts)) != len(shown_ones):
            pts, keys = _decoded_pts(path), []
    if not pts:
        refuse_truncated(path, 0.0, declared)
        raise ClipError("empty", f"{path.name} has a video stream without frames")
    order = np.sort(np.asarray(pts, dtype=np.int64))
    shown = order * unit - zero
    step = last * unit or (float(np.median(np.diff(shown))) if len(shown) > 1 else 1.0 / rate)
    ends = np.append(shown[1:], shown[-1] + step)
    if end is None:
        refuse_truncated(path, float(ends[-1]), declared)
    # A frame belongs to a segment if it is on display inside it.
    inside = (ends > start) & (shown < (np.inf if end is None else end))
    if not inside.any():
        raise ClipError("empty", f"{path.name} has no frame between {start} and {end} s")
    first = np.maximum(shown[inside] - start, 0.0)
    final = ends[inside] - start
    final = np.minimum(final, np.inf if end is None else end - start)
    return FrameIndex(order[inside], first, final, np.sort(np.asarray(keys, dtype=np.int64)))


def _decoded_pts(path: Path) -> list[int]:
    """Frame times where the packets do not tell them: decode once."""
    with opened(path) as container:
        stream = stream_of(container, "video", path)
        return sorted({_order(frame, path) for frame in decode_stream(container, stream, path)})


def decode_frames(path: Path, index: FrameIndex, wanted: Array) -> Iterator[tuple[int, Any]]:
    """Decode the frames whose numbers are in `wanted` (ascending, distinct).

    Yields:
        The frame's number and its `av.VideoFrame`. Runs forward, and jumps to the next key frame
        where the frames between are not wanted; of these, those that no other frame needs are left out.

    Raises:
        ClipError: If a wanted frame cannot be decoded.
    """
    with opened(path) as container:
        stream = stream_of(container, "video", path)
        stream.thread_type = "AUTO"
        needed = index.pts[wanted]
        frames, position = _decoded(container, stream, index, needed), -1
        frame = None
        for number in map(int, wanted):
            target = int(index.pts[number])
            key = _key_before(index, target)
            if key is not None and key > position + 1 and (position >= 0 or key > int(index.keys[0])):
                container.seek(key, stream=stream)
                frames, frame = _decoded(container, stream, index, needed), None
            while frame is None or position < target:
                following = next(frames, None)
                if following is None:
                    break
                frame, position = following, _order(following, path)
            if frame is None or position < target - _slack(index):
                raise ClipError("damaged", f"{path.name}: no frame at {index.start[number]:.3f} s can be decoded")
            yield number, frame


def _decoded(container: Any, stream: Any, index: FrameIndex, needed: Array) -> Iterator[Any]:
    """Frames from where the container stands, those in `needed` among them."""
    if stream.codec_context.name not in SKIPPING or not len(index.keys) or len(needed) == len(index.pts):
        yield from container.decode(stream)
        return
    kept = {*needed.tolist(), *index.pts[-TAIL:].tolist()}
    last = max(kept)
    for packet in container.demux(stream):
        unneeded = packet.pts is not None and packet.pts < last and packet.pts not in kept
        stream.codec_context.skip_frame = "NONREF" if unneeded else "DEFAULT"
        yield from packet.decode()


def _order(frame: Any, path: Path) -> int:
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None:
        raise ClipError(
            "no-times",
            f"{path.name} does not say when its frames are shown: put it in a "
            f"container that does (ffmpeg -i {path.name} -c copy {path.stem}.mkv)",
        )
    return int(stamp)


def _slack(index: FrameIndex) -> int:
    """How far before the last listed time the last shown frame may lie: some packets show nothing."""
    return 4 * int(np.median(np.diff(index.pts))) if len(index.pts) > 1 else 0


def _key_before(index: FrameIndex, target: int) -> int | None:
    place = int(np.searchsorted(index.keys, target, side="right")) - 1
    return int(index.keys[place]) if place >= 0 else None


def scaler() -> Any:
    """A converter of pictures, for one thread: a frame's own is shared by its readers and locks up."""
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()


def picture(scale: Any, frame: Any, height: int | None, width: int | None, grey: bool) -> Array:
    """One decoded frame as an array, upright, scaled to cover height x width and cut at the centre.

    Args:
        scale: This thread's `scaler()`.
        frame: An `av.VideoFrame`.
        height: Rows; None keeps the frame's own size.
        width: Columns.
        grey: One channel.

    Returns:
        (H, W, 3) RGB or (H, W) grey uint8; the frame's own size where height and width are None.
    """
    turned = round(frame.rotation / 90) % 4 if frame.rotation else 0
    across, down = (frame.height, frame.width) if turned % 2 else (frame.width, frame.height)
    if height is None or width is None:
        height, width = down, across
    ratio = max(height / down, width / across)
    down, across = max(height, round(down * ratio)), max(width, round(across * ratio))
    sized = (down, across) if turned % 2 else (across, down)
    layout = "gray8" if grey else "rgb24"
    image = scale.reformat(frame, width=sized[0], height=sized[1], format=layout, interpolation="AREA").to_ndarray()
    image = np.rot90(image, turned) if turned else image
    top, left = (down - height) // 2, (across - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])

"""When each frame of a clip is shown.

Times are in seconds from the clip's start, as in `container`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import ClipError
from featzoo.media.completeness import Declared, declared_seconds, refuse_cut_file, refuse_truncated
from featzoo.media.container import one_clock, opened, origin, packets_of, stream_of
from featzoo.sequence import Array

# AVI has no presentation times: FFmpeg guesses them, and wrongly where frames are reordered.
REORDERED = ("h264", "hevc", "mpeg4", "vc1")
# Containers whose header describes each stream, so that a decoder can start without FFmpeg's probing.
DESCRIBED = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")
# Codecs that may code the two fields of a frame apart, in two packets.
FIELD_CODECS = ("h264", "vc1", "hevc", "cavs")
PROGRESSIVE = (0, 1)  # unknown, progressive: FFmpeg's AVFieldOrder


class FrameIndex(NamedTuple):
    """When each frame of a clip is shown.

    Attributes:
        pts: (F,) presentation times in stream units, ascending; where `counted`, the number of each frame
            in a pass from the beginning.
        start: (F,) seconds on the clip's clock.
        end: (F,) seconds on the clip's clock.
        keys: pts of the key frames, ascending; empty where the decoder must start at the beginning.
        sizes: Bytes of each key frame's packet.
        counted: Whether frames are identified by number, since their packets do not tell their times.
        aspect: Width of a pixel over its height.
        step: The usual distance between frames, in units of `pts`.
        described: Whether a decoder can start without FFmpeg's probing; of several streams, probing might choose
            another.
    """

    pts: Array
    start: Array
    end: Array
    keys: Array
    sizes: Array
    counted: bool = False
    aspect: float = 1.0
    step: int = 1
    described: bool = False

    def at(self, times: Array) -> Array:
        """The indices of the frames on display at `times`."""
        return np.clip(np.searchsorted(self.start, times, side="right") - 1, 0, len(self.start) - 1)

    def spread(self, count: int) -> Array:
        """`count` frames at the middles of as many equal parts; frames repeat where there are fewer."""
        span = self.end[-1] - self.start[0]
        return self.at(self.start[0] + (np.arange(count) + 0.5) * span / count)

    def parts(self, count: int) -> Array:
        """(count, 2) start and end of `count` equal parts."""
        edges = self.start[0] + np.arange(count + 1) * ((self.end[-1] - self.start[0]) / count)
        return np.stack([edges[:-1], edges[1:]], axis=1)

    def sampled(self, rate: float) -> Array:
        """At most `rate` frames a second: those on display at 0, 1/rate, 2/rate ... each once."""
        return np.unique(self.at(self._ticks(rate)))

    def spans(self, chosen: Array, rate: float | None = None) -> Array:
        """The time that each of some frames stands for: until the next one's begins.

        Args:
            chosen: (T,) ascending, distinct frame numbers.
            rate: The rate they were sampled at, if any. Frames are then taken at ticks of 1/rate
                seconds, and each stands for the time from its tick to the next.

        Returns:
            (T, 2) start and end in seconds. Together they cover the clip from its first frame on.
        """
        starts = self.start[chosen].copy()
        if rate is not None:
            ticks = self._ticks(rate)
            first = ticks[np.searchsorted(self.at(ticks), chosen)]
            # Between neighbours no frame is passed over: the second stands for what it is shown for.
            apart = np.diff(chosen, prepend=chosen[0] - 1) > 1
            starts = np.where(apart, first, starts)
        return np.stack([starts, np.append(starts[1:], self.end[-1])], axis=1)

    def _ticks(self, rate: float) -> Array:
        return np.arange(self.start[0], self.end[-1] - 1e-9, 1.0 / rate)


class Recording(NamedTuple):
    """What a recording says of its pictures.

    `listed` holds the stamp and duration of each, ascending; `lasting` is the duration of all packets, seconds.
    """

    listed: list[tuple[int, int]]
    keys: Array
    sizes: Array
    counted: bool
    unit: float
    zero: float
    rate: float
    declared: Declared | None
    lasting: float
    aspect: float
    described: bool


def index_frames(path: Path, start: float = 0.0, end: float | None = None) -> FrameIndex:
    """When the frames of a clip are shown, from its packets where these tell, else by decoding.

    Raises:
        ClipError: If it has no pictures, or none inside the segment.
    """
    if end is None:
        refuse_cut_file(path)
    found = recording(path, *_version(path))
    if not found.listed:
        refuse_truncated(path, 0.0, found.declared)
        raise ClipError("empty", f"{path.name} has a video stream without frames")
    pts = np.array([stamp for stamp, _ in found.listed], dtype=np.int64)
    shown = pts * found.unit - found.zero
    usual = float(np.median(np.diff(pts))) if len(pts) > 1 else 1.0 / (found.rate * found.unit)
    ends = np.append(shown[1:], shown[-1] + (found.listed[-1][1] or usual) * found.unit)
    if end is None:
        # Declared durations are often those of all packets, which are longer where frames are reordered round a hole.
        refuse_truncated(path, max(float(ends[-1]), found.lasting), found.declared)
    # A frame belongs to a segment if it is on display inside it.
    inside = (ends > start) & (shown < (np.inf if end is None else end))
    if not inside.any():
        raise ClipError("empty", f"{path.name} has no frame between {start} and {end} s")
    final = np.minimum(ends[inside] - start, np.inf if end is None else end - start)
    first = np.maximum(shown[inside] - start, 0.0)
    names, step = (np.arange(len(pts)), 1) if found.counted else (pts, max(1, round(usual)))
    return FrameIndex(
        names[inside], first, final, found.keys, found.sizes, found.counted, found.aspect, step, found.described
    )


def _version(path: Path) -> tuple[int, int]:
    """Size and time of change, by which a file is known to be the same."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0  # `opened` says what is wrong
    return stat.st_size, stat.st_mtime_ns


# The segments of a recording come one after another.
@lru_cache(maxsize=4)
def recording(path: Path, _size: int, _changed: int) -> Recording:
    """What the packets of a file say, or its decoded frames where packets do not tell.

    Raises:
        ClipError: If it has no pictures, or they have no times.
    """
    with opened(path) as container:
        stream = stream_of(container, "video", path)
        # Packets hold the compressed pictures: what is said of each is kept, not the packet.
        packets = [
            (packet.pts, packet.duration or 0, packet.size if packet.is_keyframe else 0)
            for packet in one_clock(packets_of(container, stream, path), path)
            if not packet.is_discard
        ]
        stamps = [stamp for stamp, _, _ in packets]
        counted = None in stamps or len(set(stamps)) != len(stamps) or not _has_times(container, stream)
        fields = stream.codec_context.name in FIELD_CODECS and stream.codec_context.field_order not in PROGRESSIVE
        facts = (
            float(stream.time_base),
            origin(container),
            float(stream.average_rate or stream.guessed_rate or 25),
            declared_seconds(stream, container),
            float(sum(duration for _, duration, _ in packets) * stream.time_base),
            float(stream.sample_aspect_ratio or 1),
            container.format.name in DESCRIBED and len(container.streams.video) == 1,
        )
    keys = sorted((stamp, size) for stamp, _, size in packets if size and not counted)
    if counted or fields:
        listed, complete = _decoded_times(path)
        counted = counted or not complete
        shown = {stamp for stamp, _ in listed}
        keys = [key for key in keys if key[0] in shown and not counted]
    else:
        # A recording that was cut from a longer one may begin with frames that need what is gone.
        listed = sorted((stamp, duration) for stamp, duration, _ in packets if not keys or stamp >= keys[0][0])
    stamps_and_sizes = np.array(keys, dtype=np.int64).reshape(-1, 2)  # (K, 2)
    return Recording(listed, stamps_and_sizes[:, 0], stamps_and_sizes[:, 1], counted, *facts)


def _has_times(container: Any, stream: Any) -> bool:
    """Whether the container says when frames are shown."""
    return container.format.name != "avi" or stream.codec_context.name not in REORDERED


def _decoded_times(path: Path) -> tuple[list[tuple[int, int]], bool]:
    """Time stamp and duration of each decoded frame in the order of presentation, and whether all have a `pts`."""
    with opened(path) as container:
        stream = stream_of(container, "video", path)
        stream.thread_type = "AUTO"
        usual = max(1, round(1 / (float(stream.time_base) * float(stream.average_rate or stream.guessed_rate or 25))))
        # Frames leave the decoder in step with AVI's decoding times, the only ones it has.
        kinds = ("dts", "pts") if container.format.name == "avi" else ("pts", "dts")
        frames = [
            (next((stamp for kind in kinds if (stamp := getattr(frame, kind)) is not None), None), frame.duration or 0)
            for frame in decoded(packets_of(container, stream, path), stream)
        ]
    first = next((number for number, (stamp, _) in enumerate(frames) if stamp is not None), None)
    if frames and first is None:
        raise ClipError(
            "no-times",
            f"{path.name} does not say when its frames are shown: put it in a "
            f"container that does (ffmpeg -i {path.name} -c copy {path.stem}.mkv)",
        )
    complete = all(stamp is not None for stamp, _ in frames)
    times: list[tuple[int, int]] = []
    for stamp, duration in frames:
        if times:
            before, lasts = times[-1]
            stamp = before + (lasts or usual) if stamp is None else max(stamp, before + 1)
        elif stamp is None:  # as far before the first known time as there are frames
            stamp = (frames[first or 0][0] or 0) - (first or 0) * usual
        times.append((stamp, duration))
    return times, complete


def decoded(packets: Iterable[Any], stream: Any, failed: list[Exception] | None = None) -> Iterator[Any]:
    """The frames of packets, in the order of presentation; those that cannot be decoded are left out.

    Args:
        packets: Of one stream.
        stream: That stream.
        failed: Gets the error of each packet that cannot be decoded.
    """
    from av.error import FFmpegError

    for packet in chain(packets, [None]):  # None: give what is left
        try:
            yield from stream.decode(packet)
        except FFmpegError as error:
            if failed is not None:
                failed.append(error)

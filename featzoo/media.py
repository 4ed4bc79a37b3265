"""The only code that opens media: sound and pictures of one clip, through PyAV.

Times are in seconds from the clip's start. The clip's time 0 is `start` of its recording, counted from
the container's own start time, so that sound and pictures share one clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import ClipError
from featzoo.sequence import Array

# A file that gives less than this share of what its header declares, and lacks more than
# MISSING_SECONDS, is a truncated download: features of its first half would pass for the whole.
COMPLETE_SHARE = 0.8
MISSING_SECONDS = 1.0
# Seeking back to a key frame and decoding forward pays off past about one such gap.
LEAD_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound: `samples` (C, N) float32 in [-1, 1], `rate` in Hz."""

    samples: Array
    rate: int


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


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open PyAV container.

    Raises:
        ClipError: With reason `not-found`, `empty` or `unreadable`.
    """
    import av

    try:
        if path.stat().st_size == 0:
            raise ClipError("empty", f"{path.name} has zero bytes")
        # Titles in old files are often not UTF-8: that is no reason to refuse their sound.
        # A PCM header says all: FFmpeg's usual probing costs more than reading a short sound.
        options = {"probesize": "32768"} if path.suffix.lower() == ".wav" else {}
        with av.open(str(path), metadata_errors="replace", options=options) as container:
            yield container
    except FileNotFoundError as error:
        raise ClipError("not-found", f"no file {path}") from error
    except av.error.FFmpegError as error:
        raise ClipError("unreadable", f"{path.name}: {error.strerror or error}") from error
    except OSError as error:
        raise ClipError("unreadable", f"{path.name}: {error.strerror or error}") from error


def stream_of(container: Any, kind: str, path: Path) -> Any:
    """The best stream of a kind, as FFmpeg ranks them; a cover picture in a sound file is not a video.

    Raises:
        ClipError: With reason `no-audio` or `no-video`.
    """
    from av.stream import Disposition

    streams = [s for s in getattr(container.streams, kind) if not s.disposition & Disposition.attached_pic]
    best = container.streams.best(kind)
    for stream in [best, *streams]:
        if stream in streams and stream.codec_context is not None:
            return stream
    raise ClipError(f"no-{kind}", f"{path.name} has no {'sound' if kind == 'audio' else 'pictures'}")


def origin(container: Any) -> float:
    """Seconds from the stream clock's zero to the recording's start."""
    return (container.start_time or 0) / 1_000_000


def decode_audio(path: Path, start: float = 0.0, end: float | None = None) -> Audio:
    """All channels of a clip's sound at its own rate.

    Raises:
        ClipError: If there is none, or it cannot be decoded to its declared end.
    """
    with opened(path) as container:
        stream = stream_of(container, "audio", path)
        rate, zero = stream.codec_context.sample_rate, origin(container)
        if start > LEAD_SECONDS:
            container.seek(int((start + zero - LEAD_SECONDS) / stream.time_base), stream=stream)
        blocks: list[Array] = []
        kind: tuple[str, int, int] | None = None
        first: float | None = None
        for frame in _decode(container, stream, path):
            if first is None:
                first = frame.time - zero if frame.time is not None else 0.0
                kind = _kind(frame)
            if _kind(frame) != kind:
                raise ClipError("damaged", f"{path.name} changes from {kind} to {_kind(frame)} on the way")
            blocks.append(frame.to_ndarray())
            if end is not None and frame.time is not None and frame.time - zero > end:
                break
        declared = _declared(stream, container)
        if first is None or kind is None or not rate:
            _refuse_truncated(path, 0.0, declared if declared and start < declared else None)
            raise ClipError("empty", f"{path.name} has a sound stream without samples after {start} s")
        samples = _as_float(np.concatenate(blocks, axis=1), channels=kind[1])  # (C, N)
        if not np.isfinite(samples).all():
            raise ClipError("damaged", f"{path.name} holds samples that are no numbers (NaN or infinite)")
    seconds = samples.shape[1] / rate
    if end is None:
        _refuse_truncated(path, first + seconds, declared)
    samples = _cut(samples, rate, first, start, end)
    if not samples.shape[1]:
        raise ClipError("empty", f"{path.name} has no sound between {start} and {end} s")
    return Audio(samples, rate)


def _kind(frame: Any) -> tuple[str, int, int]:
    """Sample format, channels and rate: one for the whole recording."""
    return frame.format.name, frame.layout.nb_channels, frame.sample_rate


def _as_float(blocks: Array, channels: int) -> Array:
    """(C, N) or interleaved (1, N * C) samples of any type to (C, N) float32 in [-1, 1)."""
    if len(blocks) != channels:
        blocks = blocks.reshape(-1, channels).T  # (1, N * C) -> (C, N)
    if blocks.dtype.kind == "f":
        return blocks.astype(np.float32, copy=False)
    middle, full = (128.0, 128.0) if blocks.dtype == np.uint8 else (0.0, float(-int(np.iinfo(blocks.dtype).min)))
    return ((blocks - middle) / full).astype(np.float32)


def _cut(samples: Array, rate: int, first: float, start: float, end: float | None) -> Array:
    """Samples of [start, end); sound that begins late is preceded by silence, so that time 0 stays time 0."""
    lead = round((first - start) * rate)
    samples = samples[:, -lead:] if lead < 0 else np.pad(samples, ((0, 0), (lead, 0)))
    return samples if end is None else samples[:, : max(0, round((end - start) * rate))]


def resample(audio: Audio, rate: int) -> Audio:
    """The sound at another rate (FFmpeg's resampler).

    Raises:
        ValueError: If the rate is not positive.
    """
    import av

    if rate <= 0:
        raise ValueError(f"a sample rate is positive; got {rate}")
    if rate == audio.rate:
        return audio
    # Channel by channel: swresample knows layouts by name, not "six channels of something".
    channels = []
    for channel in audio.samples:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channel[None]), format="fltp", layout="mono")
        frame.sample_rate = audio.rate
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        blocks = [b.to_ndarray() for b in [*resampler.resample(frame), *resampler.resample(None)]]
        channels.append(np.concatenate(blocks, axis=1)[0] if blocks else np.zeros(0, np.float32))
    return Audio(np.stack(channels).astype(np.float32), rate)  # (C, N)


def index_frames(path: Path, start: float = 0.0, end: float | None = None) -> FrameIndex:
    """The presentation times of a clip's frames, from its packets.

    Raises:
        ClipError: If it has no pictures, or none inside the segment.
    """
    with opened(path) as container:
        stream = stream_of(container, "video", path)
        unit, zero = float(stream.time_base), origin(container)
        packets = list(_packets(container, stream, path))
        pts = [p.pts for p in packets if p.pts is not None and not p.is_discard]
        keys = [p.pts for p in packets if p.is_keyframe and p.pts is not None]
        last = max((p.duration or 0 for p in packets), default=0)
        declared, rate = _declared(stream, container), float(stream.average_rate or stream.guessed_rate or 25)
        if not pts or len(set(pts)) != len(pts) or len(pts) < len([p for p in packets if not p.is_discard]):
            pts, keys = _decoded_pts(path), []
    if not pts:
        _refuse_truncated(path, 0.0, declared)
        raise ClipError("empty", f"{path.name} has a video stream without frames")
    order = np.sort(np.asarray(pts, dtype=np.int64))
    shown = order * unit - zero
    step = last * unit or (float(np.median(np.diff(shown))) if len(shown) > 1 else 1.0 / rate)
    ends = np.append(shown[1:], shown[-1] + step)
    if end is None:
        _refuse_truncated(path, float(ends[-1]), declared)
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
        return sorted({_order(frame, path) for frame in _decode(container, stream, path)})


def _packets(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """The stream's packets that hold data.

    Raises:
        ClipError: With reason `encrypted`, at the first packet that is.
    """
    for packet in container.demux(stream):
        if packet.size:
            if packet.has_sidedata("encryption_info"):
                raise ClipError("encrypted", f"{path.name} is encrypted (DRM): featzoo cannot decode it")
            yield packet


def _decode(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    for packet in _packets(container, stream, path):
        yield from packet.decode()
    yield from stream.decode(None)


def decode_frames(path: Path, index: FrameIndex, wanted: Array) -> Iterator[tuple[int, Any]]:
    """Decode the frames whose numbers are in `wanted` (ascending, distinct).

    Yields:
        The frame's number and its `av.VideoFrame`. Runs forward, and jumps to the next key frame
        where the frames between are not wanted.

    Raises:
        ClipError: If a wanted frame cannot be decoded.
    """
    with opened(path) as container:
        stream = stream_of(container, "video", path)
        stream.thread_type = "AUTO"
        frames, position = container.decode(stream), -1
        frame = None
        for number in map(int, wanted):
            target = int(index.pts[number])
            key = _key_before(index, target)
            if key is not None and key > position + 1 and (position >= 0 or key > int(index.keys[0])):
                container.seek(key, stream=stream)
                frames, frame = container.decode(stream), None
            while frame is None or position < target:
                following = next(frames, None)
                if following is None:
                    break
                frame, position = following, _order(following, path)
            if frame is None or position < target - _slack(index):
                raise ClipError("damaged", f"{path.name}: no frame at {index.start[number]:.3f} s can be decoded")
            yield number, frame


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


def _declared(stream: Any, container: Any) -> float | None:
    """Seconds that the header promises for a stream, None where it does not say."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None


def _refuse_truncated(path: Path, seconds: float, declared: float | None) -> None:
    if declared and seconds < COMPLETE_SHARE * declared and declared - seconds > MISSING_SECONDS:
        raise ClipError("truncated", f"{path.name} ends after {seconds:.2f} s of the {declared:.2f} s it declares")

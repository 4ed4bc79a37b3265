"""The only code that opens media, through PyAV; and the sound of one clip (its pictures: `frames`).

Times are in seconds from the clip's start. The clip's time 0 is `start` of its recording, counted from
the container's own start time, so that sound and pictures share one clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.errors import ClipError
from featzoo.sequence import Array
from featzoo.stand_ins import stand_in

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
        # A PCM header says all: FFmpeg's usual probing costs more than reading a short sound.
        options = {"probesize": "32768"} if path.suffix.lower() == ".wav" else {}
        # Titles in old files are often not UTF-8, which is no reason to refuse their sound. PyAV 19 never fails on
        # them and has no such option.
        titles: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
        with av.open(str(path), options=options, **titles) as container:
            yield container
    except FileNotFoundError as error:
        raise ClipError("not-found", f"no file {path}") from error
    except av.error.FFmpegError as error:
        raise ClipError("unreadable", f"{path.name}: {stand_in(path) or error.strerror or error}") from error
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
        for frame in decode_stream(container, stream, path):
            if first is None:
                first = frame.time - zero if frame.time is not None else 0.0
                kind = _kind(frame)
            if kind is None or _kind(frame) != kind:
                raise ClipError("damaged", f"{path.name} changes from {kind} to {_kind(frame)} on the way")
            # Frame by frame: a long recording never exists in double precision.
            blocks.append(_as_float(frame.to_ndarray(), channels=kind[1]))
            if end is not None and frame.time is not None and frame.time - zero > end:
                break
        declared = declared_seconds(stream, container)
        if first is None or kind is None or not rate:
            refuse_truncated(path, 0.0, declared if declared and start < declared else None)
            raise ClipError("empty", f"{path.name} has a sound stream without samples after {start} s")
        samples = np.concatenate(blocks, axis=1)  # (C, N)
        del blocks
        if not all(np.isfinite(channel).all() for channel in samples):
            raise ClipError("damaged", f"{path.name} holds samples that are no numbers (NaN or infinite)")
    seconds = samples.shape[1] / rate
    if end is None:
        refuse_truncated(path, first + seconds, declared)
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
    if lead:  # a copy of a long recording is worth avoiding
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


def packets_of(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """The stream's packets that hold data.

    Raises:
        ClipError: With reason `encrypted`, at the first packet that is.
    """
    for packet in container.demux(stream):
        if packet.size:
            if packet.has_sidedata("encryption_info"):
                raise ClipError("encrypted", f"{path.name} is encrypted (DRM): featzoo cannot decode it")
            yield packet


def decode_stream(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """All frames of a stream, of sound or pictures, in the order of presentation."""
    for packet in packets_of(container, stream, path):
        yield from packet.decode()
    yield from stream.decode(None)


def declared_seconds(stream: Any, container: Any) -> float | None:
    """Seconds that the header promises for a stream, None where it does not say."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None


def refuse_truncated(path: Path, seconds: float, declared: float | None) -> None:
    """Refuse a file that holds much less than it declares.

    Raises:
        ClipError: With reason `truncated`.
    """
    if declared and seconds < COMPLETE_SHARE * declared and declared - seconds > MISSING_SECONDS:
        raise ClipError("truncated", f"{path.name} ends after {seconds:.2f} s of the {declared:.2f} s it declares")

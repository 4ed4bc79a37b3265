"""The only code that opens media, through PyAV: containers, their streams and packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from featzoo.errors import ClipError
from featzoo.stand_ins import stand_in

# Formats that name other files or addresses, which FFmpeg would open. A stranger's file must not choose what is read.
NAMING_OTHERS = {
    "bluray", "concat", "dash", "dvdvideo", "hls", "imf", "lavfi", "rtp", "rtp_mpegts", "rtsp", "sap", "sdp", "vobsub",
    "webm_dash_manifest",
}  # fmt: skip
# How such files start, whatever they are called.
PLAYLISTS = {b"ffconcat": "ffconcat", b"#EXTM3U": "M3U8", b"v=0": "SDP"}
PLAYLISTS_IN_XML = {b"<MPD": "DASH", b"<CompositionPlaylist": "IMF"}

# Time stamps that go back by more than this are a second recording, appended to the first.
RESTART_SECONDS = 0.5
# A longer hole is a damaged time stamp, not a pause or lost packets.
LONGEST_HOLE_SECONDS = 3600.0
# The only demuxer of FFmpeg's that marks packets as encrypted.
ENCRYPTING = "mov,mp4,m4a,3gp,3g2,mj2"
# Without these FFmpeg decodes some twenty frames of a stream to guess its frame rate, which not every caller needs.
WITHOUT_RATE = {"fpsprobesize": "0"}
# Without more of it than one packet, FFmpeg decodes no frames to guess in which order they are shown.
WITHOUT_ORDER = {"probesize": "32"}


@contextmanager
def opened(path: Path, *, rate: bool = True, order: bool = True) -> Iterator[Any]:
    """An open PyAV container.

    Args:
        path: The file.
        rate: Whether the frame rate of pictures is needed where the header does not have it.
        order: Whether pictures may be coded in another order than they are shown.

    Raises:
        ClipError: With reason `not-found`, `empty` or `unreadable`.
    """
    import av

    try:
        if path.stat().st_size == 0:
            raise ClipError("empty", f"{path.name} has zero bytes")
        # A PCM header says all: FFmpeg's usual probing costs more than reading a short sound.
        options = _own_content() | ({"probesize": "32768"} if path.suffix.lower() == ".wav" else {})
        options |= ({} if rate else WITHOUT_RATE) | ({} if order else WITHOUT_ORDER)
        # Titles in old files are often not UTF-8, which is no reason to refuse their sound. PyAV 19 never fails on
        # them and has no such option.
        titles: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
        # An absolute path cannot be taken for a protocol of FFmpeg's, as `concat:a.wav|b.wav` is.
        with av.open(str(path.absolute()), options=options, **titles) as container:
            yield container
    except FileNotFoundError as error:
        raise ClipError("not-found", f"no file {path}") from error
    except av.error.FFmpegError as error:
        said = stand_in(path) or _playlist(path) or error.strerror or str(error)
        raise ClipError("unreadable", f"{path.name}: {said}") from error
    except OSError as error:
        raise ClipError("unreadable", f"{path.name}: {error.strerror or error}") from error


@cache
def _own_content() -> dict[str, str]:
    """FFmpeg's options for reading one file and no other: `img%03d.png` is a name, not a series of pictures."""
    import av

    allowed = ",".join(sorted(av.formats_available - NAMING_OTHERS))
    return {"format_whitelist": allowed, "protocol_whitelist": "file", "pattern_type": "none"}


def _playlist(path: Path) -> str:
    """The reason against a playlist; empty for other files."""
    try:
        with path.open("rb") as file:
            head = file.read(1024).lstrip(b"\xef\xbb\xbf \r\n")
    except OSError:
        return ""
    kinds = [kind for start, kind in PLAYLISTS.items() if head.startswith(start)]
    kinds += [kind for word, kind in PLAYLISTS_IN_XML.items() if head.startswith(b"<") and word in head]
    return f"it is a playlist ({kinds[0]}), which names other files: give these files themselves" if kinds else ""


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


def packets_of(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """The stream's packets that hold data.

    Raises:
        ClipError: With reason `encrypted`, at the first packet that is.
    """
    marked = container.format.name == ENCRYPTING
    for packet in container.demux(stream):
        if packet.size:
            if marked and packet.has_sidedata("encryption_info"):
                raise ClipError("encrypted", f"{path.name} is encrypted (DRM): featzoo cannot decode it")
            yield packet


def one_clock(packets: Iterable[Any], path: Path) -> Iterator[Any]:
    """The packets of one stream, from the start of a recording that is one recording.

    Raises:
        ClipError: With reason `clock-restarts`, if their time stamps go back: recordings appended to each other
            would lie on top of each other; `damaged`, if they jump ahead by more than an hour.
    """
    before: float | None = None
    unit = 0.0
    for packet in packets:
        if packet.pts is not None:
            unit = unit or float(packet.time_base)  # the same in all packets of a stream
            time = packet.pts * unit
            # Key frames are shown after all that precede them; others may be shown seconds before, round a hole.
            if packet.is_keyframe and before is not None and time < before - RESTART_SECONDS:
                raise ClipError(
                    "clock-restarts",
                    f"the time stamps of {path.name} go back from {before:.2f} to {time:.2f} s: it is several "
                    "recordings in one file. Give them new time stamps: ffmpeg -f concat",
                )
            if before is not None and time > before + LONGEST_HOLE_SECONDS:
                raise ClipError("damaged", f"the time stamps of {path.name} jump from {before:.2f} to {time:.2f} s")
            before = time if before is None else max(before, time)
        yield packet


def decode_stream(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """All frames of a stream, of sound or pictures, in the order of presentation."""
    for packet in packets_of(container, stream, path):
        yield from packet.decode()
    yield from stream.decode(None)

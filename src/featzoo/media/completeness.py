"""Whether a file is all there: half a download must not pass for the whole."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from featzoo.errors import ClipError
from featzoo.media.container import opened, origin

# Durations in headers are often estimates: a stream that gives less than this share of what is declared, and lacks
# more than MISSING_SECONDS, is cut short. A duration of the whole file is a coarser estimate.
COMPLETE_SHARE = 0.8
MISSING_SECONDS = 0.3
MISSING_SECONDS_OF_FILE = 1.0
# Sizes in headers are exact, but for padding.
MISSING_BYTES = 0.01
# Sizes that writers to a pipe leave in a header: not known.
UNKNOWN_SIZE = 0x7FFFF000
# In place of a size: the file ends within a page or packet, and nothing says how much is missing.
CUT_SHORT = math.inf
# Containers whose header has one duration, of the longest stream.
ONE_DURATION = {"matroska,webm", "flv", "asf"}
# First bytes of ASF's (WMA's, WMV's) header and of its object that holds the size of the file.
ASF_HEADER, ASF_FILE_PROPERTIES = (
    b"\x30\x26\xb2\x75",
    b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65",
)
# The longest page of Ogg.
OGG_PAGE = 27 + 255 + 255 * 255
# Packets of MPEG transport streams: plain, with a time code before them (AVCHD), with error correction after them.
TS_PACKETS = ((188, 0), (192, 4), (204, 0))


class Declared(NamedTuple):
    """How long a header says that a stream is, or (not `own`) the whole file."""

    seconds: float
    own: bool


def declared_seconds(stream: Any, container: Any) -> Declared | None:
    """The duration that the header declares; None where it does not say, or (AVI) what holds for some codecs only."""
    if container.format.name == "avi":
        return None
    if stream.duration and container.format.name not in ONE_DURATION:
        return Declared(float(stream.duration * stream.time_base), own=True)
    if not container.duration:
        return None
    # ffmpeg writes the time at which such a file ends, also where it does not start at 0.
    late = max(0.0, origin(container)) if container.format.name in ONE_DURATION else 0.0
    return Declared(container.duration / 1_000_000 - late, own=False)


def refuse_truncated(path: Path, seconds: float, declared: Declared | None) -> None:
    """Refuse a stream that holds much less than is declared.

    Args:
        path: The file.
        seconds: Where the stream ends.
        declared: Its declared duration. If that is the file's and another stream reaches it, this one is shorter.

    Raises:
        ClipError: With reason `truncated`.
    """
    if declared is None or not _is_short(seconds, declared):
        return
    if not declared.own and not _is_short(_last_time(path), declared):
        return
    raise ClipError("truncated", f"{path.name} ends after {seconds:.2f} s of the {declared.seconds:.2f} s it declares")


def _is_short(seconds: float, declared: Declared) -> bool:
    most = MISSING_SECONDS if declared.own else MISSING_SECONDS_OF_FILE
    return seconds < COMPLETE_SHARE * declared.seconds and declared.seconds - seconds > most


def _last_time(path: Path) -> float:
    """When the last packet of any stream ends, seconds."""
    with opened(path) as container:
        streams = [s for s in container.streams if s.type in ("audio", "video")]
        ends = [float((p.pts + (p.duration or 0)) * p.time_base) for p in container.demux(streams) if p.pts is not None]
        return max(ends, default=0.0) - origin(container)


def refuse_cut_file(path: Path) -> None:
    """Refuse a file whose header declares more bytes than there are, or that ends within a page or packet.

    Raises:
        ClipError: With reason `truncated`.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            declared = _declared_bytes(file, size)
    except OSError:
        return  # opening it for decoding says what is wrong
    if declared == CUT_SHORT:
        raise ClipError(
            "truncated", f"{path.name} ends in the middle of a page or packet: the rest of the file is missing"
        )
    if declared is not None and size < declared * (1 - MISSING_BYTES):
        raise ClipError("truncated", f"{path.name} holds {size} bytes of the {declared} that it declares")


def _declared_bytes(file: BinaryIO, size: int) -> float | None:
    """Bytes that the file should have at least; None where its format does not say."""
    head = file.read(4096)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _end_of(_chunks(file, 12, "<4sI"), (b"data",))
    if head[:4] in (b"RF64", b"BW64"):
        return None if head[12:16] != b"ds64" else 8 + int(struct.unpack_from("<Q", head, 20)[0])
    if head[:4] == b"RIFF":
        return _end_of(_chunks(file, 0, "<4sI"), (b"RIFF",))
    if head[:4] == b"FORM":
        return _end_of(_chunks(file, 12, ">4sI"), (b"SSND",))
    if head[:4] == b"caff":
        return _end_of(_chunks(file, 8, ">4sq"), (b"data",))
    if head[:4] == ASF_HEADER and (place := head.find(ASF_FILE_PROPERTIES)) > 0:
        return int(struct.unpack_from("<Q", head, place + 40)[0])
    if head[:4] == b"OggS":
        return _end_of_ogg(file, size)
    for length, offset in TS_PACKETS:
        if len(head) > 4 * length and all(head[offset + length * number] == 0x47 for number in range(4)):
            return None if size % length == 0 else CUT_SHORT
    return None


def _chunks(file: BinaryIO, place: int, header: str) -> Iterator[tuple[bytes, int]]:
    """Name and end of each chunk, from `place` on; a size that is not known ends them."""
    length = struct.calcsize(header)
    while True:
        file.seek(place)
        raw = file.read(length)
        if len(raw) < length:
            return
        name, size = struct.unpack(header, raw)
        if size <= 0 or (size >= UNKNOWN_SIZE and header[-1] == "I"):
            return
        place += length + size
        yield name, place
        place += place % 2 if header[-1] == "I" else 0


def _end_of(chunks: Iterator[tuple[bytes, int]], names: tuple[bytes, ...]) -> int | None:
    """The end of the last chunk of these names."""
    return max((end for name, end in chunks if name in names), default=None)


def _end_of_ogg(file: BinaryIO, size: int) -> float | None:
    """The end of the last page, by its own table of segments."""
    start = max(0, size - 2 * OGG_PAGE)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(b"OggS\0")
    if place < 0:
        return None
    table = tail[place + 27 : place + 27 + tail[place + 26]] if place + 27 <= len(tail) else b""
    cut = place + 27 > len(tail) or len(table) < tail[place + 26]
    end = start + place + 27 + len(table) + sum(table)
    return CUT_SHORT if cut or end > size else None

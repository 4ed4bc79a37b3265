"""The sound of a recording as blocks of samples, each at its place on the recording's clock.

Sound that was lost while it was recorded or streamed leaves a hole between two time stamps. Blocks behind it
keep their time: counting samples alone would move them, and all later words and pictures would not fit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Generator, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.errors import ClipError
from featzoo.media.completeness import Declared, declared_seconds
from featzoo.media.container import one_clock, opened, origin, packets_of, stream_of
from featzoo.media.samples import joined
from featzoo.sequence import Array

# Time stamps are rounded (Matroska: to 1 ms) and those of live recordings jitter by some ms. The shortest packets that
# are usually lost hold 20 ms (Opus).
HOLE_SECONDS = 0.015
# Sound that comes this much too early, by its time stamps, is cut at its start; ffmpeg's aresample does the same.
OVERLAP_SECONDS = 0.1
# Frames are joined to blocks of this length.
BLOCK_SECONDS = 0.5
# Sound kept behind a pass, so that the next segment may overlap this one.
KEPT_SECONDS = 30.0
# Passes that stay open for the next segment of their recordings.
OPEN_PASSES = 4
# Blocks that are looked at before a late time stamp counts: in MPEG program streams single stamps are a packet late.
LOOK_AHEAD = 4
# Containers whose packets carry time stamps. In the others a time is no more than a count of bytes or packets.
CLOCKED = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "mpeg", "flv", "asf", "ogg", "nut", "mxf"}
# Containers and codecs in which every sample is found from its number: a pass may start anywhere in them.
DIRECT = {"wav", "aiff", "caf", "au", "w64"}


class Block(NamedTuple):
    """Decoded sound: `samples` (C, n) float32 of some frames, the first of which is sample `at` of the recording."""

    at: int
    samples: Array
    frames: int

    @property
    def end(self) -> int:
        """The sample after the last."""
        return self.at + int(self.samples.shape[1])


class Pass:
    """One pass over a recording's sound, forward from its start.

    Decoders have a state: one that starts in the middle gives other samples for a while, and in some codecs
    (noise substitution in AAC, dither in AC-3) for ever. So segments are read by passing over the recording, and
    a pass stays open for the segment that follows.

    Args:
        path: The recording.
        start: Seconds before which nothing is wanted; uncompressed sound is sought there.

    Attributes:
        rate: Hz; 0 where there is no sound.
        declared: Seconds that the header declares for the file, if it does.
        own: How long the header says that the sound is, if it does.
        layout: FFmpeg's layout of the channels.
        holes: Place and length, in samples, of the silences put in so far.
        lost: Places of packets that could not be decoded.
        ended: Whether all has been decoded.
        end: The sample after the last one decoded.

    Raises:
        ClipError: If there is no sound that can be decoded.
    """

    def __init__(self, path: Path, start: float = 0.0) -> None:
        self._path, self._start = path, start
        self.rate, self.layout = 0, None
        self.declared: float | None = None
        self.own: Declared | None = None
        self.holes: list[tuple[int, int]] = []
        self.lost: list[int] = []
        self.ended, self.end = False, 0
        self._kind: tuple[str, int, int] | None = None
        self._direct = False
        self._blocks = self._decode()
        self._kept: deque[Block] = deque()
        self._forgotten: int | None = None
        self._advance()

    def reaches_back(self, first: int) -> bool:
        """Whether sample `first` lies ahead, or is still kept."""
        return self._forgotten is None or first >= self._forgotten

    def is_near(self, first: int) -> bool:
        """Whether to read on from here for sample `first`, and not to start anew."""
        return self.reaches_back(first) and (not self._direct or first < self.end + KEPT_SECONDS * self.rate)

    def blocks(self, first: int) -> Iterator[Block]:
        """The blocks that end after sample `first`, in order; what lies before it is dropped."""
        while self._kept and self._kept[0].end <= first:
            self._forgotten = self._kept.popleft().end
        yield from tuple(self._kept)
        while (block := self._advance()) is not None:
            if block.end > first:
                yield block

    def close(self) -> None:
        """Close the file."""
        self._blocks.close()

    def _advance(self) -> Block | None:
        block = next(self._blocks, None)
        if block is None:
            self.ended = True
            return None
        self.end = block.end
        self._kept.append(block)
        while self._kept[0].end < block.at - KEPT_SECONDS * self.rate:
            self._forgotten = self._kept.popleft().end
        return block

    def _decode(self) -> Generator[Block, None, None]:
        pieces: list[tuple[Any, int]] = []
        first, end = 0, 0
        for at, frame, skipped in self._placed():
            if pieces and (at != end or end - first >= BLOCK_SECONDS * self.rate):
                yield Block(first, joined(pieces), len(pieces))
                pieces = []
            first = first if pieces else at
            pieces.append((frame, skipped))
            end = at + frame.samples - skipped
        if pieces:
            yield Block(first, joined(pieces), len(pieces))

    def _placed(self) -> Iterator[tuple[int, Any, int]]:
        """Where each frame starts, in samples of the recording; the frame; and how many of its samples to skip."""
        ahead: deque[tuple[int | None, Any]] = deque()
        due: int | None = None
        for stamped in chain(self._stamped(), repeat(None, LOOK_AHEAD)):
            if stamped is not None:
                ahead.append(stamped)
            if ahead and (stamped is None or len(ahead) > LOOK_AHEAD):
                due, skipped = self._place(ahead, due)
                _, frame = ahead.popleft()
                if frame.samples > skipped:
                    yield due, frame, skipped
                due += frame.samples - skipped

    def _stamped(self) -> Iterator[tuple[int | None, Any]]:
        """The decoded frames with their time stamps in samples; None where the file has no clock."""
        with opened(self._path) as container:
            stream = stream_of(container, "audio", self._path)
            zero, clocked = origin(container), container.format.name in CLOCKED
            self.declared = container.duration / 1_000_000 if container.duration else None
            self.own = declared_seconds(stream, container)
            self._direct = container.format.name in DIRECT and stream.codec_context.name.startswith("pcm_")
            sought = self._direct and self._start > 0
            if sought:
                container.seek(int((self._start + zero) / stream.time_base), stream=stream)
            for frame in self._frames(container, stream):
                if self._check(frame) and frame.time is not None:
                    # Delays of codecs make the start of a file with sound alone differ from its first sample.
                    zero = zero if container.streams.video or sought else frame.time
                    first = round((frame.time - zero) * self.rate)
                    self._forgotten = first if sought else None
                    yield first, frame
                else:
                    stamped = clocked and frame.time is not None
                    yield round((frame.time - zero) * self.rate) if stamped else None, frame

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:
        import av

        packets = packets_of(container, stream, self._path)
        for packet in one_clock(packets, self._path) if container.format.name in CLOCKED else packets:
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                self.lost.append(self.end)
        yield from stream.decode(None)

    def _place(self, ahead: deque[tuple[int | None, Any]], due: int | None) -> tuple[int, int]:
        """Where the next frame belongs, after the one that ended at `due` or after a hole, and what to skip of it."""
        stamp, frame = ahead[0]
        if due is None:
            due = stamp or 0
        if stamp is not None:
            late = self._lateness(ahead, due)
            if late > HOLE_SECONDS * self.rate:
                self.holes.append((due, late))
                return due + late, 0
            if -late > OVERLAP_SECONDS * self.rate:
                return due, min(-late, frame.samples)
        return due, 0

    def _lateness(self, ahead: deque[tuple[int | None, Any]], due: int) -> int:
        """Samples by which the next frames come later than `due`; a single late stamp is not a hole."""
        delays = []
        for stamp, frame in ahead:
            if stamp is not None:
                delays.append(stamp - due)
            due += frame.samples
        return min(delays) if delays[0] > 0 else delays[0]

    def _check(self, frame: Any) -> bool:
        """Whether this is the first frame. One sample format, number of channels and rate for the whole recording.

        Raises:
            ClipError: With reason `damaged`, if they change.
        """
        kind = frame.format.name, frame.layout.nb_channels, frame.sample_rate
        first = self._kind is None
        if first:
            self._kind, self.rate, self.layout = kind, frame.sample_rate, frame.layout
        if kind != self._kind:
            raise ClipError("damaged", f"the sound of {self._path.name} changes from {self._kind} to {kind}")
        return first


class _OpenPasses:
    """Passes that wait for the next segment of their recording; nobody else has them meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passes: OrderedDict[tuple[Path, int, int], Pass] = OrderedDict()

    def take(self, path: Path, start: float) -> Pass:
        """A pass from which the sound after `start` seconds can be read."""
        with self._lock:
            found = self._passes.pop(_stamp(path), None)
        if found is not None and found.is_near(round(start * found.rate)):
            return found
        if found is not None:
            found.close()
        made = Pass(path, start)
        if made.reaches_back(round(start * made.rate)):
            return made
        made.close()  # the container sought past the place
        return Pass(path)

    def give_back(self, path: Path, used: Pass) -> None:
        """Keep a pass for the next segment."""
        with self._lock:
            self._passes[_stamp(path)] = used
            dropped = self._passes.popitem(last=False)[1] if len(self._passes) > OPEN_PASSES else None
        if dropped is not None:
            dropped.close()


open_passes = _OpenPasses()


def _stamp(path: Path) -> tuple[Path, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise ClipError("not-found", f"no file {path}") from error
    return path, status.st_mtime_ns, status.st_size

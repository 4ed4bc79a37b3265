"""The decoding of the frames of a clip that are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.media.container import opened, packets_of, stream_of
from featzoo.media.video import PROGRESSIVE, FrameIndex, decoded
from featzoo.sequence import Array

# Codecs whose packets say truly whether other frames need them.
SKIPPING = ("h264", "mpeg4")
# Frames that a jump must save: it costs a flush of the decoder, which has frames under way.
JUMP = 16
# A frame that does not come after a jump is tried from 1, 2, 4 ... key frames earlier, this often.
RETRIES = 5
# After this many retries in one pass, the rest is decoded without jumps.
PATIENCE = 20
# Containers without an index: a search in them lands somewhere near, and may give the first packets wrong times.
SEARCHED = ("mpeg", "mpegts")
# Frames before a key frame at which such a search is aimed.
MARGIN = 8
# Before and after all time stamps.
START, END = -(1 << 63), (1 << 63) - 1


def decode_frames(path: Path, index: FrameIndex, wanted: Array) -> Iterator[tuple[int, Any | None]]:
    """Decode the frames whose numbers are in `wanted` (ascending, distinct).

    Runs forward, and jumps to a key frame where many frames between are not wanted.

    Yields:
        The frame's number and its `av.VideoFrame`, which has exactly the time stamp of that number; None
        in its place if it is damaged. Numbers of packets that turn out to show nothing are left out.
    """
    with ExitStack() as files:
        decoding = _Pass(files, path, index, wanted)
        for number, target, key in decoding.targets():
            frame = decoding.frame(target, key)
            if frame is not None and not frame.is_corrupt:
                yield number, frame
            elif frame is not None or decoding.failed:
                yield number, None


class _Pass:
    """A decoder's way through a recording: forward, and by jumps to key frames."""

    def __init__(self, files: ExitStack, path: Path, index: FrameIndex, wanted: Array) -> None:
        self.failed: list[Exception] = []
        self._files, self._path, self._index, self._wanted = files, path, index, wanted
        self._needed = set(index.pts[wanted].tolist())
        # Python's integers: NumPy's took twice as long for each frame.
        self._key_list: list[int] = index.keys.tolist()
        self._keys = dict(zip(self._key_list, index.sizes.tolist(), strict=True))
        # Frames decoded ahead in threads are lost at each jump.
        self._threads = "SLICE" if 2 * _jumps(index, wanted) >= len(wanted) else "AUTO"
        self._retries = 0
        self._open()

    def _open(self) -> None:
        """Start at the beginning of the recording."""
        self._files.close()
        self._container = self._opened()
        self._stream = stream_of(self._container, "video", self._path)
        self._stream.thread_type = self._threads
        self._run(packets_of(self._container, self._stream, self._path), None)

    def _opened(self) -> Any:
        """The recording; without probing where each frame is a key frame, for which that is a third of the work."""
        ordered = self._index.described and np.array_equal(self._index.keys, self._index.pts)
        return self._files.enter_context(opened(self._path, rate=False, order=not ordered))

    def _run(self, packets: Iterator[Any], key: int | None) -> None:
        """Decode from here. `key`: the number of the key frame; None is the beginning of the recording."""
        self._began, self._count = key, 0
        self._frame, self._stamp = None, START
        self._frames = decoded(self._lightened(packets), self._stream, self.failed)

    def targets(self) -> Iterator[tuple[int, int, int]]:
        """The number of each wanted frame, its time stamp, and the number of the key frame at or before it."""
        stamps = self._index.pts[self._wanted]
        keys = np.searchsorted(self._index.keys, stamps, side="right") - 1
        return zip(self._wanted.tolist(), stamps.tolist(), keys.tolist(), strict=True)

    def frame(self, target: int, key: int) -> Any | None:
        """The frame of a time stamp, which is not lower than the one before; None if it does not come.

        Args:
            target: Its time stamp.
            key: The number of the key frame at or before it.
        """
        if key > 0 and self._retries < PATIENCE and self._saved(key) > JUMP:
            self._jump(key, target)
        found = self._forward(target)
        back = 1
        # Some decoders need several key frames before the pictures are whole again.
        while self._began is not None and back < 1 << RETRIES and (found is None or found.is_corrupt):
            self._retries += 1
            self._jump(self._began - back, target)
            found, back = self._forward(target), 2 * back
        return found

    def _saved(self, key: int) -> float:
        """About how many frames a jump to a key frame leaves out."""
        keys = self._key_list
        return (keys[key] - max(self._stamp, keys[0])) / self._index.step

    def _forward(self, target: int) -> Any | None:
        while self._stamp < target:
            self._frame = next(self._frames, None)
            self._stamp = END if self._frame is None else self._identity(self._frame)
        return self._frame if self._stamp == target else None

    def _identity(self, frame: Any) -> int:
        """What the index knows a frame by."""
        self._count += 1
        if self._index.counted:
            return self._count - 1
        return self._stamp if frame.pts is None else int(frame.pts)

    def _jump(self, key: int, target: int) -> None:
        """Go on at a key frame, or at an earlier one where the container lands later than the target."""
        from av.error import FFmpegError

        back = 1
        margin = MARGIN * self._index.step if self._container.format.name in SEARCHED else 0
        while key > 0:
            try:
                self._container.seek(self._key_list[key] - margin, stream=self._stream)
            except FFmpegError:  # a bare stream has no index to seek by
                break
            packets = packets_of(self._container, self._stream, self._path)
            # The search lands before the key frame: what lies between is not decoded.
            first = next((p for p in packets if self._is_key(p) and p.pts >= self._key_list[key]), None)
            if first is not None and first.pts <= target:
                self._run(chain([first], packets), key)
                return
            key, back = key - back, 2 * back
        self._open()

    def _is_key(self, packet: Any) -> bool:
        """Whether it is one of the key frames of the index. The size tells if its time is right."""
        return bool(packet.is_keyframe and packet.size == self._keys.get(packet.pts))

    def _lightened(self, packets: Iterator[Any]) -> Iterator[Any]:
        """The packets; those that neither the caller nor other frames need are told to the decoder."""
        context, index = self._stream.codec_context, self._index
        light = context.name in SKIPPING and context.field_order in PROGRESSIVE and not index.counted
        if not light or len(self._needed) == len(index.pts):
            yield from packets
            return
        skipping = None
        for packet in packets:
            unneeded = packet.pts is not None and packet.pts not in self._needed
            if unneeded is not skipping:
                context.skip_frame, skipping = "NONREF" if unneeded else "DEFAULT", unneeded
            yield packet


def _jumps(index: FrameIndex, wanted: Array) -> int:
    """About how many jumps the way to the wanted frames takes."""
    keys = np.searchsorted(index.keys, index.pts[wanted], side="right")
    far = np.diff(index.pts[wanted]) > JUMP * index.step
    return int((far & (np.diff(keys) > 0)).sum())

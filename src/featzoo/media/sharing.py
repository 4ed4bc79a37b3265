"""The extractors of a clip share its media: the sound is decoded once, the pictures in one pass for all."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from featzoo.errors import ClipError
from featzoo.media.audio import Audio
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip, Decoder
from featzoo.media.frame_decoding import decode_frames
from featzoo.media.video import FrameIndex
from featzoo.sequence import Array

T = TypeVar("T")


class SharedClip:
    """A clip's media, decoded once for all its extractors.

    Each extractor gets a `Seat`. Those that read frames, `readers` of them, run in a thread each: the
    one pass over the frames starts when each has asked for its frames or has left its seat.
    """

    def __init__(self, readers: int, decoder: Decoder = Decoder()) -> None:  # noqa: B008  (it is immutable)
        self.max_damage = decoder.max_damage
        self._readers, self._decoder = readers, decoder
        self._lock = threading.Lock()
        self._sounds: dict[Channel | Literal["all"], Audio | ClipError] = {}
        self._index: FrameIndex | ClipError | None = None
        self._frames: SharedFrames | None = None

    def sound(self, clip: Clip, channel: Channel | Literal["all"]) -> Audio:
        """The clip's decoded sound, at its own rate; once for each choice of channels."""
        with self._lock:
            if channel not in self._sounds:
                self._sounds[channel] = _result(lambda clip: self._decoder.sound(clip, channel), clip)
            found = self._sounds[channel]
        return _given(found)

    def index(self, clip: Clip) -> FrameIndex:
        """When the clip's frames are shown."""
        with self._lock:
            if self._index is None:
                self._index = _result(self._decoder.index, clip)
        return _given(self._index)

    def frames(self, clip: Clip) -> SharedFrames | None:
        """The pass over the frames that all readers share; None if there is only one reader."""
        if self._readers < 2:
            return None
        index = self.index(clip)
        with self._lock:
            if self._frames is None:
                self._frames = SharedFrames(clip.file, index, self._readers)
            return self._frames

    def leave(self) -> None:
        """Say that one reader will not ask for frames."""
        with self._lock:
            if self._frames is None:
                self._readers -= 1
                return
        self._frames.leave()


class Seat:
    """One extractor's access to a shared clip: the `source` of that extractor's `Clip`.

    Args:
        shared: The clip's shared media.
        reader: Whether it counts among the readers of the shared pass. One that does not decodes its
            frames alone, and the others do not wait for it.
    """

    def __init__(self, shared: SharedClip, reader: bool = True) -> None:
        self._shared = shared
        self._asked = not reader
        self._reader: Reader | None = None

    @property
    def max_damage(self) -> float:
        """Largest share of damaged frames."""
        return self._shared.max_damage

    def sound(self, clip: Clip, channel: Channel | Literal["all"]) -> Audio:
        """The clip's sound, at its own rate."""
        return self._shared.sound(clip, channel)

    def index(self, clip: Clip) -> FrameIndex:
        """When the clip's frames are shown."""
        return self._shared.index(clip)

    def pictures(self, clip: Clip, index: FrameIndex, wanted: Array) -> Iterator[tuple[int, Any | None]]:
        """The frames numbered `wanted`, from the shared pass; a second call decodes alone."""
        together = None if self._asked else self._shared.frames(clip)
        if together is None:
            return decode_frames(clip.file, index, wanted)
        self._asked = True
        self._reader = together.ask(wanted)
        return self._reader.frames()

    def leave(self) -> None:
        """The extractor has ended, even if it left its frames half read."""
        if self._reader is not None:
            self._reader.closed.set()
        elif not self._asked:
            self._asked = True
            self._shared.leave()


class SharedFrames:
    """One decoding pass over a clip's pictures for several readers, each in a thread of its own.

    The pass starts when each of the `readers` has asked for its frames or has left. Queues are short,
    so memory stays bounded however long the clip is, and the slowest reader sets the pace.
    """

    DEPTH = 8

    def __init__(self, path: Path, index: FrameIndex, readers: int) -> None:
        self._path, self._index = path, index
        self._awaited = readers
        self._asked: list[Reader] = []
        self._change = threading.Condition()

    def ask(self, wanted: Any) -> Reader:
        """Where one reader gets its frames. One call for each reader."""
        reader = Reader(set(map(int, wanted)))
        with self._change:
            self._asked.append(reader)
        self._arrive()
        return reader

    def leave(self) -> None:
        """Say that one reader will not ask."""
        self._arrive()

    def _arrive(self) -> None:
        with self._change:
            self._awaited -= 1
            if self._awaited == 0 and self._asked:
                threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        ending: Exception | None = None
        try:
            wanted = np.array(sorted(set().union(*(reader.wanted for reader in self._asked))), dtype=np.int64)
            for number, frame in decode_frames(self._path, self._index, wanted):
                for reader in self._asked:
                    if number in reader.wanted:
                        reader.give((number, frame))
                if all(reader.closed.is_set() for reader in self._asked):
                    break
        except Exception as error:  # noqa: BLE001  (handed to every reader, which raises it in its own thread)
            ending = error
        for reader in self._asked:
            reader.give(ending)


class Reader:
    """A short queue of frames; None or an exception ends it. Others do not wait for one that is `closed`."""

    def __init__(self, wanted: set[int]) -> None:
        self.wanted = wanted
        self.closed = threading.Event()
        self._queue: queue.Queue[tuple[int, Any | None] | Exception | None] = queue.Queue(SharedFrames.DEPTH)

    def give(self, item: tuple[int, Any | None] | Exception | None) -> None:
        """Wait until there is room for one more, or nobody reads on."""
        while not self.closed.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def frames(self) -> Iterator[tuple[int, Any | None]]:
        """Frames by number, as `decode_frames` gives them."""
        try:
            while True:
                item = self._queue.get()
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed.set()


def _result(decode: Callable[[Clip], T], clip: Clip) -> T | ClipError:
    try:
        return decode(clip)
    except ClipError as error:
        return error


def _given(result: T | ClipError) -> T:
    if isinstance(result, ClipError):
        # Each extractor raises its own: threads must not share a traceback.
        raise ClipError(result.reason, str(result), result.retry)
    return result

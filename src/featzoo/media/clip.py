"""Clip: what gets one label, and what its extractors share while it is open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from featzoo.errors import ClipError
from featzoo.media import container as media
from featzoo.media.sharing import Reader, SharedFrames
from featzoo.media.transcripts import SUFFIXES, Word
from featzoo.media.video import Frame, FrameIndex, decode_frames, index_frames, picture, scaler
from featzoo.sequence import Array

T = TypeVar("T")


@dataclass(frozen=True)
class Clip:
    """A recording, or a segment of one, with what is known of it.

    Attributes:
        id: Its name in stores and tables; from a folder, the path relative to it.
        path: Its media file; None for a text without media.
        start: Where it starts in the recording, seconds.
        end: Where it ends, seconds; None is the recording's end.
        words: Its transcript; times are from the clip's start.
        split: `train`, `valid` or `test`, if the data set says.
        labels: Its numeric labels by name.
        problem: Why its transcript could not be read, else empty.
    """

    id: str
    path: Path | None = None
    start: float = 0.0
    end: float | None = None
    words: tuple[Word, ...] = ()
    split: str | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    seat: Seat | None = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The words as one string."""
        return " ".join(word.text for word in self.words)

    @property
    def file(self) -> Path:
        """The media file.

        Raises:
            ClipError: With reason `no-media`, if the clip is text alone.
        """
        if self.path is None:
            raise ClipError("no-media", f"{self.id} has no media file")
        return self.path

    def spoken(self) -> tuple[Word, ...]:
        """The words, of which there is at least one.

        Raises:
            ClipError: With reason `bad-transcript` or `no-words`.
        """
        if self.problem:
            raise ClipError("bad-transcript", self.problem)
        if not self.words:
            raise ClipError(
                "no-words",
                f"{self.id} has no transcript: put one beside it ({', '.join(SUFFIXES)}) or name a 'text' "
                "column in a manifest",
            )
        return self.words

    def audio(self, rate: int | None = None, mono: bool = True) -> media.Audio:
        """The clip's sound, (C, N) float32; C is 1 if `mono`, the average of all channels.

        Raises:
            ClipError: If it has no sound that can be decoded.
        """
        sound = self.seat.shared.sound(self) if self.seat else self._sound()
        if mono and len(sound.samples) > 1:
            sound = media.Audio(sound.samples.mean(axis=0, keepdims=True), sound.rate)
        return sound if rate is None else media.resample(sound, rate)

    def _sound(self) -> media.Audio:
        return media.decode_audio(self.file, self.start, self.end)

    def frames(
        self,
        *,
        count: int | None = None,
        rate: float | None = None,
        step: int = 1,
        size: tuple[int, int] | None = None,
        grey: bool = False,
    ) -> Iterator[Frame]:
        """The clip's frames: all, `count` uniformly spread, at most `rate` a second, or every `step`-th.

        Args:
            count: Number of frames; each stands for an equal part of the clip.
            rate: Frames per second.
            step: Where neither count nor rate is given, the distance between frames taken, in frames.
            size: (height, width) to cover and cut at the centre; the video's own if None.
            grey: Grey (H, W) in place of RGB (H, W, 3).

        Raises:
            ClipError: If it has no pictures that can be decoded.
        """
        index = self.seat.shared.index(self) if self.seat else self._index()
        if count is not None:
            chosen = index.spread(count)
        else:
            chosen = index.sampled(rate) if rate is not None else np.arange(0, len(index.pts), step)
        wanted = np.unique(chosen)
        decoded = self.seat.decode(self, index, wanted) if self.seat else decode_frames(self.file, index, wanted)
        copies = dict(zip(*map(np.ndarray.tolist, np.unique(chosen, return_counts=True)), strict=True))
        height, width = size or (None, None)
        scale = scaler()
        for number, frame in decoded:
            image = picture(scale, frame, height, width, grey)
            for _ in range(copies[number]):
                yield Frame(image, float(index.start[number]), float(index.end[number]))

    def _index(self) -> FrameIndex:
        return index_frames(self.file, self.start, self.end)


class Shared:
    """What the extractors of one clip share, so that each medium is decoded once.

    Each of the `readers` that may ask for frames takes a `seat`, runs in a thread of its own, and
    leaves its seat when it ends.
    """

    def __init__(self, readers: int) -> None:
        self._readers = readers
        self._lock = threading.Lock()
        self._sound: media.Audio | ClipError | None = None
        self._index: FrameIndex | ClipError | None = None
        self._frames: SharedFrames | None = None

    def sound(self, clip: Clip) -> media.Audio:
        """The clip's decoded sound, at its own rate with all channels."""
        with self._lock:
            if self._sound is None:
                self._sound = _kept(clip._sound)
        return _given(self._sound)

    def index(self, clip: Clip) -> FrameIndex:
        """When the clip's frames are shown."""
        with self._lock:
            if self._index is None:
                self._index = _kept(clip._index)
        return _given(self._index)

    def frames(self, clip: Clip) -> SharedFrames | None:
        """The pass over the frames that all readers share; None where one reads alone."""
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
    """One extractor's share in a clip."""

    def __init__(self, shared: Shared, views: bool = True) -> None:
        self.shared = shared
        # One that is not counted among the readers decodes alone: the others do not wait for it.
        self._asked = not views
        self._reader: Reader | None = None

    def decode(self, clip: Clip, index: FrameIndex, wanted: Array) -> Iterator[tuple[int, Any]]:
        """The frames whose numbers are `wanted`, from the shared pass; a second call decodes alone."""
        together = None if self._asked else self.shared.frames(clip)
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
            self.shared.leave()


def _kept(read: Callable[[], T]) -> T | ClipError:
    try:
        return read()
    except ClipError as error:
        return error


def _given(kept: T | ClipError) -> T:
    if isinstance(kept, ClipError):
        raise ClipError(kept.reason, str(kept))
    return kept

"""Clip: a recording or a segment of one, with its words and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from featzoo.errors import ClipError
from featzoo.media.audio import Audio, decode_audio, resample
from featzoo.media.channels import Channel
from featzoo.media.frame_decoding import decode_frames
from featzoo.media.picture import Converter, Frame
from featzoo.media.transcripts import SUFFIXES, Word
from featzoo.media.video import FrameIndex, index_frames
from featzoo.sequence import Array


class Source(Protocol):
    """What decodes a clip's media: the clip's own decoder, or a seat at a shared one.

    Attributes:
        max_damage: Largest share of damaged frames; a clip with more fails.
    """

    @property
    def max_damage(self) -> float:
        """Largest share of damaged frames."""

    def sound(self, clip: Clip, channel: Channel | Literal["all"]) -> Audio:
        """The clip's sound, at its own rate."""

    def index(self, clip: Clip) -> FrameIndex:
        """When the clip's frames are shown."""

    def pictures(self, clip: Clip, index: FrameIndex, wanted: Array) -> Iterator[tuple[int, Any | None]]:
        """The frames numbered `wanted`, as `decode_frames` yields them."""


@dataclass(frozen=True)
class Decoder:
    """Decodes anew at each call.

    Attributes:
        max_damage: Largest share of damaged frames; a clip with more fails.
    """

    max_damage: float = 0.1

    def sound(self, clip: Clip, channel: Channel | Literal["all"]) -> Audio:
        """The clip's sound, at its own rate."""
        return decode_audio(clip.file, clip.start, clip.end, channel)

    def index(self, clip: Clip) -> FrameIndex:
        """When the clip's frames are shown."""
        return index_frames(clip.file, clip.start, clip.end)

    def pictures(self, clip: Clip, index: FrameIndex, wanted: Array) -> Iterator[tuple[int, Any | None]]:
        """The frames numbered `wanted`, as `decode_frames` yields them."""
        return decode_frames(clip.file, index, wanted)


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
        categories: Its labels that are names: `{"emotion": "anger", "speaker": "03"}`; "" where there is none.
        problem: Why its transcript could not be read, else empty.
        remarks: What was left out or put right in its transcript and labels, each `kind: detail`.
        files: SHA-256 of files beside the media, by suffix; of those that an extractor has read.
        source: What decodes it.
        notes: What a user should know of how it was decoded, by kind: `{"sound-gap": "1.20 s of sound ..."}`. Decoding
            and extractors add to it; the store keeps it beside the features, and `feat extract` counts the kinds.
    """

    id: str
    path: Path | None = None
    start: float = 0.0
    end: float | None = None
    words: tuple[Word, ...] = ()
    split: str | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    remarks: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    source: Source = field(default=Decoder(), repr=False, compare=False)
    notes: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

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

    def beside(self, suffix: str) -> Path:
        """The file beside the media with this suffix: `clip.physio.csv` or `clip.mp4.physio.csv` for `.physio.csv`.

        Raises:
            ClipError: With reason `no-file`, if there is none.
        """
        place = file_beside(self.file, suffix)
        if place is None:
            name = f"{self.file.stem}{suffix}"
            raise ClipError("no-file", f"{self.id} has no file {name} beside it")
        return place

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

    def audio(self, rate: int | None = None, channel: Channel | Literal["all"] = "mix") -> Audio:
        """The clip's sound, (1, N) float32.

        Args:
            rate: Resample to this rate in Hz; None keeps the recording's own.
            channel: The `mix` of all channels as ffmpeg mixes them (stereo: their mean), the `first`, the number of a
                channel from 1, or `all`, which gives (C, N).

        Raises:
            ClipError: If it has no sound that can be decoded, or no such channel.
        """
        sound = self.source.sound(self, channel)
        self.notes.update(sound.notes)
        return sound if rate is None else resample(sound, rate)

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

        Each stands for the time until the next one, and for its part of the clip if `count` is given.
        For a damaged frame, the nearest one in that time is given, if there is one; the damage is noted.

        Args:
            count: Number of frames, at the middles of equal parts; they repeat in a clip of fewer.
            rate: Frames per second.
            step: Where neither count nor rate is given, the distance between frames taken, in frames.
            size: (height, width) to cover and cut at the centre; the video's own if None.
            grey: Grey (H, W) in place of RGB (H, W, 3).

        Raises:
            ClipError: If it has no pictures that can be decoded, or too many of them are damaged.
        """
        index = self.source.index(self)
        times = _choose(index, count, rate, step)
        converter, given = Converter(size, grey, index.aspect), 0
        damaged: set[int] | None = None
        for number, frame in self.source.pictures(self, index, np.array(list(times))):
            parts = times[number]
            if frame is None:
                damaged = self._damaged(index) if damaged is None else damaged
                number, frame = self._instead_of(number, index, damaged, parts[0, 0], parts[-1, 1])
            if frame is not None:
                image = converter.image(frame)
                for start, end in parts.tolist():
                    yield Frame(image, start, end, float(index.start[number]))
                given += 1
        if not given:
            raise ClipError("damaged", f"none of the {len(times)} frames looked at in {self.file.name} can be decoded")

    def _damaged(self, index: FrameIndex) -> set[int]:
        """The numbers of the clip's damaged frames, whose share is noted.

        Raises:
            ClipError: With reason `damaged`, if they are too many.
        """
        every = np.arange(len(index.pts))
        damaged = {number for number, frame in decode_frames(self.file, index, every) if frame is None}
        share, limit = len(damaged) / len(every), self.source.max_damage
        account = f"{len(damaged)} of {len(every)} frames ({share:.1%}) are damaged"
        if share > limit:
            raise ClipError("damaged", f"{self.file.name}: {account}, more than the limit of {limit:.0%}")
        self.notes["damaged-frames"] = account
        return damaged

    def _instead_of(
        self, number: int, index: FrameIndex, damaged: set[int], start: float, end: float
    ) -> tuple[int, Any | None]:
        """The undamaged frame nearest to a damaged one, among those shown in the time it stands for."""
        shown = np.flatnonzero((index.end > start) & (index.start < end)).tolist()
        near = sorted(set(shown) - damaged - {number}, key=lambda other: abs(other - number))
        return next(decode_frames(self.file, index, np.array(near[:1])), (number, None)) if near else (number, None)


def _choose(index: FrameIndex, count: int | None, rate: float | None, step: int) -> dict[int, Array]:
    """The numbers of the frames to decode, in order, each with the times that it stands for, (n, 2) seconds."""
    if count is not None:
        chosen, spans = index.spread(count), index.parts(count)
    else:
        chosen = index.sampled(rate) if rate is not None else np.arange(0, len(index.pts), step)
        spans = index.spans(chosen, rate)
    numbers, first, copies = np.unique(chosen, return_index=True, return_counts=True)
    rows = zip(*map(np.ndarray.tolist, (numbers, first, copies)), strict=True)
    return {number: spans[at : at + n] for number, at, n in rows}


def file_beside(media_file: Path, suffix: str) -> Path | None:
    """The file with this suffix beside a media file, None if there is none."""
    places = (media_file.with_name(name + suffix) for name in (media_file.name, media_file.stem))
    return next((place for place in places if place.is_file()), None)

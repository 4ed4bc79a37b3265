"""The sound of one clip: placed by its time stamps, cut to the clip, its channels mixed.

Times are in seconds from the clip's start. The clip's time 0 is `start` of its recording, counted from
the container's own start time, so that sound and pictures share one clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np

from featzoo.errors import ClipError
from featzoo.media.blocks import Block, Pass, open_passes
from featzoo.media.channels import Channel, weights_of
from featzoo.media.completeness import (
    COMPLETE_SHARE,
    MISSING_SECONDS_OF_FILE,
    declared_seconds,
    refuse_cut_file,
    refuse_truncated,
)
from featzoo.media.container import opened, stream_of
from featzoo.sequence import Array

# A share of undecodable packets above which a clip is refused.
MOST_LOST = 0.1
# Mixed channels that keep less than this share of the channels' power cancel each other.
CANCELLING = 0.1
# A segment that is short by more than this is noted.
SHORT_SECONDS = 0.1
# Samples that a buffer starts with at most, whatever the file declares.
FIRST_SECONDS = 3 * 3600.0


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound.

    Attributes:
        samples: (C, N) float32; full scale is [-1, 1], floating-point recordings may exceed it.
        rate: Hz.
        notes: What a user should know of how it was decoded, by kind: `sound-gap`, `sound-damaged`, `silent`,
            `cancelling`, `short`.
    """

    samples: Array
    rate: int
    notes: Mapping[str, str] = field(default_factory=dict)


def decode_audio(
    path: Path, start: float = 0.0, end: float | None = None, channel: Channel | Literal["all"] = "all"
) -> Audio:
    """A clip's sound at its own rate. A segment is the cut of the whole, to the sample.

    Holes in the time stamps are filled with silence, as is the time before sound that starts late.

    Args:
        path: The recording.
        start: Of the clip, seconds.
        end: Of the clip, seconds; None is the recording's end.
        channel: `all`, the `mix` of all (see `channels.weights_of`), the `first`, or a number from 1.

    Raises:
        ClipError: If there is none, or it cannot be decoded to its declared end.
    """
    whole = start <= 0 and end is None
    if end is None:
        refuse_cut_file(path)
    reading = Pass(path) if whole else open_passes.take(path, start)
    if not reading.rate:
        _refuse_empty(path, start, end)
    cut = _Cut(path, reading, start, end, channel)
    cut.read()
    if not cut.length:
        _refuse_empty(path, start, end)
    notes = cut.notes()
    if end is None:
        refuse_truncated(path, reading.end / reading.rate, reading.own)
    elif reading.ended and end - reading.end / reading.rate > SHORT_SECONDS:
        notes["short"] = _short(path, start, end, reading.end / reading.rate)
    cut.refuse_damaged()
    if not whole:
        open_passes.give_back(path, reading)
    return Audio(cut.samples(), reading.rate, notes)


def _refuse_empty(path: Path, start: float, end: float | None) -> NoReturn:
    with opened(path) as container:
        declared = declared_seconds(stream_of(container, "audio", path), container)
    if declared is not None and start < declared.seconds:
        refuse_truncated(path, 0.0, declared)
    until = f"and {end:g} s" if end is not None else "s and its end"
    raise ClipError("empty", f"{path.name} has no sound between {start:g} {until}")


def _short(path: Path, start: float, end: float, seconds: float) -> str:
    """A note on a segment whose sound ends, at `seconds`, before the segment does.

    Raises:
        ClipError: With reason `truncated`, if much of the segment lies after the recording's end.
    """
    with opened(path) as container:
        recording = max(seconds, (container.duration or 0) / 1_000_000)  # pictures may go on
    if recording - start < COMPLETE_SHARE * (end - start) and end - recording > MISSING_SECONDS_OF_FILE:
        raise ClipError("truncated", f"the segment ends at {end:.2f} s, its recording {path.name} at {recording:.2f} s")
    return f"the segment ends at {end:.2f} s of its recording, the sound at {seconds:.2f} s"


class _Cut:
    """The samples of one clip, mixed as they come, in one buffer; and what is to be said of them."""

    def __init__(
        self, path: Path, reading: Pass, start: float, end: float | None, channel: Channel | Literal["all"]
    ) -> None:
        self._path, self._reading, rate = path, reading, reading.rate
        self._first = round(start * rate)
        self._last = None if end is None else round(end * rate)
        self._weights = weights_of(reading.layout, channel, path.name)  # (C', C)
        self._heard = self._weights.any(axis=0)  # a mix leaves the bass channel out
        self._mixed = channel == "mix" and self._weights.shape[1] > 1
        self._apart = channel == "all"
        seconds = (end if end is not None else reading.declared or 0.0) - start
        self._buffer = np.zeros((max(1, round(min(seconds, FIRST_SECONDS) * rate)), len(self._weights)), np.float32)
        self.length = 0
        self._packets = 0
        self._power = np.zeros(2)  # of the channels, of their mix

    def read(self) -> None:
        """Read the clip's blocks.

        Raises:
            ClipError: If one cannot be used.
        """
        for block in self._reading.blocks(self._first):
            if self._last is not None and block.at >= self._last:
                self.length = self._last - self._first  # it ends within a hole, or where the next block begins
                break
            self._add(block)

    def refuse_damaged(self) -> None:
        """Refuse sound of which too much could not be decoded.

        Raises:
            ClipError: With reason `damaged`.
        """
        lost = len(self._lost())
        total = lost + self._packets
        if lost > MOST_LOST * total:
            raise ClipError("damaged", f"{lost} of {total} packets of sound in {self._path.name} cannot be decoded")

    def _add(self, block: Block) -> None:
        at = block.at - self._first
        samples = block.samples[:, max(0, -at) : None if self._last is None else self._last - block.at]  # (C, n)
        if not np.isfinite(samples).all():
            raise ClipError("damaged", f"{self._path.name} holds samples that are not numbers (NaN or infinite)")
        at = max(0, at)
        self.length = at + samples.shape[1]
        if self.length > len(self._buffer):
            # In place, as the memory allows; what is not written yet is silence.
            self._buffer.resize((self.length + len(self._buffer) // 4, self._buffer.shape[1]), refcheck=False)
        mixed = samples.T if self._apart else samples.T @ self._weights.T  # (n, C')
        self._buffer[at : self.length] = mixed
        self._packets += block.frames
        heard = samples if self._heard.all() else samples[self._heard]
        self._power += _power(heard) / max(1, len(heard)), _power(mixed) / mixed.shape[1]

    def samples(self) -> Array:
        """(C', N) float32, the buffer itself; use it last."""
        self._buffer.resize((self.length, self._buffer.shape[1]), refcheck=False)
        return np.ascontiguousarray(self._buffer.T)

    def _lost(self) -> list[int]:
        """Places of undecodable packets in the clip."""
        return [place for place in self._reading.lost if self._first <= place < self._first + max(1, self.length)]

    def notes(self) -> dict[str, str]:
        """What a user should know, by kind."""
        rate, notes = self._reading.rate, {}
        holes = [
            (max(at, self._first), min(at + length, self._first + self.length))
            for at, length in self._reading.holes
            if at < self._first + self.length and at + length > self._first
        ]
        if holes:
            total, places = sum(end - at for at, end in holes) / rate, f"{len(holes)} place" + "s" * (len(holes) > 1)
            notes["sound-gap"] = (
                f"{total:.2f} s of sound are missing in {places}, first at {(holes[0][0] - self._first) / rate:.2f} s, "
                "and were filled with silence"
            )
        if lost := len(self._lost()):
            notes["sound-damaged"] = f"{lost} of {lost + self._packets} packets of sound could not be decoded"
        channels, mix = self._power
        if channels == 0:
            notes["silent"] = "every sample that was used is zero"
        elif self._mixed and mix < CANCELLING * channels:
            notes["cancelling"] = (
                f"the channels cancel each other: their mix has {100 * mix / channels:.2g} % of their power "
                "(try channel=first)"
            )
        return notes


def _power(samples: Array) -> float:
    """The sum of squares."""
    flat = samples.ravel(order="K")  # a view, in whichever order they lie
    return float(np.vdot(flat, flat))


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
    return Audio(np.stack(channels).astype(np.float32), rate, audio.notes)  # (C, N)

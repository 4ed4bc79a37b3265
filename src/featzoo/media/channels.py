"""Several channels of sound to the one that features are computed from."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np

from featzoo.errors import ClipError
from featzoo.sequence import Array

# An option of every audio extractor; channels are counted from 1.
Channel = int | Literal["mix", "first"]
# Layouts of files that name no channels, by number of channels: as ffmpeg takes them.
UNNAMED = {6: "5.1", 8: "7.1"}


def weights_of(layout: Any, channel: Channel | Literal["all"], name: str) -> Array:
    """What to multiply (C, N) samples by: (1, C), or (C, C) for `all`.

    `mix` is what ffmpeg's `-ac 1` does: the mean of a stereo recording; of surround sound the centre counts more
    than the sides, and the bass channel (LFE) is left out. Channels that the file does not name count alike,
    except that six or eight of them are 5.1 or 7.1.

    Args:
        layout: An `av.AudioLayout`.
        channel: `mix`, `first`, `all`, or the number of a channel, from 1.
        name: Of the file, for the error text.

    Raises:
        ClipError: With reason `no-channel`.
    """
    count = len(layout.channels)
    if channel == "all":
        return np.eye(count, dtype=np.float32)
    if channel == "mix":
        return np.array([_mix(layout.name, count)], dtype=np.float32)
    number = 1 if channel == "first" else channel
    if not 1 <= number <= count:
        raise ClipError("no-channel", f"{name} has channels 1 to {count}; channel {number} was asked for")
    return np.eye(count, dtype=np.float32)[number - 1 : number]


@cache
def _mix(layout: str, count: int) -> tuple[float, ...]:
    """The weights of ffmpeg's mix to mono: the response of its resampler to an impulse in each channel, of sum 1."""
    import av

    unnamed = layout == f"{count} channels"
    if count < 3 or (unnamed and count not in UNNAMED):
        return (1 / count,) * count
    impulses = np.eye(count, dtype=np.float32).reshape(1, -1)  # interleaved
    frame = av.AudioFrame.from_ndarray(impulses, format="flt", layout=UNNAMED[count] if unnamed else layout)
    frame.sample_rate = 48000
    mixed = av.AudioResampler(format="flt", layout="mono", rate=48000).resample(frame)
    found = np.concatenate([block.to_ndarray()[0] for block in mixed])[:count].astype(np.float64)
    # Floating-point sound is mixed without a limit on the sum; whole numbers are mixed so that nothing clips.
    return tuple((found / found.sum()).tolist())

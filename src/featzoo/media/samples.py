"""The samples of decoded frames as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from featzoo.sequence import Array


def joined(pieces: list[tuple[Any, int]]) -> Array:
    """The samples of frames of one format as (C, n) float32, without those to skip at the start of each."""
    first, _ = pieces[0]
    if first.format.name == "fltp":
        # Frames are short: views of their memory cost a fraction of arrays of their own.
        planes = [(frame.planes, frame.samples, skipped) for frame, skipped in pieces]
        return np.stack(
            [
                np.concatenate(
                    [np.frombuffer(plane[c], np.float32, count)[skipped:] for plane, count, skipped in planes]
                )
                for c in range(len(first.planes))
            ]
        )
    # Frames are joined before they are converted: NumPy's cost for each call is that of some thousand samples.
    if first.format.is_planar:
        return _as_float(np.concatenate([_samples(frame)[:, skipped:] for frame, skipped in pieces], axis=1))
    channels = first.layout.nb_channels
    return _as_float(np.concatenate([_samples(f).reshape(-1, channels)[skipped:] for f, skipped in pieces]).T)


def _samples(frame: Any) -> Array:
    """A frame's samples as they are: (C, n), or interleaved (1, n * C)."""
    import av

    if frame.format.name.startswith("s64"):  # which NumPy gets only as floating point
        (frame,) = av.AudioResampler(format="dblp" if frame.format.is_planar else "dbl").resample(frame)
    samples: Array = frame.to_ndarray()
    return samples


def _as_float(samples: Array) -> Array:
    """Samples of any type as float32; whole numbers to [-1, 1)."""
    converted: Array = np.asarray(samples, dtype=np.float32)
    if samples.dtype.kind == "f":
        return converted
    # Powers of two: single precision rounds no more than double would.
    if samples.dtype == np.uint8:
        converted -= np.float32(128)
        converted /= np.float32(128)
    else:
        converted /= np.float32(-int(np.iinfo(samples.dtype).min))
    return converted

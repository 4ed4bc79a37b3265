"""Pads clips of unequal length to one tensor with a mask, on the host or from one long tensor on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from featzoo.sequence import Array
from featzoo.zoo.head import Padded
from featzoo.zoo.input_spec import InputSpec

Scale = tuple[Array, Array]


def has_gaps(array: Array) -> bool:
    """Whether any value of (T, D) is NaN."""
    if array.dtype.kind != "f":
        return False
    # A sum is NaN if a value is, which is cheaper than testing each. A sum that overflows may be NaN too.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isnan(np.add.reduce(array, axis=None))) and bool(np.isnan(array).any())


def pad(arrays: Sequence[Array | None], spec: InputSpec, scale: Scale | None = None, gaps: bool = True) -> Padded:
    """Arrays (T, D), or None, as one padded tensor; each value is read once and written once.

    Args:
        arrays: B clips.
        spec: Width, and whether the values are token ids.
        scale: (D,) means and standard deviations, float64, for standardisation.
        gaps: Whether a value may be NaN. Otherwise `observed` is a view of the mask.
    """
    steps = np.array([0 if array is None else len(array) for array in arrays], dtype=np.int64)
    longest = max(1, int(steps.max(initial=0)))
    values = np.empty((len(arrays), longest, spec.width), dtype=_kind(spec))  # (B, T, D)
    scratch = np.empty((longest, spec.width)) if scale else None
    # Copied from zeros in the processor's cache, which is faster than filling memory directly.
    nothing = np.zeros((longest, spec.width), dtype=values.dtype)
    for row, (array, count) in enumerate(zip(arrays, steps.tolist(), strict=True)):
        if array is not None:
            _write(array, values[row, :count], scale, scratch)
        values[row, count:] = nothing[count:]
    mask = torch.from_numpy(np.arange(longest) < steps[:, None])  # (B, T)
    if spec.ids:
        return Padded(torch.from_numpy(values[:, :, 0]), mask, mask)  # (B, T)
    if not gaps:
        return Padded(torch.from_numpy(values), mask, mask[:, :, None].expand(values.shape))  # (B, T, D)
    unseen = _clear(values)
    return Padded(torch.from_numpy(values), mask, mask[:, :, None] & torch.from_numpy(~unseen))  # (B, T, D)


@dataclass(frozen=True)
class Ragged:
    """One role of a split as one long tensor, clip after clip.

    Attributes:
        values: (sum T + 1, D) float32, standardised, 0 where not observed; or (sum T + 1,) int64 token ids. The last
            row is 0 and is used for padding.
        observed: Like `values`, bool; None if everything was observed.
        starts: (N,) int64, the first row of each clip.
        steps: (N,) int64, the rows of each clip.
        lengths: The same on the host, so that the size of a batch is known without asking the device.
    """

    values: Tensor
    observed: Tensor | None
    starts: Tensor
    steps: Tensor
    lengths: Array

    def padded(self, rows: Array, numbers: Tensor) -> Padded:
        """Some clips, padded to the longest of them.

        Args:
            rows: (B,) row numbers of the clips.
            numbers: The same on the device.
        """
        longest = max(1, int(self.lengths[rows].max(initial=0)))
        step = torch.arange(longest, device=self.values.device)
        mask = step < self.steps[numbers][:, None]  # (B, T)
        place = torch.where(mask, self.starts[numbers][:, None] + step, len(self.values) - 1)  # (B, T)
        values = self.values[place]  # (B, T, D), or (B, T) token ids
        if self.observed is not None:
            return Padded(values, mask, self.observed[place])
        return Padded(values, mask, mask if values.dim() == 2 else mask[:, :, None].expand(values.shape))


def ragged(
    arrays: Sequence[Array | None], spec: InputSpec, scale: Scale | None, gaps: bool, device: torch.device
) -> Ragged:
    """All clips of one role on a device; see `pad` for the arguments."""
    lengths = np.array([0 if array is None else len(array) for array in arrays], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    values = np.zeros((int(lengths.sum()) + 1, spec.width), dtype=_kind(spec))  # (sum T + 1, D)
    scratch = np.empty((int(lengths.max(initial=0)), spec.width)) if scale else None
    for array, start in zip(arrays, starts.tolist(), strict=True):
        if array is not None:
            _write(array, values[start : start + len(array)], scale, scratch)
    observed = None
    if gaps and not spec.ids:
        seen = ~_clear(values)
        seen[-1] = False
        observed = torch.from_numpy(seen).to(device)
    rows = torch.from_numpy(values[:, 0] if spec.ids else values)
    first, steps = torch.from_numpy(starts).to(device), torch.from_numpy(lengths).to(device)
    return Ragged(rows.to(device), observed, first, steps, lengths)


def _kind(spec: InputSpec) -> type[np.int64 | np.float32]:
    return np.int64 if spec.ids else np.float32


def _write(array: Array, out: Array, scale: Scale | None, scratch: Array | None) -> None:
    """Copy (T, D), standardised in float64: float32 would lose the digits of a mean that is far from 0."""
    if scale is None or scratch is None:
        out[:] = array
        return
    centred = np.subtract(array, scale[0], out=scratch[: len(array)])
    np.divide(centred, scale[1], out=out, casting="same_kind")


def _clear(values: Array) -> Array:
    """Replace NaN by 0, and return its positions."""
    unseen: Array = np.isnan(values)
    np.copyto(values, 0, where=unseen)
    return unseen

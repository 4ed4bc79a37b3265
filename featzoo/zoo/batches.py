"""A split of a feature store in memory: mapped arrays, read and padded a whole batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from featzoo.zoo.head import InputSpec, Padded

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Statistics:
    """Column means and standard deviations of the train split, by role.

    Attributes:
        mean: Role to (D,) float64.
        std: Role to (D,) float64; 1 where a column is constant or was never observed.
    """

    mean: Mapping[str, Array]
    std: Mapping[str, Array]


@dataclass(frozen=True)
class Counts:
    """What became of the clips of a split.

    Attributes:
        clips: How many are used.
        without_target: Left out, because a label is missing.
        left_out: Role to clips left out, because the recipe requires it.
        missing: Role to clips used without it (masked).
        unobserved: Role to the number of NaN values.
    """

    clips: int
    without_target: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    unobserved: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Some clips of a split, padded.

    Attributes:
        ids: B clip ids.
        inputs: Role to padded features.
        targets: (B, K) float32.
    """

    ids: tuple[str, ...]
    inputs: Mapping[str, Padded]
    targets: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        inputs = {
            role: Padded(*(tensor.to(device, non_blocking=True) for tensor in padded))
            for role, padded in self.inputs.items()
        }
        return Batch(self.ids, inputs, self.targets.to(device, non_blocking=True))


@dataclass(frozen=True)
class Split:
    """Clips with their features and targets.

    Attributes:
        name: train, valid or test.
        ids: N clip ids.
        features: Role to N arrays (T, D), or None where a clip lacks the role.
        targets: (N, K) float64.
        specs: Role to width and kind of its features.
        statistics: What features are standardised by; roles that are not in it stay as they are.
        counts: What became of the clips.
    """

    name: str
    ids: tuple[str, ...]
    features: Mapping[str, Sequence[Array | None]]
    targets: Array
    specs: Mapping[str, InputSpec]
    statistics: Statistics
    counts: Counts

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: Sequence[int] | Array) -> Batch:
        """The clips `rows`, padded to the longest of them."""
        inputs = {role: self._padded(role, [arrays[i] for i in rows]) for role, arrays in self.features.items()}
        targets = torch.from_numpy(self.targets[np.asarray(rows, dtype=np.int64)].astype(np.float32))  # (B, K)
        return Batch(tuple(self.ids[i] for i in rows), inputs, targets)

    def batches(self, size: int) -> Iterator[tuple[Array, Batch]]:
        """Every clip once, the shortest first, with its row numbers: the same batches every time."""
        order = np.argsort(self.lengths(), kind="stable")
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield rows, self.batch(rows)

    def lengths(self) -> Array:
        """(N,) steps of each clip's costliest role, relative to that role's longest clip."""
        total = np.zeros(len(self))
        for arrays in self.features.values():
            steps = np.array([0 if a is None else len(a) for a in arrays], dtype=np.float64)
            total += steps / max(steps.max(initial=1.0), 1.0)
        return total

    def _padded(self, role: str, arrays: list[Array | None]) -> Padded:
        ids, width = self.specs[role].ids, self.specs[role].width
        steps = [0 if a is None else len(a) for a in arrays]
        longest = max(1, *steps)
        values = np.zeros((len(arrays), longest, width), dtype=np.int64 if ids else np.float32)  # (B, T, D)
        mask = np.zeros((len(arrays), longest), dtype=bool)  # (B, T)
        for row, array in enumerate(arrays):
            if array is not None:
                values[row, : len(array)] = array
                mask[row, : len(array)] = True
        observed = mask[:, :, None] & ~np.isnan(values)  # (B, T, D)
        if role in self.statistics.mean:
            values = (values - self.statistics.mean[role]) / self.statistics.std[role]
        values = np.where(observed, values, 0).astype(np.int64 if ids else np.float32)
        if ids:
            values, observed = values[:, :, 0], observed[:, :, 0]  # (B, T)
        return Padded(*map(torch.from_numpy, (values, mask, observed)))


def statistics_of(features: Mapping[str, Sequence[Array | None]], specs: Mapping[str, InputSpec]) -> Statistics:
    """Mean and standard deviation over every observed step, column by column, for the roles of `specs`."""
    mean, std = {}, {}
    for role, spec in specs.items():
        arrays = [np.asarray(a, dtype=np.float64) for a in features[role] if a is not None]
        total, square, count = np.zeros(spec.width), np.zeros(spec.width), np.zeros(spec.width)
        for array in arrays:
            total += np.nansum(array, axis=0)  # (D,)
            count += (~np.isnan(array)).sum(axis=0)
        mean[role] = total / np.maximum(count, 1)
        # Two passes: the difference of two large sums would lose the digits that matter.
        for array in arrays:
            square += np.nansum((array - mean[role]) ** 2, axis=0)
        spread = np.sqrt(square / np.maximum(count, 1))
        # A constant column's spread is rounding error, and dividing by it would blow up the next clip's.
        std[role] = np.where(spread > 1e-7 * np.abs(mean[role]), spread, 1.0)
    return Statistics(mean, std)

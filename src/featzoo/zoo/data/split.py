"""A split of a feature store: mapped arrays, or tensors on a device, padded a whole batch at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from featzoo.devices import facts_of, settings_for
from featzoo.zoo.data.padding import Ragged, has_gaps, pad, ragged
from featzoo.zoo.head import Padded
from featzoo.zoo.input_spec import InputSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Statistics:
    """Column means and standard deviations of the train split, by role.

    Attributes:
        mean: Role to (D,) float64.
        std: Role to (D,) float64; 1 for a column that is constant or was never observed.
    """

    mean: Mapping[str, Array]
    std: Mapping[str, Array]


@dataclass(frozen=True)
class Counts:
    """Numbers of clips of a split that are used, left out or incomplete.

    Attributes:
        clips: Clips that are used.
        without_target: Clips left out because a label is missing.
        left_out: Role to clips left out because the recipe requires it.
        missing: Role to clips used without it (masked).
        unobserved: Role to the number of NaN values.
        unlabelled: Clips used without their labels.
    """

    clips: int
    without_target: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    unobserved: Mapping[str, int] = field(default_factory=dict)
    unlabelled: int = 0


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
        """The same on another device; a GPU copies it while the host continues."""
        if device == self.targets.device:
            return self
        inputs = {role: _moved(padded, device) for role, padded in self.inputs.items()}
        return Batch(self.ids, inputs, to_device(self.targets, device))


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The same tensor on a device, copied without waiting: to a GPU through pinned memory."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _moved(padded: Padded, device: torch.device) -> Padded:
    values, mask = to_device(padded.values, device), to_device(padded.mask, device)
    if padded.observed.data_ptr() != padded.mask.data_ptr():
        return Padded(values, mask, to_device(padded.observed, device))
    # A view of the mask, which would be copied once for each column.
    return Padded(values, mask, mask if values.dim() == 2 else mask[:, :, None].expand(values.shape))


@dataclass(frozen=True)
class Split:
    """Clips with their features and targets.

    Attributes:
        name: train, valid or test.
        ids: N clip ids.
        features: Role to N arrays (T, D), or None if a clip lacks the role.
        targets: (N, K) float64, or (N, 1) class numbers; NaN for a missing label that a head does not need.
        specs: Role to width and kind of its features.
        statistics: Mean and deviation of the standardised roles; the others are not changed.
        counts: Numbers of clips that are used, left out or incomplete.
        costs: The result of `lengths` if it cannot be computed from the features.
        groups: Column of groups (`speaker`, ...) to the N names of the clips, for columns that every clip has.
    """

    name: str
    ids: tuple[str, ...]
    features: Mapping[str, Sequence[Array | None]]
    targets: Array
    specs: Mapping[str, InputSpec]
    statistics: Statistics
    counts: Counts
    costs: Array | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> Array:
        """(M, K) targets of the clips that have all of them."""
        return self.targets[~np.isnan(self.targets).any(axis=1)]

    def batch(self, rows: Sequence[int] | Array) -> Batch:
        """The clips `rows`, padded to the longest of them."""
        inputs = {
            role: pad([arrays[i] for i in rows], self.specs[role], self.scale(role), self._gaps[role])
            for role, arrays in self.features.items()
        }
        targets = torch.from_numpy(self.targets[np.asarray(rows, dtype=np.int64)].astype(np.float32))  # (B, K)
        return Batch(tuple(self.ids[i] for i in rows), inputs, targets)

    def scale(self, role: str) -> tuple[Array, Array] | None:
        """Mean and standard deviation for standardising a role; None if it is not standardised."""
        return (self.statistics.mean[role], self.statistics.std[role]) if role in self.statistics.mean else None

    @cached_property
    def _gaps(self) -> dict[str, bool]:
        """Role to whether any of its values was not observed."""
        return {role: any(a is not None and has_gaps(a) for a in arrays) for role, arrays in self.features.items()}

    def batches(self, size: int) -> Iterator[tuple[Array, Batch]]:
        """Every clip once, shortest first, with its row numbers; the batches are the same every time."""
        order = np.argsort(self.lengths(), kind="stable")
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield rows, self.batch(rows)

    def lengths(self) -> Array:
        """(N,) steps of each clip's costliest role, relative to that role's longest clip."""
        if self.costs is not None:
            return self.costs
        total = np.zeros(len(self))
        for arrays in self.features.values():
            steps = np.array([0 if a is None else len(a) for a in arrays], dtype=np.float64)
            total += steps / max(steps.max(initial=1.0), 1.0)
        return total

    def held_on(self, device: torch.device) -> HeldSplit:
        """The same clips with all values on a device, where batches are padded without further copying."""
        held = {
            role: ragged(arrays, self.specs[role], self.scale(role), self._gaps[role], device)
            for role, arrays in self.features.items()
        }
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return HeldSplit(**own, held=held, on_device=torch.from_numpy(self.targets.astype(np.float32)).to(device))

    def device_bytes(self) -> int:
        """Estimated bytes that `held_on` needs on a device."""
        total = 0
        for role, arrays in self.features.items():
            values = sum(a.size for a in arrays if a is not None)
            total += values * (8 if self.specs[role].ids else 5 if self._gaps[role] else 4)
        return total


@dataclass(frozen=True)
class HeldSplit(Split):
    """A split whose values are on a device.

    Attributes:
        held: Role to its values.
        on_device: (N, K) float32 targets.
    """

    held: Mapping[str, Ragged] = field(default_factory=dict)
    on_device: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def batch(self, rows: Sequence[int] | Array) -> Batch:
        """The clips `rows`, with the same numbers as in the original split, without waiting for the device."""
        chosen = np.asarray(rows, dtype=np.int64)
        numbers = to_device(torch.from_numpy(chosen), self.on_device.device)  # (B,)
        inputs = {role: values.padded(chosen, numbers) for role, values in self.held.items()}
        return Batch(tuple(self.ids[i] for i in chosen), inputs, self.on_device[numbers])


def held(splits: Sequence[Split], choice: bool | Literal["auto"], device: torch.device) -> list[Split]:
    """The splits on a device, if requested and if they fit.

    Args:
        splits: The splits for training and validation.
        choice: `auto` keeps them on a GPU if they take at most a tenth of its memory (`devices.settings_for`).
        device: The head's device.
    """
    wanted = choice is True
    if choice == "auto" and device.type == "cuda":
        wanted = sum(split.device_bytes() for split in splits) <= settings_for(facts_of(device)).cache_bytes
    return [split.held_on(device) if wanted else split for split in splits]


def statistics_of(
    features: Mapping[str, Sequence[Array | None]],
    specs: Mapping[str, InputSpec],
    to_range: Collection[str] = (),
) -> Statistics:
    """Mean and standard deviation over every observed step, column by column, for the roles of `specs`.

    Roles in `to_range` get their lowest value and their range instead, which scale them to 0 to 1.
    """
    mean, std = {}, {}
    for role, spec in specs.items():
        arrays = [np.asarray(a, dtype=np.float64) for a in features[role] if a is not None]
        if role in to_range:
            mean[role], std[role] = _range(arrays, spec.width)
            continue
        total, square, count = np.zeros(spec.width), np.zeros(spec.width), np.zeros(spec.width)
        for array in arrays:
            total += np.nansum(array, axis=0)  # (D,)
            count += (~np.isnan(array)).sum(axis=0)
        mean[role] = total / np.maximum(count, 1)
        # Two passes, because the difference of two large sums would lose precision.
        for array in arrays:
            square += np.nansum((array - mean[role]) ** 2, axis=0)
        spread = np.sqrt(square / np.maximum(count, 1))
        # A constant column's spread is rounding error, and dividing by it would give huge values in other clips.
        std[role] = np.where(spread > 1e-7 * np.abs(mean[role]), spread, 1.0)
    return Statistics(mean, std)


def _range(arrays: Sequence[Array], width: int) -> tuple[Array, Array]:
    """(D,) lowest values and ranges; 0 and 1 for a column that was never observed."""
    lowest, highest = np.full(width, np.inf), np.full(width, -np.inf)
    for array in arrays:
        lowest = np.fmin(lowest, np.fmin.reduce(array, axis=0))  # (D,)
        highest = np.fmax(highest, np.fmax.reduce(array, axis=0))  # (D,)
    lowest = np.where(np.isfinite(lowest), lowest, 0.0)
    spread = highest - lowest
    return lowest, np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)

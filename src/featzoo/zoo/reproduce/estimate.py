"""What a reproduction will cost: time, disk and device memory, from a row's `Work` and this machine's speed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from featzoo.devices import choose_devices
from featzoo.zoo.reproduce.paper import Row

# Share of the speed of large matrix products that training reaches: that of PSA-MF at BERT-base's size in
# `benchmarks/train.py`.
SHARE = 0.35
# A forward pass without gradients is a third of a training step.
FORWARD = 1 / 3
# Weights, gradients and AdamW's two averages, four bytes each.
BYTES_TRAINED = 16
BYTES_STORED = 4
SIZE = 1024
GB = 1e9


@dataclass(frozen=True)
class Estimate:
    """The cost of a row.

    Attributes:
        extracting: Seconds of one core to extract features.
        training: Seconds of all trainings, one after another.
        disk: Bytes that are written.
        memory: Bytes of the device's memory for training.
        trainings: How many there are.
    """

    extracting: float
    training: float
    disk: float
    memory: float
    trainings: int

    def __str__(self) -> str:
        return (
            f"{_hours(self.extracting)} of one core to extract, {_hours(self.training)} for "
            f"{self.trainings} trainings, {self.disk / GB:.1f} GB of disk, {self.memory / GB:.1f} GB of device memory"
        )


def estimate(row: Row, seeds: int, speed: float, unpacked: float = 0.0) -> Estimate:
    """The cost of a row.

    Args:
        row: The row.
        seeds: Trainings of each variant.
        speed: Floating-point operations per second of large matrix products on the device; see `measured_speed`.
        unpacked: Bytes of archives that will be unpacked.
    """
    work = row.work
    trainings = seeds * len(row.published) + (row.teacher is not None)
    each = work.epochs * (work.train + FORWARD * work.dev) * work.operations
    weights = BYTES_STORED * work.parameters
    return Estimate(
        extracting=work.clips * work.extract,
        training=trainings * each / (SHARE * speed),
        disk=work.clips * work.features + trainings * weights + BYTES_TRAINED * work.parameters + unpacked,
        memory=BYTES_TRAINED * work.parameters + work.batch * work.activations,
        trainings=trainings,
    )


def measured_speed(device: str) -> tuple[str, float]:
    """The device that training takes, and its floating-point operations per second in products of 1024 x 1024 numbers.

    Raises:
        InvalidOption: If this machine does not have the device.
    """
    import torch

    name = choose_devices(device)[0]
    a = torch.rand(SIZE, SIZE, device=name)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        total = float((a @ a).sum())  # waits for a GPU
        best = min(best, time.perf_counter() - started if total else best)
    return name, 2 * SIZE**3 / best


def how(name: str, speed: float) -> str:
    """How the estimates are made, in a sentence."""
    return (
        f"estimates: clips x epochs x operations of the networks, at {SHARE:.0%} of the {speed / 1e9:.0f} GFLOP/s that "
        f"products of matrices reached on {name} just now; memory: 16 bytes for each trained weight, and a batch's "
        "activations; expect them to be right within a factor of three"
    )


def _hours(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

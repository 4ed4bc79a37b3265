"""The training loop: train and dev splits in, the best dev epoch's weights out. No test split comes here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import Tensor

from featzoo.errors import FeatzooError, InvalidOption
from featzoo.zoo.batches import Array, Split
from featzoo.zoo.head import Head
from featzoo.zoo.recipes import Training

POOL = 16  # batches whose clips are shuffled, then sorted by length, together


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        epoch: Counted from 1, over all stages.
        stage: The head's stage.
        losses: Term to its weighted mean over the epoch's train clips; `total` is their sum.
        dev_losses: The same on dev, without dropout.
        dev_mae: Mean absolute error on dev.
        rates: Parameter group to its learning rate at the end of the epoch.
        seconds: Wall time.
        best: Whether no earlier epoch of the last stage had a lower dev MAE.
    """

    epoch: int
    stage: str
    losses: dict[str, float]
    dev_losses: dict[str, float]
    dev_mae: float
    rates: dict[str, float]
    seconds: float
    best: bool


@dataclass
class Trained:
    """The result of training.

    Attributes:
        weights: State of the best dev epoch, on the CPU.
        best: That epoch.
        epochs: Every epoch.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    best: Epoch | None = None
    epochs: list[Epoch] = field(default_factory=list)


def train(
    head: Head,
    train: Split,
    dev: Split,
    settings: Training,
    accelerator: Accelerator,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> Trained:
    """Train a head; it ends with the weights of the epoch whose dev MAE is lowest.

    Args:
        head: A head; it is changed in place.
        train: The train split.
        dev: The split that chooses the epoch.
        settings: How.
        accelerator: Device, precision and number of processes.
        on_epoch: Called after every epoch.
        on_step: Called after every step with the steps done and the most that there can be.

    Raises:
        FeatzooError: If the loss or the dev MAE is not finite.
        InvalidOption: If a learning rate is missing or not used.
    """
    order = np.random.default_rng(settings.seed)
    head.prepare(torch.from_numpy(train.targets.astype(np.float32)))
    head.to(accelerator.device)
    world, rank = accelerator.num_processes, accelerator.process_index
    per_epoch = math.ceil(len(train) / settings.batch_size)
    result, done, total = Trained(), 0, per_epoch * settings.epochs * len(head.stages)
    for stage in head.stages:
        groups = head.parameter_groups(stage, settings.learning_rates)
        kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        model, optimizer = accelerator.prepare(head, kind(groups, weight_decay=settings.weight_decay, fused=True))
        schedule = Schedule(optimizer, settings, per_epoch * settings.epochs)
        best_mae, best_epoch = math.inf, 0
        for number in range(1, settings.epochs + 1):
            started = time.perf_counter()
            sums: dict[str, Tensor | float] = {}
            model.train()
            for rows in shuffled(train, settings, order):
                batch = train.batch(_share(rows, rank, world)).to(accelerator.device)
                with accelerator.autocast():
                    outputs = model(batch.inputs)
                terms = head.losses({k: _full(v) for k, v in outputs.items()}, batch.targets, stage)
                loss = torch.stack(list(terms.values())).sum()
                optimizer.zero_grad()
                accelerator.backward(loss)
                if settings.clip:
                    accelerator.clip_grad_norm_(model.parameters(), settings.clip)
                schedule.step()
                optimizer.step()
                for name, term in {**terms, "total": loss}.items():
                    sums[name] = sums.get(name, 0.0) + term.detach() * len(rows)
                done += 1
                on_step(done, total)
            losses = {name: float(accelerator.reduce(s, "mean")) / len(train) for name, s in sums.items()}
            dev_losses, prediction = evaluate(head, dev, settings.batch_size, accelerator.device, stage)
            mae = float(np.abs(prediction - dev.targets).mean())
            if not math.isfinite(losses["total"] + mae):
                said = f"train loss {losses['total']:g}, dev MAE {mae:g}"
                raise FeatzooError(f"epoch {number} diverged ({said}): lower the learning rates")
            schedule.observe(mae)
            epoch = Epoch(
                len(result.epochs) + 1, stage, losses, dev_losses, mae,
                {g.get("name", "main"): g["lr"] for g in optimizer.param_groups},
                time.perf_counter() - started, mae < best_mae,
            )  # fmt: skip
            result.epochs.append(epoch)
            if epoch.best:
                best_mae, best_epoch, result.best = mae, number, epoch
                result.weights = {k: v.detach().cpu().clone() for k, v in head.state_dict().items()}
            on_epoch(epoch)
            if settings.patience and number - best_epoch >= settings.patience:
                break
        head.load_state_dict(result.weights)
    return result


@torch.no_grad()
def evaluate(
    head: Head, split: Split, batch_size: int, device: torch.device, stage: str
) -> tuple[dict[str, float], Array]:
    """Mean loss terms, and (N, K) float64 predictions in the split's order; in 32 bit, without dropout.

    The same weights, split and batch size give the same digits: the batches are always the same.
    """
    head.eval()
    sums: dict[str, float] = {}
    predictions = np.empty_like(split.targets)
    for rows, batch in split.batches(batch_size):
        batch = batch.to(device)
        outputs = head(batch.inputs)
        for name, term in head.losses(outputs, batch.targets, stage).items():
            sums[name] = sums.get(name, 0.0) + float(term) * len(rows)
        predictions[rows] = outputs["prediction"].double().cpu().numpy()
    losses = {name: value / len(split) for name, value in sums.items()}
    return {**losses, "total": sum(losses.values())}, predictions


def shuffled(split: Split, settings: Training, order: np.random.Generator) -> list[Array]:
    """The row numbers of an epoch's batches, in random order; clips of like length together if so asked."""
    rows = order.permutation(len(split))
    size = settings.batch_size
    if not settings.group_by_length:
        return [rows[start : start + size] for start in range(0, len(rows), size)]
    lengths, batches = split.lengths(), []
    for start in range(0, len(rows), size * POOL):
        pool = rows[start : start + size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [batches[i] for i in order.permutation(len(batches))]


class Schedule:
    """Learning rates over the steps of a stage.

    Args:
        optimizer: Whose rates are set.
        settings: Which schedule.
        steps: The most steps there can be.
    """

    def __init__(self, optimizer: Any, settings: Training, steps: int) -> None:
        self.optimizer, self.settings, self.steps = optimizer, settings, steps
        self.peaks = [group["lr"] for group in optimizer.param_groups]
        self.done, self.factor, self.best, self.since = 0, 1.0, math.inf, 0

    def step(self) -> None:
        """Set the rates of the next step."""
        self.done += 1
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * self.factor * self.share()

    def share(self) -> float:
        """The share of the peak rates at this step."""
        warm = math.ceil(self.settings.warmup * self.steps)
        if self.done <= warm:
            return self.done / warm
        left = (self.steps - self.done + 1) / max(1, self.steps - warm)
        if self.settings.schedule == "linear":
            return left
        return (1 - math.cos(math.pi * left)) / 2 if self.settings.schedule == "cosine" else 1.0

    def observe(self, mae: float) -> None:
        """After an epoch: the `plateau` schedule halves the rates when dev has not improved for a while."""
        self.best, self.since = (mae, 0) if mae < self.best else (self.best, self.since + 1)
        if self.settings.schedule == "plateau" and self.since > self.settings.plateau:
            self.factor, self.since = self.factor / 2, 0


def accelerator_on(device: str, precision: str) -> Accelerator:
    """An Accelerator on `auto`, `cpu`, `cuda` or `cuda:1`.

    Raises:
        InvalidOption: If there is no such device here.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise InvalidOption(f"no device '{device}': auto, cpu, cuda, cuda:<number> or mps")
    if kind == "cuda":
        if not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count():
            raise InvalidOption(
                f"no device '{device}' here: torch {torch.__version__} sees {torch.cuda.device_count()}"
            )
        torch.cuda.set_device(int(number or 0))
    if not AcceleratorState._shared_state or AcceleratorState().num_processes == 1:
        # Accelerate keeps one state per process; a second training here may choose anew.
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=kind == "cpu", mixed_precision=precision)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch; before a head is made, so that its weights depend on the seed alone."""
    set_seed(seed)


def _share(rows: Array, rank: int, world: int) -> Array:
    """The part of a batch that falls to one process; small batches are filled up so that none is idle."""
    if world == 1:
        return rows
    filled: Array = np.resize(rows, math.ceil(len(rows) / world) * world)
    return filled[rank::world]


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor

"""The training loop, which returns the weights of the best epoch on dev. It never sees the test split."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, set_seed

from featzoo.devices import Precision, choose_devices, facts_of, float32_products, settings_for
from featzoo.errors import FeatzooError, InvalidOption, suggestion
from featzoo.zoo.data.split import Array, Split, held, statistics_of
from featzoo.zoo.head import Head
from featzoo.zoo.nn.split_encoder import set_up_encoders
from featzoo.zoo.recipe import Training
from featzoo.zoo.training.checkpoint import Checkpoint, Epoch, Progress, Trained, of_first
from featzoo.zoo.training.epoch_choice import Criterion, EpochScore, by_error, by_loss, mean_error
from featzoo.zoo.training.evaluation import evaluate, output_of
from featzoo.zoo.training.frozen_features import for_stage
from featzoo.zoo.training.one_epoch import one_epoch
from featzoo.zoo.training.parameter_groups import without_decay_of_vectors
from featzoo.zoo.training.schedule import Schedule
from featzoo.zoo.training.weight_average import WeightAverage, decay_of


def train(
    head: Head,
    train: Split,
    dev: Split,
    settings: Training,
    accelerator: Accelerator,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
    on_read: Callable[[int, int], None] = lambda step, steps: None,
    checkpoint: Checkpoint | None = None,
    criterion: Criterion = by_error,
    frozen: Path | None = None,
) -> Trained:
    """Train a head; each stage ends with the weights of its best epoch on dev.

    Args:
        head: A head; it is changed in place.
        train: The train split.
        dev: The split on which the epoch is chosen.
        settings: Epochs, rates and other settings.
        accelerator: Device, precision and number of processes.
        on_epoch: Called after every epoch.
        on_step: Called after every step with the number of done steps and the maximum number.
        on_read: The same for the batches that frozen parts read once, before a stage.
        checkpoint: The checkpoint of the state after an epoch; if it holds one, training resumes there.
        criterion: The criterion for the best epoch; in the stages of `Head.by_loss` it is the lowest dev loss.
        frozen: A folder that keeps what frozen parts gave, see `for_stage`.

    Raises:
        FeatzooError: If the loss or dev's score is not finite, or a batch does not fit in the device's memory.
        InvalidOption: If a learning rate is missing or not used, or encoders cannot run with the settings.
    """
    _prepare(head, train)
    head.to(accelerator.device)
    set_up_encoders(head, settings, accelerator.device)
    for name in settings.stages:
        if name not in type(head).stages:  # a head may skip some of them
            known = type(head).stages
            raise InvalidOption(f"training.stages: this head has no stage '{name}'{suggestion(name, known)}")
    training = _Training(head, train, dev, settings, accelerator, on_epoch, on_step, on_read, criterion, frozen)
    saved = checkpoint.load() if checkpoint else None
    for index, stage in enumerate(head.stages):
        if not saved or index >= saved["stage"]:
            training.run_stage(index, stage, saved if saved and index == saved["stage"] else None, checkpoint)
    return training.result


@dataclass
class _Stage:
    """One stage in progress: its settings and its splits."""

    name: str
    settings: Training
    model: torch.nn.Module
    train: Split
    dev: Split
    progress: Progress


def _prepare(head: Head, train: Split) -> None:
    """Show a head the train split's labels, and the statistics of the inputs that it standardises itself."""
    head.prepare(torch.from_numpy(train.labels.astype(np.float32)))
    specs = {role: train.specs[role] for role in head.measured}
    found = statistics_of(train.features, specs)
    for role in specs:
        head.measure(role, *(torch.from_numpy(each[role]) for each in (found.mean, found.std)))


class _Training:
    """A training: the arguments of `train`, and the result so far."""

    def __init__(
        self,
        head: Head,
        train: Split,
        dev: Split,
        settings: Training,
        accelerator: Accelerator,
        on_epoch: Callable[[Epoch], None],
        on_step: Callable[[int, int], None],
        on_read: Callable[[int, int], None],
        criterion: Criterion,
        frozen: Path | None,
    ) -> None:
        self.head, self.train, self.dev, self.settings, self.accelerator = head, train, dev, settings, accelerator
        self.on_epoch, self.on_step, self.on_read, self.criterion = on_epoch, on_step, on_read, criterion
        self.frozen = frozen
        self.result, self.order = Trained(), np.random.default_rng(settings.seed)
        self.steps = {stage: math.ceil(len(train) / settings.of(stage).batch_size) for stage in head.stages}
        self.most = sum(steps * settings.of(stage).epochs for stage, steps in self.steps.items())

    def run_stage(self, index: int, name: str, saved: dict[str, Any] | None, checkpoint: Checkpoint | None) -> None:
        """Train one stage to its end, from a saved state if there is one; the head keeps the best epoch's weights."""
        stage = self._begin(index, name, saved)
        at, settings = stage.progress, stage.settings
        while at.number < settings.epochs and not _stalled(at, settings):
            self._run_epoch(stage)
            if checkpoint:
                checkpoint.offer(at)
        self.head.load_state_dict(self.result.weights)

    def _begin(self, index: int, name: str, saved: dict[str, Any] | None) -> _Stage:
        head, own, accelerator = self.head, self.settings.of(name), self.accelerator
        head.begin(name)
        if saved:  # the outputs of frozen layers are computed from these weights
            head.load_state_dict(saved["head"])
        read = [
            for_stage(head, split, name, own.batch_size, accelerator.device, self.on_read, self.frozen)
            for split in (self.train, self.dev)
        ]
        seen, scored = held(read, own.device_cache, accelerator.device)
        groups = head.parameter_groups(name, own.learning_rates)
        if own.decay == "matrices":
            groups = without_decay_of_vectors(groups)
        kind = torch.optim.AdamW if own.optimizer == "adamw" else torch.optim.Adam
        model, optimizer = accelerator.prepare(head, kind(groups, weight_decay=own.weight_decay, fused=True))
        # The loop applies mixed precision, not the head, because evaluation is in 32 bit.
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        schedule = Schedule(optimizer, own, self.steps[name] * own.epochs)
        average = WeightAverage(head, decay_of(own.average, self.steps[name]))
        progress = Progress(index, head, optimizer, schedule, self.order, self.result, average)
        if saved:
            progress.restore(saved)
        return _Stage(name, own, model, seen, scored, progress)

    def _run_epoch(self, stage: _Stage) -> None:
        """Every train clip once, then dev; the weights are kept if their dev score is the best so far."""
        at, own, started = stage.progress, stage.settings, time.perf_counter()
        before = sum(self.steps[epoch.stage] for epoch in self.result.epochs)
        step = partial(_told, self.on_step, before, self.most)
        tf32 = settings_for(facts_of(self.accelerator.device), own.precision).tf32
        with _memory_errors(own, self.accelerator.device), float32_products(self.accelerator.device, tf32=tf32):
            losses, gradients = one_epoch(stage.model, at, stage.train, own, self.accelerator, stage.name, step)
        with at.average.in_place():
            dev_losses, prediction = self._read_dev(stage)
            at.number += 1
            error = mean_error(self.head.objective.kind, self.dev, prediction)
            score = self._score(stage.name, prediction, error, dev_losses["total"])
            if not math.isfinite(losses["total"] + score.score):
                found = f"train loss {losses['total']:g}, dev {score.name} {score.score:g}"
                raise FeatzooError(f"epoch {at.number} diverged ({found}): lower the learning rates")
            at.schedule.observe(score.rank[0])
            rates = {g.get("name", "main"): g["lr"] for g in at.optimizer.param_groups}
            best, number = score.rank < at.best_rank, len(self.result.epochs) + 1
            seconds = time.perf_counter() - started
            epoch = Epoch(
                number, stage.name, losses, dev_losses, error, rates, seconds, best, score.name, score.score, gradients,
                at.parts,
            )  # fmt: skip
            self.result.epochs.append(epoch)
            if best:
                at.best_rank, at.best_number, self.result.best = score.rank, at.number, epoch
                self.result.weights = {k: v.detach().cpu().clone() for k, v in self.head.state_dict().items()}
            self.on_epoch(epoch)

    def _read_dev(self, stage: _Stage) -> tuple[dict[str, float], Array]:
        """Dev's losses and predictions, after the head has fitted what it fits there; the same in all processes.

        Digits, and so the epoch to stop at, can differ between devices.
        """
        head, size, device = self.head, stage.settings.batch_size, self.accelerator.device
        if not head.fits_dev:
            return of_first(evaluate(head, stage.dev, size, device, stage.name))
        output = of_first(output_of(head, stage.dev, size, device, head.fits_dev))
        head.fit_dev(output, self.dev.targets)
        losses, _ = of_first(evaluate(head, stage.dev, size, device, stage.name))
        return losses, head.left_out(output, self.dev.targets)

    def _score(self, stage: str, prediction: Array, error: float, loss: float) -> EpochScore:
        if not math.isfinite(error):
            return EpochScore("MAE", error, ())
        criterion = by_loss if stage in self.head.by_loss else self.criterion
        return criterion(self.dev, prediction, loss)


def _told(on_step: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    on_step(before + done, total)


@contextmanager
def _memory_errors(settings: Training, device: torch.device) -> Iterator[None]:
    """Name the settings that need less memory, where a batch does not fit even in parts."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise FeatzooError(
            f"a batch of {settings.batch_size} clips does not fit in the memory of {device}, even in parts: lower "
            "training.batch_size or the inputs' max_steps, or set training.gradient_checkpointing=true for a head with "
            "an encoder"
        ) from error


def _stalled(at: Progress, settings: Training) -> bool:
    return bool(settings.patience) and at.number - at.best_number >= settings.patience


def accelerator_on(device: str, precision: Precision) -> Accelerator:
    """An Accelerator on a device in the form of `choose_devices`; with several GPUs, each process gets a separate one.

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: The precision of training; `auto` chooses it for the device.

    Raises:
        InvalidOption: If the device does not exist here.
    """
    chosen = choose_devices(device)
    if device not in ("auto", "cpu", "mps"):
        torch.cuda.set_device(chosen[0])
    if not AcceleratorState._shared_state or AcceleratorState().num_processes == 1:
        # Accelerate keeps one state per process; a second training in this process may use other settings.
        AcceleratorState._reset_state(reset_partial_state=True)
    handlers = [
        # A dead process must not keep the others waiting; one that draws figures may.
        InitProcessGroupKwargs(timeout=timedelta(minutes=10)),
        # The layers of a modality that is missing in a whole batch have no gradient.
        DistributedDataParallelKwargs(find_unused_parameters=True),
    ]
    mixed = settings_for(facts_of(chosen[0]), precision).precision
    return Accelerator(
        cpu=chosen == ["cpu"], mixed_precision="no" if mixed == "fp32" else mixed, kwargs_handlers=handlers
    )


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch; before a head is made, so that its weights depend only on the seed."""
    set_seed(seed)

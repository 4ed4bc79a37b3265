"""The training loop: train and dev splits in, the best dev epoch's weights out. No test split comes here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, set_seed
from torch import Tensor

from featzoo.errors import FeatzooError, InvalidOption, suggestion
from featzoo.zoo.data.split import Array, Split, held
from featzoo.zoo.head import Head
from featzoo.zoo.nn.split_encoder import set_up_encoders
from featzoo.zoo.recipe import Training
from featzoo.zoo.training.checkpoint import Checkpoint, Epoch, Progress, Trained, of_first
from featzoo.zoo.training.epoch_choice import Judge, Verdict, by_error, by_loss
from featzoo.zoo.training.frozen_features import for_stage
from featzoo.zoo.training.weight_average import WeightAverage

POOL = 16  # batches whose clips are shuffled, then sorted by length, together


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
    judge: Judge = by_error,
) -> Trained:
    """Train a head; each stage ends with the weights of the epoch that dev chooses.

    Args:
        head: A head; it is changed in place.
        train: The train split.
        dev: The split that chooses the epoch.
        settings: How.
        accelerator: Device, precision and number of processes.
        on_epoch: Called after every epoch.
        on_step: Called after every step with the steps done and the most that there can be.
        on_read: The same for the batches that frozen parts read once, before a stage.
        checkpoint: Where the state after an epoch is kept; what it holds is where training goes on.
        judge: Which epoch is the best; in the stages of `Head.by_loss` it is that of the lowest dev loss.

    Raises:
        FeatzooError: If the loss or dev's score is not finite.
        InvalidOption: If a learning rate is missing or not used, or encoders cannot be run as asked.
    """
    order = np.random.default_rng(settings.seed)
    head.prepare(torch.from_numpy(train.labels.astype(np.float32)))
    head.to(accelerator.device)
    set_up_encoders(head, settings, accelerator.device)
    for name in settings.stages:
        if name not in type(head).stages:  # a head may go without some of them
            known = type(head).stages
            raise InvalidOption(f"training.stages: this head has no stage '{name}'{suggestion(name, known)}")
    per_epoch = {stage: math.ceil(len(train) / settings.of(stage).batch_size) for stage in head.stages}
    total = sum(steps * settings.of(stage).epochs for stage, steps in per_epoch.items())
    saved = checkpoint.load() if checkpoint else None
    result = Trained()
    for index, stage in enumerate(head.stages):
        if saved and index < saved["stage"]:
            continue
        own = settings.of(stage)
        head.begin(stage)
        if saved and index == saved["stage"]:  # what is frozen is computed from these weights
            head.load_state_dict(saved["head"])
        read = [for_stage(head, split, stage, own.batch_size, accelerator.device, on_read) for split in (train, dev)]
        seen, judged = held(read, own.device_cache, accelerator.device)
        groups = head.parameter_groups(stage, own.learning_rates)
        kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        model, optimizer = accelerator.prepare(head, kind(groups, weight_decay=own.weight_decay, fused=True))
        # Mixed precision is the loop's, not the head's: evaluation is in 32 bit.
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        schedule = Schedule(optimizer, own, per_epoch[stage] * own.epochs)
        average = WeightAverage(head, own.average)
        at = Progress(index, head, optimizer, schedule, order, result, average)
        if saved and index == saved["stage"]:
            at.restore(saved)
        while at.number < own.epochs and not _stalled(at, own):
            started, before = time.perf_counter(), sum(per_epoch[epoch.stage] for epoch in result.epochs)
            step = partial(_told, on_step, before, total)
            losses = _one_epoch(model, at, seen, own, accelerator, stage, step)
            with average.in_place():
                # One judgement for all processes: on unlike devices digits differ, and with them when to stop.
                dev_losses, prediction = of_first(evaluate(head, judged, own.batch_size, accelerator.device, stage))
                mae = float(np.abs(prediction - dev.targets).mean())
                at.number += 1
                chosen_by = by_loss if stage in head.by_loss else judge
                verdict = (
                    chosen_by(dev, prediction, dev_losses["total"]) if math.isfinite(mae) else Verdict("MAE", mae, ())
                )
                if not math.isfinite(losses["total"] + verdict.score):
                    said = f"train loss {losses['total']:g}, dev {verdict.name} {verdict.score:g}"
                    raise FeatzooError(f"epoch {at.number} diverged ({said}): lower the learning rates")
                schedule.observe(verdict.rank[0])
                rates = {g.get("name", "main"): g["lr"] for g in optimizer.param_groups}
                seconds = time.perf_counter() - started
                best = verdict.rank < at.best_rank
                epoch = Epoch(
                    len(result.epochs) + 1, stage, losses, dev_losses, mae, rates, seconds, best, *verdict[:2]
                )  # fmt: skip
                result.epochs.append(epoch)
                if best:
                    at.best_rank, at.best_number, result.best = verdict.rank, at.number, epoch
                    result.weights = {k: v.detach().cpu().clone() for k, v in head.state_dict().items()}
                on_epoch(epoch)
            if checkpoint:
                checkpoint.offer(at)
        head.load_state_dict(result.weights)
    return result


def _told(on_step: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    on_step(before + done, total)


def _stalled(at: Progress, settings: Training) -> bool:
    return bool(settings.patience) and at.number - at.best_number >= settings.patience


def _one_epoch(
    model: torch.nn.Module,
    at: Progress,
    train: Split,
    settings: Training,
    accelerator: Accelerator,
    stage: str,
    on_step: Callable[[int], None],
) -> dict[str, float]:
    """Every train clip once; gives the mean of each weighted loss term, and their `total`."""
    head, sums = at.head, dict[str, Tensor | float]()
    model.train()
    batches = shuffled(train, settings, at.order)
    for done, rows in enumerate(batches, start=1):
        share = _share(rows, accelerator.process_index, accelerator.num_processes)
        batch = train.batch(share).to(accelerator.device)
        head.see(torch.from_numpy(share))
        with accelerator.autocast():
            outputs = model(batch.inputs)
        terms = head.losses({k: _full(v) for k, v in outputs.items()}, batch.targets, stage)
        loss = torch.stack(list(terms.values())).sum()
        at.optimizer.zero_grad()
        accelerator.backward(loss)
        if settings.clip:
            accelerator.clip_grad_norm_(model.parameters(), settings.clip)
        at.schedule.step()
        at.optimizer.step()
        at.average.update()
        for name, term in {**terms, "total": loss}.items():
            sums[name] = sums.get(name, 0.0) + term.detach() * len(rows)
        on_step(done)
    return {name: float(accelerator.reduce(s, "mean")) / len(train) for name, s in sums.items()}


@torch.no_grad()
def evaluate(
    head: Head, split: Split, batch_size: int, device: torch.device, stage: str
) -> tuple[dict[str, float], Array]:
    """Mean loss terms, and (N, K) float64 predictions in the split's order; in 32 bit, without dropout.

    The same weights, split and batch size give the same digits: the batches are always the same.
    """
    head.eval()
    terms: dict[str, list[Tensor]] = {}
    predicted: list[Tensor] = []
    order: list[Array] = []
    for rows, batch in split.batches(batch_size):
        batch = batch.to(device)
        outputs = head(batch.inputs)
        for name, term in head.losses(outputs, batch.targets, stage).items():
            terms.setdefault(name, []).append(term)
        predicted.append(outputs["prediction"])
        order.append(rows)
    # Read at the end, all at once: until then the device need not wait for the host, nor the host for it.
    predictions = np.empty_like(split.targets)
    predictions[np.concatenate(order)] = torch.cat(predicted).cpu().double().numpy()
    means = {name: torch.stack(values).tolist() for name, values in terms.items()}
    losses = {
        name: sum(mean * len(rows) for mean, rows in zip(values, order, strict=True)) / len(split)
        for name, values in means.items()
    }
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
        if self.settings.schedule == "cosine":
            left = (1 - math.cos(math.pi * left)) / 2
        end = self.settings.end
        return end + (1 - end) * left if self.settings.schedule in ("linear", "cosine") else 1.0

    def observe(self, score: float) -> None:
        """After an epoch: the `plateau` schedule halves the rates when dev has not improved for a while."""
        self.best, self.since = (score, 0) if score < self.best else (self.best, self.since + 1)
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
    handlers = [
        # A process that is gone must not keep the others waiting; one that writes pictures may.
        InitProcessGroupKwargs(timeout=timedelta(minutes=10)),
        # A modality that no clip of a batch has leaves its layers without a gradient.
        DistributedDataParallelKwargs(find_unused_parameters=True),
    ]
    return Accelerator(cpu=kind == "cpu", mixed_precision=precision, kwargs_handlers=handlers)


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

"""One pass over the train split."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from featzoo.zoo.data.split import Array, Batch, Split, to_device
from featzoo.zoo.head import Head, Outputs
from featzoo.zoo.recipe import Training
from featzoo.zoo.training.batch_order import shuffled
from featzoo.zoo.training.checkpoint import Progress
from featzoo.zoo.training.gradient_shares import gradient_norms, shares
from featzoo.zoo.training.parts import learn_in_parts


def one_epoch(
    model: torch.nn.Module,
    at: Progress,
    train: Split,
    settings: Training,
    accelerator: Accelerator,
    stage: str,
    on_step: Callable[[int], None],
) -> tuple[dict[str, float], dict[str, float]]:
    """Train on every clip once.

    Args:
        model: The head, prepared for its processes.
        at: The state of the training.
        train: The train split.
        settings: Of this stage.
        accelerator: Device, precision and number of processes.
        stage: The stage's name.
        on_step: Called after every step with the number of done steps.

    Returns:
        The mean of each weighted loss term, and their `total`; and each term's share of the gradient in the first step.
    """
    sums, norms = dict[str, Tensor | float](), dict[str, Tensor]()
    model.train()

    def learn(rows: Array, weight: float) -> dict[str, Tensor]:
        """Add the gradient of some clips' loss, and give its terms and total, all times `weight`."""
        nonlocal norms
        batch = train.batch(rows).to(accelerator.device)
        at.head.see(to_device(torch.from_numpy(rows), accelerator.device))
        loss, terms = _losses(model, at.head, batch, accelerator, stage)
        # Code that is compiled allows one backward pass only.
        if not sums and not norms and len(terms) > 1 and not settings.compile:
            norms = gradient_norms(terms, list(at.head.parameters()))
        accelerator.backward(loss * weight)
        return {name: term.detach() * weight for name, term in {**terms, "total": loss}.items()}

    for done, rows in enumerate(shuffled(train, settings, at.order), start=1):
        share = _share(rows, accelerator.process_index, accelerator.num_processes)
        for name, term in learn_in_parts(learn, share, at, accelerator).items():
            sums[name] = sums.get(name, 0.0) + term * len(rows)
        _step(model, at, settings, accelerator)
        on_step(done)
    return {name: float(accelerator.reduce(s, "mean")) / len(train) for name, s in sums.items()}, shares(norms)


def _losses(
    model: torch.nn.Module, head: Head, batch: Batch, accelerator: Accelerator, stage: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch of clips and its terms, from a forward pass in the training's precision."""
    with accelerator.autocast():
        outputs = model(batch.inputs)
    return losses_of(head, outputs, batch.targets, stage)


def losses_of(head: Head, outputs: Outputs, targets: Tensor, stage: str) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, the sum of the head's terms, and the terms; in 32 bit whatever the forward pass ran in."""
    terms = head.losses({name: _full(value) for name, value in outputs.items()}, targets, stage)
    return torch.stack(list(terms.values())).sum(), terms


def _step(model: torch.nn.Module, at: Progress, settings: Training, accelerator: Accelerator) -> None:
    """Change the weights once."""
    if settings.clip:
        accelerator.clip_grad_norm_(model.parameters(), settings.clip)
    at.schedule.step()
    at.optimizer.step()
    at.average.update()


def _share(rows: Array, rank: int, world: int) -> Array:
    """The part of a batch for one process; small batches are padded so that every process has clips."""
    if world == 1:
        return rows
    filled: Array = np.resize(rows, math.ceil(len(rows) / world) * world)
    return filled[rank::world]


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor

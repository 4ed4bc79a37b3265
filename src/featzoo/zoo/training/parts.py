"""Batches that do not fit in a device's memory, computed in parts whose gradients are added up."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from featzoo.sequence import Array
from featzoo.zoo.training.checkpoint import Progress

LOG = logging.getLogger(__name__)


def learn_in_parts(
    learn: Callable[[Array, float], dict[str, Tensor]], rows: Array, at: Progress, accelerator: Accelerator
) -> dict[str, Tensor]:
    """The gradient of a batch, in `at.parts` parts: twice as many from when one does not fit in the memory.

    The sum over the parts is the batch's gradient where the loss is a mean over clips. A loss that compares clips, such
    as a contrastive one, compares those of one part.

    Args:
        learn: Adds the gradient of some rows, times a weight, and gives the loss's terms, times this weight.
        rows: (B,) rows of the batch's clips.
        at: The state of the training; its gradients and `parts` are changed.
        accelerator: Device and number of processes.

    Raises:
        torch.OutOfMemoryError: If a single clip does not fit, or there are several processes, which would disagree.
    """
    while True:
        at.optimizer.zero_grad()
        parts = np.array_split(rows, min(at.parts, len(rows)))
        try:
            each = [learn(part, len(part) / len(rows)) for part in parts]
            return {name: torch.stack([terms[name] for terms in each]).sum() for name in each[0]}
        except torch.OutOfMemoryError:
            if len(parts) == len(rows) or accelerator.num_processes > 1:
                raise
        # After the handler, because the error holds the failed pass's tensors.
        at.parts *= 2
        if accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        said = "a batch of %d clips does not fit in the memory of %s: continuing in %d parts, adding up their gradients"
        LOG.warning(said, len(rows), accelerator.device, at.parts)

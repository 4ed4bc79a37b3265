"""The clips of a whole batch for terms that compare clips, where several processes train on parts of it."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather


def gathered(rows: Tensor, training: bool) -> Tensor:
    """The rows of all processes, with their gradients; the same tensor for a single process and in evaluation.

    Every process has as many rows, and computes a term of all of them. Gradients reach the rows of each process from
    the terms of all; DistributedDataParallel's mean over processes then gives the gradient of the term itself.

    Args:
        rows: (B, ...), floating point, integer or bool.
        training: False in evaluation, where every process reads the same clips.

    Returns:
        (W B, ...) for W processes, in the same order everywhere.
    """
    if not (training and dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    if not rows.is_floating_point():
        numbers = (rows.to(torch.uint8) if rows.dtype == torch.bool else rows).contiguous()  # Gloo gathers no bool
        parts = [torch.empty_like(numbers) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, numbers)
        return torch.cat(parts).to(rows.dtype)
    return torch.cat(all_gather(rows.contiguous()))

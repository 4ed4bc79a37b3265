"""A head's losses and predictions on a split, in 32 bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from featzoo.devices import facts_of, float32_products, settings_for
from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.head import Head


@torch.no_grad()
def evaluate(
    head: Head, split: Split, batch_size: int, device: torch.device, stage: str
) -> tuple[dict[str, float], Array]:
    """Mean loss terms, and (N, K) float64 numbers or probabilities in the split's order; in 32 bit, without dropout.

    The same weights, split and batch size give the same digits, because the batches are always the same.
    """
    head.eval()
    terms: dict[str, list[Tensor]] = {}
    predicted: list[tuple[Array, Tensor]] = []
    with float32_products(device):
        for rows, batch in split.batches(batch_size):
            batch = batch.to(device)
            outputs = head(batch.inputs)
            for name, term in head.losses(outputs, batch.targets, stage).items():
                terms.setdefault(name, []).append(term)
            predicted.append((rows, head.objective.values(outputs["prediction"])))
    means = {name: torch.stack(values).tolist() for name, values in terms.items()}
    losses = {
        name: sum(mean * len(rows) for mean, (rows, _) in zip(values, predicted, strict=True)) / len(split)
        for name, values in means.items()
    }
    return {**losses, "total": sum(losses.values())}, _in_order(predicted)


def predictions(
    head: Head, split: Split, batch_size: int, device: torch.device, stage: str, fitted: Array | None = None
) -> Array:
    """The (N, K) predictions of `evaluate`.

    Args:
        head: The head.
        split: The split.
        batch_size: Clips in a batch.
        device: The head's device.
        stage: One of the head's.
        fitted: For the split to which a head may have fitted something (`Head.fits_dev`), its (N, K) targets, NaN for
            clips that were not seen: each clip is then predicted by what the head would have fitted without it.
    """
    if fitted is None or not head.fits_dev:
        return evaluate(head, split, batch_size, device, stage)[1]
    return head.left_out(output_of(head, split, batch_size, device, head.fits_dev), fitted)


@torch.no_grad()
def output_of(head: Head, split: Split, batch_size: int, device: torch.device, name: str) -> Array:
    """One output of a head on a split, float64 (N, ...) in the split's order; in 32 bit, without dropout."""
    head.eval()
    with float32_products(device):
        found = [(rows, head(batch.to(device).inputs)[name]) for rows, batch in split.batches(batch_size)]
    return _in_order(found)


def _in_order(found: Sequence[tuple[Array, Tensor]]) -> Array:
    """Values of batches, each with its clips' rows, in the order of the rows: float64 (N, ...)."""
    # Read together, so that device and host do not wait for each other before.
    together = torch.cat([values for _, values in found]).cpu().double().numpy()
    ordered: Array = np.empty_like(together)
    ordered[np.concatenate([rows for rows, _ in found])] = together
    return ordered


def evaluation_batch(batch_size: int, device: torch.device) -> int:
    """The batch size of a final evaluation, for which a GPU has more room than in training."""
    return batch_size * settings_for(facts_of(device)).evaluation

"""A run's head on the features of new clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.devices import choose_devices, float32_products
from featzoo.zoo.data.feature_choice import Chosen
from featzoo.zoo.data.load import load_clips
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.training.evaluation import evaluation_batch

Sets = Mapping[str, FeatureSet | None]


def apply_head(
    folder: RunFolder, store: FeatureStore, ids: Sequence[str], sets: Sets, device: str
) -> dict[str, list[float]]:
    """Clip id to the head's K outputs, numbers or probabilities of classes, for clips that have every required input.

    Args:
        folder: A finished run.
        store: Where the features are.
        ids: The clips.
        sets: Role to the feature set that it reads; None where the input is masked.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        FeatzooError: If a file of the run is damaged, or the device does not exist here.
    """
    recorded, specs, recipe = folder.recorded_sets, folder.specs, folder.recipe
    chosen = {role: Chosen(one["request"], sets[role], specs[role]) for role, one in recorded.items()}
    clips = load_clips(store, recipe, ids, chosen, folder.statistics)
    place = torch.device(choose_devices(device)[0])
    head = folder.head().to(place)
    values = {}
    with torch.inference_mode(), float32_products(place):
        for rows, batch in clips.batches(evaluation_batch(recipe.training.batch_size, place)):
            outputs = head.objective.values(head(batch.to(place).inputs)["prediction"])  # (B, K)
            for row, output in zip(rows, outputs.double().cpu().tolist(), strict=True):
                values[clips.ids[row]] = output
    return values

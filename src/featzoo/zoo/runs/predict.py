"""Predictions for new media, from exactly the features that a head was trained on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.devices import float32_products
from featzoo.extraction.driver import Outcome, extract_all
from featzoo.media.discovery import find_clips
from featzoo.zoo.data.feature_choice import Chosen
from featzoo.zoo.data.load import load_clips
from featzoo.zoo.data.split import Split
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.target import Target
from featzoo.zoo.training.evaluation import evaluation_batch
from featzoo.zoo.training.loop import accelerator_on

Sets = Mapping[str, FeatureSet | None]


@dataclass(frozen=True)
class Prediction:
    """A head's prediction for one clip.

    Attributes:
        clip: Its id.
        values: Target to predicted number or class; empty where no prediction was possible.
        probabilities: Class to its probability; empty for numbers.
        missing: Role to the reason why the clip lacks this input. It was masked, or is required and no prediction was
            possible.
    """

    clip: str
    values: Mapping[str, float | str]
    missing: Mapping[str, str]
    probabilities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Predicted:
    """Predictions, and the feature sets that they were made from.

    Attributes:
        run: The run's folder.
        used: Role to the key of the feature set that was extracted; "" where the input was masked.
        predictions: One for each clip, in the order of their ids.
    """

    run: Path
    used: Mapping[str, str]
    predictions: tuple[Prediction, ...]

    @property
    def failed(self) -> list[Prediction]:
        """The clips without a prediction."""
        return [one for one in self.predictions if not one.values]


def predict(
    run: str | Path,
    sources: str | Path | Sequence[str | Path],
    *,
    store: str | Path | None = None,
    without: Sequence[str] = (),
    jobs: int = -1,
    device: str = "auto",
    encoding: str | None = None,
    trust: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Predicted:
    """Extract what a run's head was trained on from new clips, and predict.

    Args:
        run: A finished run's folder.
        sources: A media file, folder or manifest, or several; transcripts lie beside the media.
        store: Where to keep the features; by default they are thrown away.
        without: Roles to mask, for features that cannot be extracted here.
        jobs: Worker processes; -1 is one for each core.
        device: auto, cpu, cuda, cuda:N or mps.
        encoding: Of transcripts and tables that are not UTF-8 and have no byte order mark; detected if None.
        trust: Whether the run may import classes that you have not trained with on this machine.
        on_outcome: Called for each clip of each feature set.

    Raises:
        UntrustedRun: If it names such classes, and `trust` is not given.
        FeatzooError: If the run is not finished, a feature set cannot be made here as it was for training, or
            there is no clip.
    """
    folder = RunFolder.open_finished(Path(run), trust)
    extractors = folder.extractors(without)
    given = [sources] if isinstance(sources, str | Path) else sources
    clips = find_clips(*map(Path, given), encoding=encoding).clips
    ids = sorted(clip.id for clip in clips)
    with ExitStack() as stack:
        place = store or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="featzoo-"))) / "features"
        opened = FeatureStore.create(place)
        distinct = list({one.key: one for one in extractors.values() if one is not None}.values())
        extract_all(opened, distinct, clips, jobs=jobs, device=device, on_outcome=on_outcome)
        sets = {role: opened.find(one.key) if one is not None else None for role, one in extractors.items()}
        made = _apply(folder, _load(folder, opened, ids, sets), device)
        predictions = tuple(_prediction(folder.recipe.target, i, made.get(i), _missing(sets, i)) for i in ids)
    used = {role: one.key if one is not None else "" for role, one in extractors.items()}
    return Predicted(folder.path, used, predictions)


def _load(folder: RunFolder, store: FeatureStore, ids: Sequence[str], sets: Sets) -> Split:
    """The clips that have every required input."""
    recorded, specs = folder.recorded_sets, folder.specs
    chosen = {role: Chosen(one["request"], sets[role], specs[role]) for role, one in recorded.items()}
    return load_clips(store, folder.recipe, ids, chosen, folder.statistics)


def _prediction(target: Target, clip_id: str, output: list[float] | None, missing: Mapping[str, str]) -> Prediction:
    """The prediction of a clip from the head's K outputs."""
    if output is None:
        return Prediction(clip_id, {}, missing)
    named = dict(zip(target.outputs, output, strict=True))
    if target.kind == "class":
        return Prediction(clip_id, {target.columns[0]: max(named, key=named.__getitem__)}, missing, named)
    return Prediction(clip_id, named, missing, named if target.of_classes else {})


def _apply(folder: RunFolder, clips: Split, device: str) -> dict[str, list[float]]:
    """Clip id to the head's K outputs: numbers, or probabilities of classes."""
    accelerator, recipe = accelerator_on(device, "fp32"), folder.recipe
    head = folder.head().to(accelerator.device)
    values = {}
    size = evaluation_batch(recipe.training.batch_size, accelerator.device)
    with torch.inference_mode(), float32_products(accelerator.device):
        for rows, batch in clips.batches(size):
            outputs = head.objective.values(head(batch.to(accelerator.device).inputs)["prediction"])  # (B, K)
            for row, output in zip(rows, outputs.double().cpu().tolist(), strict=True):
                values[clips.ids[row]] = output
    return values


def _missing(sets: Sets, clip_id: str) -> dict[str, str]:
    """Role to the reason why a clip lacks it."""
    found = {}
    for role, one in sets.items():
        failure = one.failure(clip_id) if one is not None else None
        if one is not None and failure is not None and not one.holds(clip_id):
            found[role] = f"{failure.reason}: {failure.message}"
    return found

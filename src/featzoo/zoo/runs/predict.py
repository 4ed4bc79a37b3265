"""From new media to a trained head's predictions: just what the head was trained on is extracted."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featzoo import plugins
from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError, InvalidClips, InvalidOption, UnknownName, suggestion
from featzoo.extraction.driver import Outcome, extract_all
from featzoo.extractors.contract import Extractor, spec_digest
from featzoo.media.discovery import find_clips

if TYPE_CHECKING:
    from featzoo.zoo.data.feature_choice import Chosen

FEATURES = "features.json"


@dataclass(frozen=True)
class Prediction:
    """What a head says of one clip.

    Attributes:
        clip: Its id.
        values: Target to prediction; empty where it could not be made.
        missing: Inputs that this clip lacks (role to reason); they were masked, or required and not there.
    """

    clip: str
    values: Mapping[str, float]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Predicted:
    """Predictions, and what they were made from.

    Attributes:
        run: The run's folder.
        used: Role to the key of the feature set that was extracted; "" where the head goes without.
        predictions: Of every clip, in order of id.
    """

    run: Path
    used: Mapping[str, str]
    predictions: tuple[Prediction, ...]

    @property
    def failed(self) -> list[Prediction]:
        """Clips without a prediction."""
        return [one for one in self.predictions if not one.values]


def predict(
    run: Path,
    sources: Sequence[Path],
    *,
    store: Path | None = None,
    without: Sequence[str] = (),
    jobs: int = -1,
    device: str = "auto",
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Predicted:
    """Extract what a run's head was trained on from new clips, and predict.

    Args:
        run: A finished run's folder.
        sources: Media files, folders, or manifests; transcripts lie beside the media.
        store: Where to keep the features; by default they are thrown away.
        without: Roles to mask, for features that cannot be extracted here.
        jobs: Worker processes; -1 is one for each core.
        device: auto, cpu, cuda or cuda:1.
        on_outcome: Called for each clip of each feature set.

    Raises:
        FeatzooError: If the run is not finished, a feature set cannot be made here as it was for training, or
            there is no clip.
    """
    import torch

    from featzoo.zoo.data.load import load_clips
    from featzoo.zoo.runs.load import load_head, recipe_and_statistics
    from featzoo.zoo.training.loop import accelerator_on

    recipe, statistics = recipe_and_statistics(run)
    wanted = extractors_of(run, without)
    clips = find_clips(*sources).clips
    if not clips:
        raise InvalidClips(f"no clip in {', '.join(map(str, sources))}")
    with ExitStack() as stack:
        place = store or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="featzoo-"))) / "features"
        opened = FeatureStore.create(place)
        chosen_extractors = {one.key: one for one in wanted.values() if one is not None}
        extract_all(
            opened, list(chosen_extractors.values()), clips, jobs=jobs, device=device, on_outcome=on_outcome
        )  # fmt: skip
        sets = {role: opened.find(one.key) if one is not None else None for role, one in wanted.items()}
        chosen = _chosen(run, sets)
        loaded = load_clips(opened, recipe, sorted(clip.id for clip in clips), chosen, statistics)
        accelerator = accelerator_on(device, "no")
        head = load_head(run).to(accelerator.device)
        values: dict[str, Sequence[float]] = {}
        with torch.inference_mode():
            for rows, batch in loaded.batches(recipe.training.batch_size):
                outputs = head(batch.to(accelerator.device).inputs)["prediction"].double().cpu().tolist()
                values |= {loaded.ids[row]: output for row, output in zip(rows, outputs, strict=True)}
        predictions = tuple(
            Prediction(clip_id, dict(zip(recipe.target.columns, values.get(clip_id, ()), strict=False)), missing)
            for clip_id in sorted(clip.id for clip in clips)
            for missing in [_missing(sets, clip_id)]
        )
    return Predicted(run, {role: one.key if one is not None else "" for role, one in wanted.items()}, predictions)


def extractors_of(run: Path, without: Sequence[str] = ()) -> dict[str, Extractor | None]:
    """Role to the extractor that makes just what a run was trained on; None where the head can predict without.

    Args:
        run: A run's folder.
        without: Roles to mask.

    Raises:
        FeatzooError: If the folder is no run, or a set cannot be made here as it was for training.
    """
    from featzoo.zoo.head import roles_for_losses
    from featzoo.zoo.recipe import read

    try:
        sets = json.loads((run / FEATURES).read_text(encoding="utf-8"))["sets"]
    except (OSError, ValueError, KeyError) as error:
        raise FeatzooError(f"{run} is not a run folder: no readable {FEATURES}. `zoo train` makes runs") from error
    for role in without:
        if role not in sets:
            raise InvalidOption(f"run {run.name} has no input '{role}'{suggestion(role, sets)}")
    unread = {*without, *roles_for_losses(read(run / "recipe.toml").head)}
    return {role: _rebuilt(run, role, one) if one["key"] and role not in unread else None for role, one in sets.items()}


def _rebuilt(run: Path, role: str, one: Mapping[str, Any]) -> Extractor:
    """The extractor of a recorded set, checked against the recorded digest."""
    spec = one["spec"]
    if not spec.get("reads"):
        raise FeatzooError(
            f"run {run.name} reads its {role} from {one['key']}, which was imported: no extractor makes it from media. "
            f"Train on features that `feat extract` makes, or predict with --without {role}"
        )
    cls: Any
    cls, tag = _class_of(one)
    fields = {field.name for field in dataclasses.fields(cls)}
    options = {**cls.variants.get(tag, {}), **spec["options"]}
    if "model" in fields and one["model"]:
        options["model"] = one["model"]
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    made: Extractor = cls(**{key: value for key, value in options.items() if key in fields}, tag=tag)
    made.prepare()
    if spec_digest(made.spec()) != one["digest"]:
        raise FeatzooError(
            f"run {run.name} reads its {role} from {one['key']}; {made.label} makes {made.key} here: "
            f"{_differences(spec, made.spec())}"
        )
    return made


def _class_of(one: Mapping[str, Any]) -> tuple[type, str]:
    """The class that made a recorded set, and its variant's tag."""
    path = one.get("class", "")
    if ":" in plugins.parse(one["request"]).name:
        return plugins.find(plugins.EXTRACTORS, path or plugins.parse(one["request"]).name)
    try:
        return plugins.find(plugins.EXTRACTORS, one["name"])
    except UnknownName:
        if not path:
            raise
        return plugins.find(plugins.EXTRACTORS, path)


def _differences(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    differing = [key for key in sorted({*recorded, *here}) if recorded.get(key) != here.get(key)]
    parts = [f"{key} was {recorded.get(key)}, is {here.get(key)}" for key in differing]
    return "; ".join(parts) + ". Use the weights and the featzoo version of the run"


def _chosen(run: Path, sets: Mapping[str, Any]) -> dict[str, Chosen]:
    from featzoo.zoo.data.feature_choice import Chosen
    from featzoo.zoo.head import InputSpec

    recorded = json.loads((run / FEATURES).read_text(encoding="utf-8"))["sets"]
    return {
        role: Chosen(one["request"], sets[role], InputSpec(one["width"], one["ids"], one["model"]))
        for role, one in recorded.items()
    }


def _missing(sets: Mapping[str, Any], clip_id: str) -> dict[str, str]:
    """Role to why a clip lacks it."""
    found = {}
    for role, one in sets.items():
        if one is None:
            continue
        failure = one.failure(clip_id)
        if failure is not None and not one.holds(clip_id):
            found[role] = f"{failure.reason}: {failure.message}"
    return found

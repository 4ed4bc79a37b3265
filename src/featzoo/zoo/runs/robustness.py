"""A run's metrics on clips whose inputs are missing, noisy or shortened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError
from featzoo.vocabulary import split_name
from featzoo.zoo.data.load import load_split, shorten
from featzoo.zoo.data.split import Array, Split, statistics_of
from featzoo.zoo.head import roles_for_losses
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.runs.compare import check_comparable
from featzoo.zoo.runs.evaluate import train_split_of
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.scores import measure
from featzoo.zoo.training.evaluation import evaluate, evaluation_batch
from featzoo.zoo.training.loop import accelerator_on

# Signal-to-noise ratios in dB, and the shares of a clip's steps that are kept.
RATIOS = (20.0, 10.0, 5.0, 0.0)
SHARES = (0.75, 0.5, 0.25)
EVERY = "every input"


@dataclass(frozen=True)
class Condition:
    """A change of the inputs.

    Attributes:
        kind: `clean`, `missing`, `noise` or `shortened`.
        role: The input that is changed, or `every input`.
        level: The ratio in dB of `noise`, or the share of the steps that `shortened` keeps; 0 for the others.
    """

    kind: str
    role: str = EVERY
    level: float = 0.0  # not NaN, which makes no two of them equal

    def __str__(self) -> str:
        if self.kind == "noise":
            return f"noise in {self.role}, {self.level:g} dB"
        if self.kind == "shortened":
            return f"first {self.level:.0%} of {self.role}"
        return f"without {self.role}" if self.kind == "missing" else "as it is"


@dataclass(frozen=True)
class Robustness:
    """What a run loses when its inputs are changed.

    Attributes:
        run: The run's folder.
        split: train, valid or test.
        metrics: Each condition to the metrics; NaN if the head cannot predict in it. The first is the clean one.
        others: Name of each other run to its recorded metrics on the same clips.
        without_noise: Inputs that are token ids, to which no noise is added.
    """

    run: Path
    split: str
    metrics: Mapping[Condition, Metrics]
    others: Mapping[str, Metrics]
    without_noise: tuple[str, ...]


def measure_robustness(
    run: Path,
    store: Path | None = None,
    split: str = "test",
    others: Sequence[Path] = (),
    device: str = "auto",
    trust: bool = False,
) -> Robustness:
    """Predict a split with each input missing, with noise at several ratios, and with every input shortened.

    Noise is white and added to features, not to media: in each column, its variance is that of the column in the
    train split, divided by the ratio. It is the same every time. A head that fits weights to dev (`Head.fits_dev`) has
    seen the dev clips that it predicts here, unlike in the metrics that a run records.

    Args:
        run: The run's folder.
        store: A feature store; by default the one that the run was trained on.
        split: train, valid (or dev) or test.
        others: Finished runs on the same clips, such as those of single inputs.
        device: auto, cpu, cuda, cuda:N or mps.
        trust: Whether the run may import classes that you have not trained with on this machine.

    Raises:
        FeatzooError: If a folder is not that of a finished run, the runs do not predict the same clips, or the store
            does not hold the features.
    """
    split = split_name(split) or split
    folder = RunFolder.open_finished(run, trust)
    for other in others:
        check_comparable(folder, RunFolder.open_finished(other), split)
    opened = FeatureStore(store or folder.store)
    chosen = folder.sets(opened, roles_for_losses(folder.recipe.head))
    loaded = load_split(opened, folder.recipe, split, chosen, folder.statistics)
    train_split = train_split_of(opened, folder)
    accelerator = accelerator_on(device, "fp32")
    head = folder.head().to(accelerator.device)
    size = evaluation_batch(folder.recipe.training.batch_size, accelerator.device)
    roles = [role for role, one in chosen.items() if one.key and role not in roles_for_losses(folder.recipe.head)]
    found: dict[Condition, Metrics] = {}
    for condition, changed in _changed(loaded, train_split, roles):
        _, pred = evaluate(head, changed, size, accelerator.device, head.stages[-1])
        found[condition] = _measured(folder.recipe, train_split, changed, pred, found)
    recorded = {other.name: RunFolder.open_finished(other).metrics[split] for other in others}
    ids = tuple(role for role in roles if loaded.specs[role].ids)
    return Robustness(run, split, found, recorded, ids)


def _measured(
    recipe: Recipe, train_split: Split, split: Split, pred: Array, before: Mapping[Condition, Metrics]
) -> Metrics:
    """The metrics; NaN if the predictions are not finite, which happens if a head cannot do without an input."""
    try:
        return measure(recipe, train_split, split, pred)["head"]
    except FeatzooError:
        return dict.fromkeys(next(iter(before.values())), math.nan)


def _changed(split: Split, train_split: Split, roles: Sequence[str]) -> Iterator[tuple[Condition, Split]]:
    """Each condition, and the split in it."""
    yield Condition("clean"), split
    if len(roles) > 1:
        for role in roles:
            yield Condition("missing", role), _with(split, {role: [None] * len(split)})
    floats = [role for role in roles if not split.specs[role].ids]
    spread = statistics_of(train_split.features, {role: split.specs[role] for role in floats}).std
    each = [(role, [role]) for role in floats] + ([(EVERY, floats)] if len(floats) > 1 else [])
    for name, those in each:
        for ratio in RATIOS:
            noisy = {role: _noisy(split.features[role], spread[role] * 10 ** (-ratio / 20)) for role in those}
            yield Condition("noise", name, ratio), _with(split, noisy)
    for share in SHARES:
        short = {role: [_first(array, share) for array in split.features[role]] for role in roles}
        yield Condition("shortened", EVERY, share), _with(split, short)


def _with(split: Split, features: Mapping[str, Sequence[Array | None]]) -> Split:
    return replace(split, features={**split.features, **features})


def _noisy(arrays: Sequence[Array | None], spread: Array) -> list[Array | None]:
    """(T, D) arrays with noise of (D,) standard deviations; the same noise every time."""
    rng = np.random.default_rng(0)
    return [
        None if array is None else (array + rng.normal(size=array.shape) * spread).astype(np.float32)
        for array in arrays
    ]


def _first(array: Array | None, share: float) -> Array | None:
    """The first steps of a sequence, at least one; token ids keep their end."""
    if array is None or len(array) < 3:
        return array
    return shorten(array, max(2, math.ceil(share * len(array))), "cut")

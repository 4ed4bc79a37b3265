"""Predictions for clips and for windows along them, and their forms as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.media.clip import Clip
from featzoo.zoo.metrics.classification import entropy
from featzoo.zoo.target import Target


@dataclass(frozen=True)
class Prediction:
    """The prediction for one clip, or for one window of it.

    Attributes:
        clip: The clip's id.
        values: Target to predicted number or class; empty where no prediction was possible.
        missing: Role to the reason why the clip lacks this input. It was masked, or is required and no prediction was
            possible.
        probabilities: Class to its probability; empty for numbers.
        spread: Of several runs: output to the standard deviation of their predictions; else empty.
        start: Of a window, seconds from the clip's start; 0 for a whole clip.
        end: Of a window; None for a whole clip.
        windows: Of a whole clip: its windows in order, if they were asked for.
    """

    clip: str
    values: Mapping[str, float | str]
    missing: Mapping[str, str]
    probabilities: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    start: float = 0.0
    end: float | None = None
    windows: tuple[Prediction, ...] = ()

    @property
    def entropy(self) -> float | None:
        """Entropy of a class's probabilities in nats, from 0 (certain) to log(C); None for other targets."""
        one_of = bool(self.probabilities) and self.values.keys().isdisjoint(self.probabilities)
        return float(entropy(list(self.probabilities.values()))) if one_of else None

    @property
    def outputs(self) -> Mapping[str, float]:
        """Output to its number: the probabilities of classes, or the predicted numbers; empty without a prediction."""
        return self.probabilities or {name: value for name, value in self.values.items() if isinstance(value, float)}


@dataclass(frozen=True)
class Predicted:
    """Predictions, and the feature sets that they were made from.

    Attributes:
        runs: The runs' folders.
        target: What they predict.
        used: Role to the key of the feature set that was extracted; "" where the input was masked.
        predictions: One for each clip, in the order of their ids.
        clips: The clips, by id.
    """

    runs: tuple[Path, ...]
    target: Target
    used: Mapping[str, str]
    predictions: tuple[Prediction, ...]
    clips: Mapping[str, Clip] = field(repr=False)

    @property
    def failed(self) -> list[Prediction]:
        """The clips without a prediction."""
        return [one for one in self.predictions if not one.values]


def combined(target: Target, clip: str, outputs: Sequence[Sequence[float]], missing: Mapping[str, str]) -> Prediction:
    """The prediction of one or several runs for a clip.

    Args:
        target: What they predict.
        clip: The clip's id.
        outputs: Of each run: K numbers, or probabilities of classes; the mean is predicted.
        missing: Role to the reason why the clip lacks it.
    """
    each, names = np.array(outputs), target.outputs  # (R, K)
    mean = dict(zip(names, each.mean(axis=0).tolist(), strict=True))
    spread = dict(zip(names, each.std(axis=0, ddof=1).tolist(), strict=True)) if len(each) > 1 else {}
    if target.kind == "class":
        return Prediction(clip, {target.columns[0]: max(mean, key=mean.__getitem__)}, missing, mean, spread)
    return Prediction(clip, mean, missing, mean if target.of_classes else {}, spread)


def as_json(found: Predicted) -> str:
    """The runs, the feature sets, and for each clip its prediction and those of its windows."""
    clips = [{"clip": one.clip, **_plain(one), "windows": [_window(each) for each in one.windows]}
             for one in found.predictions]  # fmt: skip
    told = {"runs": [str(run) for run in found.runs], "used": dict(found.used), "clips": clips}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _plain(one: Prediction) -> dict[str, Any]:
    """Its mappings; `spread` only of several runs, `entropy` only of a class."""
    told: dict[str, Any] = {
        "values": dict(one.values),
        "probabilities": dict(one.probabilities),
        "missing": dict(one.missing),
    }
    told |= {"spread": dict(one.spread)} if one.spread else {}
    return told | ({"entropy": one.entropy} if one.entropy is not None else {})


def _window(one: Prediction) -> dict[str, Any]:
    return {"start": one.start, "end": one.end, **_plain(one)}


def as_csv(found: Predicted) -> str:
    """A row for each clip, with empty `start` and `end`, and for each window.

    Columns are the targets; of a class `p.<class>` for each probability and their `entropy` in nats; and
    `spread.<output>` for several runs, the standard deviation of their outputs.
    """
    target = found.target
    classes = target.classes if target.kind == "class" else ()
    spread = target.outputs if len(found.runs) > 1 else ()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    sure = ("entropy",) if classes else ()
    heads = [*target.columns, *(f"p.{name}" for name in classes), *sure, *(f"spread.{name}" for name in spread)]
    writer.writerow(["clip", "start", "end", *heads, "missing"])
    for one in _rows(found):
        cells = [
            *(one.values.get(name, "") for name in target.columns),
            *(one.probabilities.get(name, "") for name in classes),
            *("" if one.entropy is None else one.entropy for _ in sure),
            *(one.spread.get(name, "") for name in spread),
        ]
        span = ["", ""] if one.end is None else [one.start, one.end]
        writer.writerow([one.clip, *span, *cells, "; ".join(f"{role}: {why}" for role, why in one.missing.items())])
    return out.getvalue()


def _rows(found: Predicted) -> Iterator[Prediction]:
    for one in found.predictions:
        yield one
        yield from one.windows

"""Predictions as tiers of ELAN: one for the whole clips, one along time."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from featzoo.errors import FeatzooError
from featzoo.exchange.formats.elan import Row, export_tiers
from featzoo.media.windows import seconds_of
from featzoo.wording import count
from featzoo.zoo.runs.predicted import Predicted, Prediction


def export_predictions(found: Predicted, path: Path) -> list[str]:
    """Write a folder of one .eaf for each recording.

    A class has the tier of its label, numbers have one each, and the predictions for whole clips are on tiers that end
    in `(clip)`. Overlapping windows are shown in their middle, each as long as the distance to the next.

    Raises:
        FeatzooError: If no clip with a recording has a prediction.
        MissingPackage: If pympi-ling is not installed.
        StoreError: If the folder exists or cannot be written.
    """
    recordings: dict[Path, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for one in found.predictions:
        clip = found.clips[one.clip]
        if clip.path is None or not one.values:
            continue
        tiers = recordings[clip.path]
        for name, text in _texts(one):
            tiers[f"{name} (clip)"].append((clip.start, clip.start + seconds_of(clip), text))
        for window, (start, end) in zip(one.windows, _spans(one), strict=True):
            for name, text in _texts(window):
                tiers[name].append((clip.start + start, clip.start + end, text))
    if not recordings:
        raise FeatzooError("no clip with a recording has a prediction: ELAN's files annotate recordings")
    return export_tiers(recordings, path, [count(len(recordings), "recording")])


def _texts(one: Prediction) -> list[tuple[str, str]]:
    """Name of a tier and text of its annotation."""
    return [
        (name, f"{value} ({one.probabilities[value]:.2f})" if isinstance(value, str) else f"{value:.3f}")
        for name, value in one.values.items()
    ]


def _spans(one: Prediction) -> list[tuple[float, float]]:
    """Where each window is shown: half-way to its neighbours' middles, and at the ends as far as it reaches."""
    windows = one.windows
    middles = [(window.start + (window.end or 0.0)) / 2 for window in windows]
    edges = [(left + right) / 2 for left, right in pairwise(middles)]
    if not windows:
        return []
    edges = [windows[0].start, *edges, windows[-1].end or 0.0]
    return list(pairwise(edges))

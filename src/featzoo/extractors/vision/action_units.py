"""Facial action units, emotions, head pose and more of one face in each frame, through py-feat."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from featzoo.errors import MissingPackage
from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.extractors.vision.faces import Pictures, chosen, pictures, same_size
from featzoo.extractors.vision.pyfeat_process import PyFeat, Question, Settings, Table
from featzoo.extractors.vision.pyfeat_weights import FILES, pyfeat_weights
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check, installed
from featzoo.weights.locate import file_digest

Group = Literal[
    "aus", "emotions", "pose", "box", "landmarks", "gaze", "affect", "blendshapes", "mesh", "identity"
]  # fmt: skip
# Groups that only the second detector gives.
OF_V2 = ("affect", "blendshapes", "mesh")
USUAL: tuple[Group, ...] = ("aus", "emotions", "pose", "box")
# The columns of FACET 4.2 in CMU-MOSEI, in the order that its author gives (CMU-MultimodalSDK, issue 93).
FACET = (
    "Anger", "Contempt", "Disgust", "Joy", "Fear", "Baseline", "Sadness", "Surprise", "Confusion", "Frustration",
    *(f"AU{n}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26, 28, 43)),
    "Has_Glasses", "Is_Male", "Pitch", "Yaw", "Roll",
)  # fmt: skip
# FACET's name to the names that py-feat's two detectors use.
ALIASES = {
    "Joy": ("Happy", "happiness"), "Sadness": ("Sad", "sadness"), "Surprise": ("Surprise", "surprise"),
    "Fear": ("Fear", "fear"), "Disgust": ("Disgust", "disgust"), "Anger": ("Anger", "anger"),
}  # fmt: skip
# Probabilities of 0 and 1 have infinite odds, so evidence is limited to 6.
NEAREST = 1e-6


@dataclass(frozen=True)
class ActionUnits(ModelExtractor):
    """py-feat's measurements of one face per frame: (T, D) float32; D is 38 by default.

    A frame without a face is a row of NaN. Columns, by `columns`, in that order and with py-feat's names:
    `aus`: AU01 to AU43, 20 probabilities; `emotions`: 7 probabilities with sum 1; `pose`: Pitch, Roll and Yaw in
    radians (up, to the subject's right, and turned to it are positive) and X, Y, Z; `box`: FaceRectX, FaceRectY,
    FaceRectWidth, FaceRectHeight in pixels of the upright frame, and FaceScore in [0, 1]; `landmarks`: x_0 to x_67,
    y_0 to y_67, in pixels; `gaze`: pitch, yaw and angle in radians; `identity`: the 512 dimensions of an embedding.
    Only in v2: `affect`: valence and arousal in [-1, 1]; `blendshapes`: 52 in [0, 1]; `mesh`: x and y of 478 points in
    pixels, and z, their relative depth.

    Attributes:
        detector: py-feat's `v2` (one network for all) or `v1` (a model for each, action units by XGBoost).
        columns: Groups of columns. Groups that are not requested need no weights if they have a separate model.
        layout: `pyfeat`, or `facet`: the 35 columns of FACET 4.2 in CMU-MOSEI, in its order. As in FACET, emotions
            and action units are then evidence (log10 of the odds), and Pitch, Yaw and Roll are in degrees. Columns
            that py-feat lacks are NaN: Contempt, Baseline, Confusion, Frustration, AU18, Has_Glasses, Is_Male.
        rate: Maximum number of frames per second; None uses every frame.
        face: The chosen one of several faces: the `largest` box, or the `first` (with the highest score).
        threshold: Minimum score of a face.
        longest: Pictures with a longer side than this many pixels are shrunk to it; None never shrinks.
        batch_size: Frames per pass; does not change the features.

    Reference:
        Cheong et al., "Py-Feat: Python Facial Expression Analysis Toolbox", Affective Science 4, 2023; py-feat 2.1.

    Differences:
        Times are the frames' presentation times, where py-feat assumes a constant rate. One face per frame is kept;
        py-feat gives a row for each face and does not track them. Pictures larger than `longest` are shrunk first.
        `layout=facet` has FACET's columns and units, but its values come from other models, trained on other faces.
    """

    name = "action-units"
    modality = "vision"
    version = 2  # exactly the frames asked for, with square pixels; each row stands for the time until the next
    reads = ("video",)
    licence = (
        "py-feat: MIT; most of its weights: non-commercial research only (ConvNeXt V2, Gaze360, ArcFace, img2pose)"
    )
    extra = "action-units"
    usual: ClassVar[tuple[str, ...]] = ()  # only on request: a frame takes seconds on a CPU
    # A window of frames is held in memory.
    window: ClassVar[int] = 32

    detector: Literal["v2", "v1"] = "v2"
    columns: tuple[Group, ...] = USUAL
    layout: Literal["pyfeat", "facet"] = "pyfeat"
    rate: float | None = 5.0
    face: Literal["largest", "first"] = "largest"
    threshold: float = 0.5
    longest: int | None = 1280
    batch_size: int = field(default=16, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if (self.rate is not None and self.rate <= 0) or self.batch_size < 1:
            raise ValueError("rate and batch_size must be positive")
        if not 0 <= self.threshold <= 1 or (self.longest is not None and self.longest < 64):
            raise ValueError("threshold must be within 0 and 1, and longest at least 64 pixels")
        strange = [group for group in self.columns if group not in get_args(Group)]
        if strange or not self.columns or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns must be some of {', '.join(get_args(Group))}, each once; got {self.columns}")
        if self.layout == "facet" and self.columns != USUAL:
            raise ValueError("layout=facet sets the columns: leave out `columns`")
        if self.detector == "v1" and set(self.columns) & set(OF_V2):
            raise ValueError(f"detector=v1 has no {', '.join(OF_V2)}")

    @property
    def _groups(self) -> tuple[str, ...]:
        return ("aus", "emotions", "pose") if self.layout == "facet" else self.columns

    def prepare(self) -> None:
        """Check the packages, and that all weights are on this machine."""
        check("torch", self.extra)
        check("torchvision", self.extra)
        if not installed("feat"):
            raise MissingPackage("py-feat is not installed: pip install 'featzoo[action-units]'")
        pyfeat_weights(self.detector, self._groups)

    def digests(self) -> dict[str, str]:
        """Digests of the files of weights."""
        return {
            f"{repository}/{name}": file_digest(Path(path))
            for repository, name, path in pyfeat_weights(self.detector, self._groups)
        }

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Decode frames and shrink them to `longest`."""
        yield from pictures(clip, self.rate, self.longest, self.window // 2)

    def encode(self, samples: Sequence[Pictures], device: str = "cpu") -> list[FeatureSequence]:
        """(T, D) for each sample; a batch may hold frames of several samples."""
        images = [image for sample in samples for image in sample.images]
        ratios = np.concatenate([sample.ratios for sample in samples])
        models = tuple(group for group in self._groups if (self.detector, group) in FILES)
        settings = Settings(self.detector, models, device, pyfeat_weights(self.detector, self._groups))
        process = _process(settings, "".join(self.digests().values()))
        names: tuple[str, ...] = ()
        rows: dict[int, Array] = {}
        for batch in same_size(images, self.batch_size):
            stacked = np.stack([images[n] for n in batch])  # (B, h, w, 3)
            table = process.detect(Question(stacked, self._groups, self.threshold))
            names = table.names
            height, width = images[batch[0]].shape[:2]
            rows.update(zip(batch, one_face(table, len(batch), self.face, height, width), strict=True))
        values = np.stack([rows[n] for n in range(len(images))])  # (sum T, D)
        in_pixels = np.array([_in_pixels(name) for name in names])
        values = np.where(in_pixels, values * ratios[:, None], values)
        if self.layout == "facet":
            names, values = FACET, as_facet(names, values)
        edges = np.cumsum([0, *map(len, samples)])
        return [
            FeatureSequence(values[a:b].astype(np.float32), sample.intervals, names)
            for sample, a, b in zip(samples, edges[:-1], edges[1:], strict=True)
        ]


def one_face(table: Table, count: int, face: str, height: int, width: int) -> Array:
    """Reduce py-feat's table to one row per frame: its largest or first face, or NaN.

    Args:
        table: py-feat's table for one batch.
        count: Number of frames in the batch.
        face: `largest` or `first`.
        height: Height of the pictures.
        width: Width of the pictures.

    Returns:
        (count, D) float64.
    """
    rows = np.full((count, len(table.names)), np.nan)
    observed = np.isfinite(table.boxes).all(axis=1)
    for frame in np.unique(table.frames[observed]):
        there = np.flatnonzero(observed & (table.frames == frame))
        rows[frame] = table.values[there[chosen(table.boxes[there], face, height, width)]]
    return rows


def as_facet(names: Sequence[str], values: Array) -> Array:
    """Convert py-feat's columns to FACET's order and units.

    Args:
        names: (D) names of py-feat's columns.
        values: (T, D) probabilities and radians.

    Returns:
        (T, 35): evidence (log10 of the odds, from -6 to 6) and degrees; NaN in columns that py-feat lacks.
    """
    places = {name: number for number, name in enumerate(names)}
    mapped = np.full((len(values), len(FACET)), np.nan)
    for column, name in enumerate(FACET):
        theirs = ALIASES.get(name, (f"AU{int(name[2:]):02d}" if name.startswith("AU") else name,))
        for place in (places[each] for each in theirs if each in places):
            degrees = name in ("Pitch", "Yaw", "Roll")
            mapped[:, column] = np.degrees(values[:, place]) if degrees else evidence(values[:, place])
    return mapped


def evidence(probability: Array) -> Array:
    """Evidence in FACET's form, log10 of the odds: 0 is as likely as not, 1 is ten times likelier than not."""
    kept = np.clip(probability, NEAREST, 1 - NEAREST)
    return np.asarray(np.log10(kept / (1 - kept)))


def _in_pixels(name: str) -> bool:
    return name.startswith(("FaceRect", "x_", "y_", "mesh_x_", "mesh_y_"))


_processes: dict[tuple[int, Settings, str], PyFeat] = {}
_starting = threading.Lock()


def _process(settings: Settings, digest: str) -> PyFeat:
    """This process's child for these settings and weights; a new one if it has died."""
    with _starting:
        key = (os.getpid(), settings, digest)
        if key not in _processes or _processes[key].process.poll() is not None:
            _processes[key] = PyFeat(settings, _threads())
        return _processes[key]


def _threads() -> int:
    """Number of threads that this worker may use."""
    import torch

    return torch.get_num_threads()

"""Facial action units, emotions, head pose and more of one face in each frame, through py-feat."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from featzoo.errors import MissingPackage, MissingWeights
from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.extractors.vision.faces import Pictures, chosen, pictures, same_size
from featzoo.extractors.vision.facet_columns import FACET
from featzoo.extractors.vision.pyfeat_process import PyFeat, Question, Settings, Table
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check, installed
from featzoo.weights.locate import file_digest
from featzoo.weights.search import chosen_folder, hub_caches, hub_name, pyfeat_folders

Group = Literal[
    "aus", "emotions", "pose", "box", "landmarks", "gaze", "affect", "blendshapes", "mesh", "identity"
]  # fmt: skip
# What only the second detector gives.
OF_V2 = ("affect", "blendshapes", "mesh")
USUAL: tuple[Group, ...] = ("aus", "emotions", "pose", "box")
# Files that py-feat 2.1 asks the hub for, by detector and group; "" is needed whatever the columns. Of alternatives in
# one string, the first that is there is taken, as py-feat does.
FILES: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("v1", ""): (
        ("py-feat/retinaface_r34", "model.safetensors|retinaface_r34.safetensors"),
        ("py-feat/mobilefacenet", "mobilefacenet_model_best.pth.tar"),
    ),
    ("v1", "aus"): (("py-feat/xgb_au", "xgb_au_classifier_v2.skops|xgb_au_classifier.skops"),),
    ("v1", "emotions"): (
        ("py-feat/resmasknet", "config.json"),
        ("py-feat/resmasknet", "ResMaskNet_Z_resmasking_dropout1_rot30.pth"),
    ),
    ("v1", "pose"): (
        ("py-feat/pose_mlp_v2", "pose_mlp_v2.safetensors"),
        ("py-feat/pose_mlp_v2", "pose_mlp_v2.json"),
    ),
    ("v1", "gaze"): (("py-feat/l2cs", "l2cs_gaze360_resnet50.safetensors"),),
    ("v1", "identity"): (("py-feat/arcface_r50", "arcface_r50.safetensors"),),
    ("v2", ""): (
        ("py-feat/retinaface_r34", "model.safetensors|retinaface_r34.safetensors"),
        ("py-feat/face_multitask_v2", "face_multitask_v28.safetensors"),
    ),
    ("v2", "identity"): (("py-feat/arcface_r50", "arcface_r50.safetensors"),),
}
# FACET's names of what py-feat calls otherwise, in both detectors' words.
ALIASES = {
    "Joy": ("Happy", "happiness"), "Sadness": ("Sad", "sadness"), "Surprise": ("Surprise", "surprise"),
    "Fear": ("Fear", "fear"), "Disgust": ("Disgust", "disgust"), "Anger": ("Anger", "anger"),
}  # fmt: skip
# Probabilities of 0 and 1 have no finite odds: evidence stays within 6.
NEAREST = 1e-6


@dataclass(frozen=True)
class ActionUnits(ModelExtractor):
    """What py-feat finds in one face of each frame: (T, D) float32; D is 38 by default.

    A frame without a face is a row of NaN. Columns, by `columns`, in that order and as py-feat names them:
    `aus`: AU01 to AU43, 20 probabilities; `emotions`: 7 probabilities, of sum 1; `pose`: Pitch, Roll and Yaw in
    radians (up, to the subject's right, and turned to it are positive) and X, Y, Z; `box`: FaceRectX, FaceRectY,
    FaceRectWidth, FaceRectHeight in pixels of the upright frame, and FaceScore in [0, 1]; `landmarks`: x_0 to x_67,
    y_0 to y_67, in pixels; `gaze`: pitch, yaw and angle in radians; `identity`: 512 of an embedding. Of v2 alone:
    `affect`: valence and arousal in [-1, 1]; `blendshapes`: 52 in [0, 1]; `mesh`: x and y of 478 points in pixels,
    and z, their relative depth.

    Attributes:
        detector: py-feat's `v2` (one network for all) or `v1` (a model for each, action units by XGBoost).
        columns: Groups of columns. What is not asked for needs no weights, if it has a model of its own.
        layout: `pyfeat`, or `facet`: the 35 columns of FACET 4.2 in CMU-MOSEI, in its order. Emotions and action
            units are then evidence, log10 of the odds, and Pitch, Yaw and Roll degrees, as FACET's are; what
            py-feat has not is NaN: Contempt, Baseline, Confusion, Frustration, AU18, Has_Glasses, Is_Male.
        rate: At most so many frames a second; None is every frame.
        face: Which of several: the `largest` box, or the `first` (of which the detector is surest).
        threshold: Score that a face has at least.
        longest: A picture with a longer side is shrunk until it has so many pixels; None never.
        batch_size: Frames per pass; does not change the features.

    Reference:
        Cheong et al., "Py-Feat: Python Facial Expression Analysis Toolbox", Affective Science 4, 2023; py-feat 2.1.

    Differences:
        Times are the frames' presentation times; py-feat takes the average rate for granted. One face a frame:
        py-feat gives a row for each, and does not follow them either. A picture above `longest` is shrunk first.
        `layout=facet` is like FACET, and not FACET: other models, trained on other faces.
    """

    name = "action-units"
    modality = "vision"
    reads = ("video",)
    licence = (
        "py-feat: MIT; most of its weights: non-commercial research only (ConvNeXt V2, Gaze360, ArcFace, img2pose)"
    )
    extra = "action-units"
    usual: ClassVar[tuple[str, ...]] = ()  # on request: a frame takes seconds on a CPU
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
            raise ValueError("rate and batch_size are positive")
        if not 0 <= self.threshold <= 1 or (self.longest is not None and self.longest < 64):
            raise ValueError("threshold is a score, 0 to 1, and longest at least 64 pixels")
        strange = [group for group in self.columns if group not in get_args(Group)]
        if strange or not self.columns or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns are some of {', '.join(get_args(Group))}, each once; got {self.columns}")
        if self.layout == "facet" and self.columns != USUAL:
            raise ValueError("layout=facet has columns of its own: leave out `columns`")
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
        self._weights()

    def digests(self) -> dict[str, str]:
        """Of each file of weights."""
        return {f"{repository}/{name}": file_digest(Path(path)) for repository, name, path in self._weights()}

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Frames, shrunk to `longest`."""
        yield from pictures(clip, self.rate, self.longest, self.window // 2)

    def encode(self, samples: Sequence[Pictures], device: str = "cpu") -> list[FeatureSequence]:
        """(T, D) for each sample; batches cross samples."""
        images = [image for sample in samples for image in sample.images]
        ratios = np.concatenate([sample.ratios for sample in samples])
        models = tuple(group for group in self._groups if (self.detector, group) in FILES)
        settings = Settings(self.detector, models, device, self._weights())
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

    def _weights(self) -> tuple[tuple[str, str, str], ...]:
        """Repository, file name and path of all files that py-feat will ask for.

        Raises:
            MissingWeights: If one is not on this machine.
        """
        found, missing = [], []
        for group in ("", *self._groups):
            for repository, names in FILES.get((self.detector, group), ()):
                path = _file(repository, names.split("|"))
                if path is None:
                    missing.append((repository, names.split("|")[0]))
                else:
                    found.append((repository, path.name, str(path)))
        if missing:
            raise MissingWeights(_how_to_get(self.detector, missing))
        return tuple(found)


def one_face(table: Table, count: int, face: str, height: int, width: int) -> Array:
    """py-feat's table with one row for each frame: its largest or first face, or NaN.

    Args:
        table: Of one batch.
        count: Frames in the batch.
        face: `largest` or `first`.
        height: Of the pictures.
        width: Of the pictures.

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
    """py-feat's columns in the places and units of FACET's.

    Args:
        names: (D) of py-feat's columns.
        values: (T, D) probabilities and radians.

    Returns:
        (T, 35): evidence (log10 of the odds, within 6) and degrees; NaN where py-feat has no such column.
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
    """log10 of the odds, as FACET gives: 0 is as likely as not, 1 is ten times likelier than not."""
    kept = np.clip(probability, NEAREST, 1 - NEAREST)
    return np.asarray(np.log10(kept / (1 - kept)))


def _in_pixels(name: str) -> bool:
    return name.startswith(("FaceRect", "x_", "y_", "mesh_x_", "mesh_y_"))


def _roots() -> list[Path]:
    """Where weights are looked for: the user's folder, py-feat's own, the hub's caches."""
    return [*filter(None, [chosen_folder()]), *pyfeat_folders(), *hub_caches()]


def _file(repository: str, names: Sequence[str]) -> Path | None:
    """A file of a repository, in the hub's layout or as a plain folder; the first name that is there."""
    for name in names:
        for root in _roots():
            plain = [root / repository, root / repository.rpartition("/")[2]]
            for folder in [*plain, *_snapshots(root / hub_name(repository))]:
                if (folder / name).is_file():
                    return folder / name
    return None


def _snapshots(repository: Path) -> list[Path]:
    """What refs/main names, else all."""
    reference = repository / "refs" / "main"
    if reference.is_file():
        return [repository / "snapshots" / reference.read_text(encoding="utf-8").strip()]
    return sorted((repository / "snapshots").glob("*"))


def _how_to_get(detector: str, missing: Sequence[tuple[str, str]]) -> str:
    repositories = list(dict.fromkeys(repository for repository, _ in missing))
    commands = " && ".join(f"feat weights get {repository}" for repository in repositories)
    files = ", ".join(f"{repository}/{name}" for repository, name in missing)
    return (
        f"no weights of py-feat's detector {detector} on this machine: {', '.join(repositories)}: {commands}\n"
        f"Missing: {files}. Looked in {', '.join(map(str, _roots()))}.\n"
        "Without a network: type that where there is one, with --to weights after each; copy the folder `weights` here "
        "and add --weights weights"
    )


_processes: dict[tuple[int, Settings, str], PyFeat] = {}
_starting = threading.Lock()


def _process(settings: Settings, digest: str) -> PyFeat:
    """The child of this process for these settings and weights; a new one where it has died."""
    with _starting:
        key = (os.getpid(), settings, digest)
        if key not in _processes or _processes[key].process.poll() is not None:
            _processes[key] = PyFeat(settings, _threads())
        return _processes[key]


def _threads() -> int:
    """As many as this worker may use."""
    import torch

    return torch.get_num_threads()

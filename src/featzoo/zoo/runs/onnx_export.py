"""Export of a run's head to ONNX, compared with PyTorch on the run's own clips."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featzoo.cache.store import FeatureStore
from featzoo.durable import replacing
from featzoo.errors import FeatzooError, MissingFeatures
from featzoo.sequence import Array
from featzoo.weights.imports import require
from featzoo.zoo.data.feature_choice import Chosen
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.padding import pad
from featzoo.zoo.data.split import Split
from featzoo.zoo.head import roles_for_losses
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.onnx_program import MASK, OUTPUT, ExportedHead, onnx_program, short

# Clips in the comparison, and the largest difference to PyTorch's values that is allowed.
CLIPS, TOLERANCE = 16, 1e-4


@dataclass(frozen=True)
class Exported:
    """A written ONNX file.

    Attributes:
        path: The file.
        inputs: Name of each input to its shape, with names for sizes that vary.
        outputs: Names of the columns of `prediction`.
        clips: Number of clips that were compared.
        difference: The largest difference between PyTorch's predictions and onnxruntime's.
    """

    path: Path
    inputs: Mapping[str, Sequence[str | int]]
    outputs: Sequence[str]
    clips: int
    difference: float


def export_onnx(run: Path, path: Path, trust: bool = False) -> Exported:
    """Write a run's head as an ONNX file, and compare it with PyTorch on clips of the run's store.

    The file takes features as they are stored, NaN for not observed, padded with anything, and a mask of the true steps
    for each input. It has the standardisation in it. `featzoo` in its metadata says which feature sets it takes.

    Args:
        run: The run's folder.
        path: The file to write.
        trust: Whether the run may import classes that you have not trained with on this machine.

    Raises:
        MissingPackage: If onnx, onnxscript or onnxruntime is not installed.
        FeatzooError: If the head cannot be exported, or gives other values in onnxruntime; then nothing is written.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, "onnx")
    folder = RunFolder.open_finished(run, trust)
    store = FeatureStore(folder.store)
    chosen = folder.sets(store, roles_for_losses(folder.recipe.head))
    split = _some_split(store, folder, chosen)
    roles = [role for role, one in chosen.items() if one.key and role not in roles_for_losses(folder.recipe.head)]
    whole = ExportedHead(folder.head(), roles, _scales(split, roles)).eval()
    program = onnx_program(whole, _tensors(split, roles, range(min(2, len(split)))), folder.recipe.head)
    program.model.metadata_props["featzoo"] = json.dumps(_metadata(folder, roles))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        program.save(str(temporary))
        try:
            clips, difference = _compare(temporary, whole, split, roles)
        except _runtime_errors() as error:
            raise FeatzooError(f"onnxruntime cannot run head {folder.recipe.head}: {short(error)}") from error
        if not difference <= TOLERANCE:
            said = f"differs from PyTorch by {difference:g}, more than {TOLERANCE:g}"
            raise FeatzooError(f"head {folder.recipe.head} in onnxruntime {said}")
    shapes = {name: shape for role in roles for name, shape in _shapes(split, role).items()}
    return Exported(path, shapes, folder.recipe.target.outputs, clips, difference)


def _some_split(store: FeatureStore, folder: RunFolder, chosen: Mapping[str, Chosen]) -> Split:
    """Clips to compare with: those of test, or of another split."""
    for name in ("test", "valid"):
        try:
            return load_split(store, folder.recipe, name, chosen, folder.statistics)
        except MissingFeatures:
            continue
    return load_split(store, folder.recipe, "train", chosen, folder.statistics)


def _scales(split: Split, roles: Sequence[str]) -> dict[str, tuple[Array, Array]]:
    """Role to mean and standard deviation, for roles that are standardised."""
    statistics = split.statistics
    return {r: (statistics.mean[r], statistics.std[r]) for r in roles if split.scale(r) is not None}


def _tensors(split: Split, roles: Sequence[str], rows: Sequence[int]) -> tuple[Tensor, ...]:
    """The arguments of the exported head for some clips: unstandardised, NaN where not observed."""
    found: list[Tensor] = []
    for role in roles:
        arrays = [split.features[role][row] for row in rows]
        padded = pad(arrays, split.specs[role])
        values = padded.values
        if not split.specs[role].ids:
            values = torch.where(padded.observed, values, torch.nan)
        found += [values, padded.mask]
    return tuple(found)


def _shapes(split: Split, role: str) -> dict[str, list[str | int]]:
    sizes: list[str | int] = ["batch", f"{role}_steps"]
    values = sizes if split.specs[role].ids else [*sizes, split.specs[role].width]
    return {role: values, role + MASK: sizes}


def _metadata(folder: RunFolder, roles: Sequence[str]) -> dict[str, Any]:
    recipe, sets = folder.recipe, folder.recorded_sets
    return {
        "recipe": recipe.name,
        "head": recipe.head,
        "outputs": list(recipe.target.outputs),
        "inputs": {
            role: {
                "set": sets[role]["key"], "digest": sets[role]["digest"], "rows": recipe.inputs[role].rows,
                "max_steps": recipe.inputs[role].max_steps, "longer": recipe.inputs[role].longer,
            }
            for role in roles
        },
    }  # fmt: skip


def _runtime_errors() -> tuple[type[Exception], ...]:
    """onnxruntime's errors, which have no common class."""
    state = require("onnxruntime.capi.onnxruntime_pybind11_state", "onnx")
    return tuple(each for each in vars(state).values() if isinstance(each, type) and issubclass(each, Exception))


def _compare(path: Path, whole: ExportedHead, split: Split, roles: Sequence[str]) -> tuple[int, float]:
    """The number of clips that were predicted, all at once and one by one, and the largest difference."""
    runtime = require("onnxruntime", "onnx")
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    taken = {each.name for each in session.get_inputs()}
    rows, worst = range(min(CLIPS, len(split))), 0.0
    for those in (rows, *([row] for row in rows[:3])):
        tensors = _tensors(split, roles, those)
        with torch.no_grad():
            wanted: Array = whole(*tensors).numpy()
        given = {name: tensor.numpy() for name, tensor in zip(whole.names, tensors, strict=True) if name in taken}
        (found,) = session.run([OUTPUT], given)
        worst = max(worst, float(np.abs(found - wanted).max()))
    return len(rows), worst

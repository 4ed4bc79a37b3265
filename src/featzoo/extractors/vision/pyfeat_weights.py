"""The weights of py-feat's detectors: which files it asks for, and where they are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featzoo.errors import MissingWeights
from featzoo.weights.imports import require
from featzoo.weights.search import chosen_folder, hub_caches, pyfeat_folders

# The files that py-feat 2.1 asks the hub for, by detector and group of columns; those of "" are always needed. Where a
# string names alternatives, the first one found is used, as in py-feat.
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


def pyfeat_weights(detector: str, groups: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    """Find all files that py-feat asks for.

    Args:
        detector: `v1` or `v2`.
        groups: Groups of columns that are computed.

    Returns:
        Repository, file name and path of each file.

    Raises:
        MissingWeights: If a file is not on this machine.
    """
    found, missing = [], []
    for group in ("", *groups):
        for repository, names in FILES.get((detector, group), ()):
            path = _file(repository, names.split("|"))
            if path is None:
                missing.append((repository, names.split("|")[0]))
            else:
                found.append((repository, path.name, str(path)))
    if missing:
        raise _missing(detector, missing)
    return tuple(found)


def _roots() -> list[Path]:
    """Folders to search: the user's, py-feat's own, the hub's caches."""
    return [*filter(None, [chosen_folder()]), *pyfeat_folders(), *hub_caches()]


def _file(repository: str, names: Sequence[str]) -> Path | None:
    """A file of a repository, in a plain folder or in the hub's layout; the first of `names` that is found."""
    hub = require("huggingface_hub", "action-units")
    for name in names:
        for root in _roots():
            for folder in (root / repository, root / repository.rpartition("/")[2]):
                if (folder / name).is_file():
                    return folder / name
            cached = hub.try_to_load_from_cache(repository, name, cache_dir=root)
            if isinstance(cached, str):  # else None, or a mark that the repository lacks the file
                return Path(cached)
    return None


def _missing(detector: str, missing: Sequence[tuple[str, str]]) -> MissingWeights:
    repositories = list(dict.fromkeys(repository for repository, _ in missing))
    commands = " && ".join(f"feat weights get {repository}" for repository in repositories)
    files = ", ".join(f"{repository}/{name}" for repository, name in missing)
    return MissingWeights(
        f"no weights of py-feat's detector {detector} on this machine: {', '.join(repositories)}: {commands}\n"
        f"Missing: {files}. Looked in {', '.join(map(str, _roots()))}.",
        repositories,
    )

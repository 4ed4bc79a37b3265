"""Copies of runs to share, in a folder or on the Hugging Face hub: plain files with their digests, and no pickle."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featzoo.durable import replacing
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.weights.download import HUB, reach
from featzoo.weights.imports import require
from featzoo.zoo.runs.bundle_digests import DIGESTS, check_digest, check_digests, digest_of, read_digests
from featzoo.zoo.runs.folder import CORE, ENVIRONMENT, PREDICTIONS, STATE, RunFolder
from featzoo.zoo.runs.pretrained import find_run

# Marks a repository of the hub: hub:owner/name, or hub:owner/name@revision.
ON_HUB = "hub:"
# A trial's key, and what resumes or watches a training, are of use only where it ran.
LEFT_OUT = {STATE, DIGESTS, "trial.json"}
FOLDERS_LEFT_OUT = {"tensorboard"}
# What a run tells of the machine that it was trained on, which is nobody else's business.
OF_MACHINE = ("host",)


def push(run: str | Path, target: str, predictions: bool = False, public: bool = False) -> list[str]:
    """Copy a finished run to a folder, or to a repository of the hub.

    The copy names no host and no path of the store. It holds no pickle, and a list of the digests of its files.

    Args:
        run: The run's folder, or the name of a pretrained head.
        target: A folder, which must not exist; or `hub:owner/name`, which is made if it does not.
        predictions: Also copy predictions.csv, which has the ids and labels of clips.
        public: Whether a new repository can be read by everybody.

    Returns:
        The files of the copy, as paths inside it.

    Raises:
        FeatzooError: If the run is not finished, or the target cannot be written.
    """
    folder = RunFolder.open_finished(find_run(run))
    if not target.startswith(ON_HUB):
        return write_bundle(folder, Path(target), predictions)
    name, _ = _repository(target)
    with tempfile.TemporaryDirectory(prefix="featzoo-") as temporary:
        place = Path(temporary) / "bundle"
        files = write_bundle(folder, place, predictions)
        with _hub(name) as hub:
            hub.create_repo(name, exist_ok=True, private=not public)
            hub.upload_folder(repo_id=name, folder_path=str(place), commit_message=f"Add {folder.path.name}")
    return files


def write_bundle(folder: RunFolder, place: Path, predictions: bool = False) -> list[str]:
    """Copy a finished run into a new folder; see `push`.

    Raises:
        FeatzooError: If the folder exists or cannot be written, or a file of the run cannot be read.
    """
    from featzoo.zoo.files import write_json

    if place.exists():
        raise FeatzooError(f"{place} exists: choose a new folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(_files(folder.path, predictions))
    with replacing(place) as temporary:
        temporary.mkdir()
        for name in names:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder.path / name, temporary / name)
        told = {key: value for key, value in folder.environment.items() if key not in OF_MACHINE}
        write_json(temporary / ENVIRONMENT, told | {"store": folder.store.name})
        write_json(temporary / DIGESTS, {name: digest_of(temporary / name) for name in names})
    return names


def pull(source: str, runs: str | Path = "runs", name: str = "") -> Path:
    """Copy a bundle into a folder of runs. Only the files that it lists are copied, each with its digest checked.

    Nothing of it is imported or unpickled, then or when the head is loaded, unless it names classes of yours; see
    `trust`.

    Args:
        source: A folder that `push` made, or `hub:owner/name`, also with `@revision`.
        runs: Where to put it.
        name: Name of its folder; by default the source's.

    Returns:
        The run's folder.

    Raises:
        FeatzooError: If the source is not a bundle, a file differs from its digest, or the run's folder exists.
    """
    if not source.startswith(ON_HUB):
        return _copy(Path(source), Path(runs) / (name or Path(source).resolve().name))
    repository, revision = _repository(source)
    with tempfile.TemporaryDirectory(prefix="featzoo-") as temporary, _hub(repository) as hub:
        hub.snapshot_download(repository, revision=revision or None, local_dir=temporary)
        return _copy(Path(temporary), Path(runs) / (name or repository.partition("/")[2]))


def _copy(source: Path, place: Path) -> Path:
    listed = read_digests(source)
    if place.exists():
        raise FeatzooError(f"{place} exists: choose another name")
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as temporary:
        temporary.mkdir()
        for name, digest in listed.items():
            check_digest(source / name, digest)
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, temporary / name)
        shutil.copyfile(source / DIGESTS, temporary / DIGESTS)
        check_digests(temporary, CORE)  # what was copied, not what was there a moment ago
    return place


def _files(folder: Path, predictions: bool) -> Iterator[str]:
    """The files of a run that are copied; links are not followed."""
    left_out = LEFT_OUT if predictions else {*LEFT_OUT, PREDICTIONS}
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if name not in FOLDERS_LEFT_OUT and not name.startswith(".")]
        for name in names:
            path = Path(place) / name
            if name not in left_out and not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _repository(target: str) -> tuple[str, str]:
    """Name and revision of `hub:owner/name@revision`."""
    name, _, revision = target.removeprefix(ON_HUB).partition("@")
    owner, _, own = name.partition("/")
    if not owner or not own or "/" in own:
        raise InvalidOption(f"'{target}' is not a repository of the hub: expected {ON_HUB}owner/name")
    return name, revision


@contextmanager
def _hub(name: str) -> Iterator[Any]:
    """The hub's library, if the hub can be reached; its errors become ours."""
    reach(os.environ.get("HF_ENDPOINT") or HUB, name)
    hub = require("huggingface_hub", "zoo")
    errors = require("huggingface_hub.errors", "zoo")
    connection = errors.HfHubHTTPError.__bases__[0]
    try:
        yield hub
    except (errors.HFValidationError, connection) as error:
        said = " ".join(str(error).split())[:300]
        raise FeatzooError(f"the hub refused {name}: {said}. `hf auth login` gives it your token") from error

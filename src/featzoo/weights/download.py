"""Download model weights, for `feat weights get`. No other command uses the network.

Weights are downloaded through the library that belongs to their source, so that other programs find them too.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from featzoo.durable import replacing
from featzoo.errors import InvalidOption, MissingWeights, suggestion
from featzoo.weights.catalogue import KNOWN, Weights, known
from featzoo.weights.imports import installed, require, torchvision_module
from featzoo.weights.locate import file_digest
from featzoo.weights.search import own_folder, pyfeat_folders

#: Long enough for a network that works. Without a network, the hub's library retries for 47 seconds.
PROBE_SECONDS = 3.0
HUB = "https://huggingface.co"
TORCH = "https://download.pytorch.org"
SETTINGS = ("*.json", "*.txt", "*.model")


class NoNetwork(MissingWeights):
    """A source does not answer, or the environment forbids the network."""


def get(name: str, to: Path | None = None) -> Path:
    """Download a model's weights.

    Args:
        name: A model from `feat weights list`, any `organisation/name` on the hub, or a classification model of
            torchvision.
        to: A folder for models by name, to copy to a machine without a network; by default, the cache of the library
            that belongs to the source.

    Returns:
        The folder or file.

    Raises:
        NoNetwork: If the source cannot be reached within seconds.
        MissingWeights: If the source refuses, or its file is not the published one.
        InvalidOption: If no such model exists, or it cannot be downloaded.
        MissingPackage: If the library that belongs to the source is not installed.
    """
    entry = known(name) or _unknown(name)
    if entry.source == "own":
        raise InvalidOption(f"{entry.name}: {entry.licence}. Give your own copy as {entry.used_by[0]}[{entry.option}]")
    try:
        if entry.source in ("hub", "py-feat"):
            return _from_hub(entry, to)
        if entry.source == "torchvision":
            return _from_torchvision(entry, to)
        if entry.source == "gensim":
            return _from_gensim(entry, to)
        return _from_archive(entry, to or own_folder())
    except OSError as error:
        # includes the errors of requests and the hub: the connection breaks, the disk is full
        raise MissingWeights(f"{entry.name} was not downloaded from {entry.address}: {error}") from error


def _unknown(name: str) -> Weights:
    """An entry for a model that is not in the catalogue: a repository of the hub, or a model of torchvision."""
    if "/" in name and not name.startswith((".", "/", "~")):
        return Weights(name, "py-feat" if name.startswith("py-feat/") else "hub", name, "see its page", ())
    if installed("torchvision"):
        torchvision_module()
        from torchvision import models

        if name.partition(".")[0] in models.list_models(module=models):
            return Weights(name, "torchvision", name, "see torchvision's page", ())
    names = [each for entry in KNOWN for each in (entry.name, *entry.also)]
    near = suggestion(name, names)
    if "did you mean" not in near and re.fullmatch(r"[\w.-]+", name) and not name.startswith("."):
        return Weights(name, "hub", name, "see its page", ())  # the hub's oldest models have no organisation
    raise InvalidOption(f"no model '{name}' in `feat weights list`, on the hub or in torchvision{near}")


def reach(url: str, name: str) -> None:
    """Check that a source can be reached.

    Args:
        url: The source's URL; if the environment sets a proxy for it, the proxy is checked instead.
        name: The model's name, for error messages.

    Raises:
        NoNetwork: If the source does not answer within `PROBE_SECONDS`.
    """
    scheme = urlsplit(url).scheme
    proxy = os.environ.get(f"{scheme}_proxy") or os.environ.get(f"{scheme.upper()}_PROXY")
    parts = urlsplit(proxy or url)
    address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
    answers: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=PROBE_SECONDS).close()
        except OSError as error:
            answers.append(str(error))
        else:
            answers.append("")

    # In a thread, because a DNS look-up ignores the timeout.
    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    if answers != [""]:
        raise NoNetwork(
            f"cannot download {name}: {address[0]} does not answer ({''.join(answers) or 'no reply'})", (name,)
        )


def _from_hub(entry: Weights, to: Path | None) -> Path:
    endpoint = os.environ.get("HF_ENDPOINT") or HUB
    off = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if _is_set(name)]
    if off:
        raise NoNetwork(
            f"cannot download {entry.name}: {off[0]} is set, which keeps the hub's library off the network",
            (entry.name,),
        )
    reach(endpoint, entry.name)
    hub = require("huggingface_hub", "bert")
    # Its errors derive from those of its HTTP library, which differs between its versions.
    errors = require("huggingface_hub.errors", "bert")
    connection = errors.HfHubHTTPError.__bases__[0]
    try:
        # py-feat's repositories hold nothing but the files that it reads, in various formats.
        wanted = ["*"] if entry.source == "py-feat" else _wanted(hub.list_repo_files(entry.address))
        if not wanted:
            raise MissingWeights(f"{endpoint}/{entry.address} holds no weights (.safetensors or .bin)")
        folder: str = hub.snapshot_download(entry.address, allow_patterns=wanted, **_place(entry, to))
    except (errors.HFValidationError, connection) as error:
        raise MissingWeights(f"{entry.name} was not downloaded from {endpoint}: {error}") from error
    return Path(folder)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")


def _place(entry: Weights, to: Path | None) -> dict[str, Path]:
    """Arguments that choose huggingface_hub's folder; none for its cache. py-feat's folder has the cache's layout."""
    if entry.source == "py-feat":
        folders = [to] if to else pyfeat_folders()
        return {"cache_dir": folders[0]} if folders else {}
    return {"local_dir": to / entry.name} if to else {}


def _wanted(files: Sequence[str]) -> list[str]:
    """The settings and one format of the weights, from the files of a repository."""
    top = [Path(file) for file in files if "/" not in file]
    numbers = [path.name for path in top if path.suffix == ".safetensors"]
    numbers = numbers or [path.name for path in top if path.match("pytorch_model*.bin") or path.name == "model.bin"]
    small = [path.name for path in top if any(path.match(pattern) for pattern in SETTINGS)]
    return [*numbers, *small] if numbers else []


def _from_torchvision(entry: Weights, to: Path | None) -> Path:
    reach(TORCH, entry.name)  # before imports that take seconds
    torchvision_module()
    from torch.hub import get_dir
    from torchvision.models import get_model_weights

    model, _, tag = entry.address.partition(".")
    published = get_model_weights(model)
    if tag and tag not in published.__members__:
        raise InvalidOption(f"torchvision has no weights '{tag}' of {model}{suggestion(tag, published.__members__)}")
    url: str = published[tag or "DEFAULT"].url
    return _checkpoint(url, to or Path(get_dir()) / "checkpoints")


def _checkpoint(url: str, folder: Path) -> Path:
    """Download a checkpoint through torch.hub, which checks its digest against the digits in its file name."""
    from torch.hub import load_state_dict_from_url

    try:
        load_state_dict_from_url(url, model_dir=str(folder), progress=True, check_hash=True, weights_only=True)
    except RuntimeError as error:
        raise MissingWeights(f"{url} does not match the digest in its name, or cannot be read: {error}") from error
    return folder / url.rpartition("/")[2]


def _from_gensim(entry: Weights, to: Path | None) -> Path:
    if to is not None:
        os.environ["GENSIM_DATA_DIR"] = str(to)
    reach("https://github.com", entry.name)
    return Path(str(require("gensim.downloader", "glove").load(entry.address, return_path=True)))


def _from_archive(entry: Weights, folder: Path) -> Path:
    """Download a zip, check its digest, and unpack it; an interrupted download leaves no file under a final name."""
    reach(entry.address, entry.name)
    require("torch", "bert")
    from torch.hub import download_url_to_file

    name = entry.address.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / name
    try:
        # It writes to a temporary file and renames that once the digest matches.
        download_url_to_file(entry.address, str(archive), hash_prefix=entry.digests.get(name), progress=True)
    except RuntimeError as error:
        raise MissingWeights(f"{entry.address} does not match the digest that featzoo has of it: {error}") from error
    with zipfile.ZipFile(archive) as packed:
        for file in entry.files:
            with replacing(folder / file) as temporary, packed.open(file) as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
    archive.unlink()
    return folder / entry.files[-1]


def check(place: Path) -> None:
    """Read the downloaded files and warn about a digest that differs from the published one."""
    for file in sorted(place.iterdir()) if place.is_dir() else [place]:
        if file.suffix in (".safetensors", ".bin", ".pth"):
            file_digest(file)

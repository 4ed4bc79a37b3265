"""`feat weights get`: the only part of featzoo that uses the network, and only when it is asked to.

Each source is asked through the library that owns it, so that what is fetched lies where others find it too.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from featzoo.durable import replacing
from featzoo.errors import FeatzooError, InvalidOption, MissingWeights, suggestion
from featzoo.weights.catalogue import KNOWN, Weights, known
from featzoo.weights.imports import installed, require, torchvision_module
from featzoo.weights.locate import file_digest
from featzoo.weights.search import own_folder, pyfeat_folders

#: A network that answers does so long before; libraries that find none try again for 47 seconds.
PROBE_SECONDS = 3.0
HUB = "https://huggingface.co"
TORCH = "https://download.pytorch.org"
SETTINGS = ("*.json", "*.txt", "*.model")


class NoNetwork(FeatzooError):
    """A source does not answer, or the network is switched off."""


def get(name: str, to: Path | None = None) -> Path:
    """Download a model's weights.

    Args:
        name: A model of `feat weights list`, any `organisation/name` of the hub, or a classification model of
            torchvision.
        to: A folder for models by name, to be copied to a machine without a network; by default, where the library
            that owns the model keeps it.

    Returns:
        The folder or file.

    Raises:
        NoNetwork: If the source cannot be reached; within seconds.
        MissingWeights: If the source refuses, or gives something else than it publishes.
        InvalidOption: If there is no such model, or nobody hands it out.
        MissingPackage: If the library that owns it is not installed.
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
        # requests' and the hub's errors among them: the connection breaks, the disk is full
        raise MissingWeights(f"{entry.name} was not downloaded from {entry.address}: {error}") from error


def _unknown(name: str) -> Weights:
    """An entry for what is not in the list: a repository of the hub, or a model of torchvision."""
    if "/" in name and not name.startswith((".", "/", "~")):
        return Weights(name, "py-feat" if name.startswith("py-feat/") else "hub", name, "see its page", ())
    if installed("torchvision"):
        torchvision_module()
        from torchvision import models

        if name.partition(".")[0] in models.list_models(module=models):
            return Weights(name, "torchvision", name, "see torchvision's page", ())
    names = [each for entry in KNOWN for each in (entry.name, *entry.also)]
    raise InvalidOption(
        f"no model '{name}' in `feat weights list`, on the hub or in torchvision{suggestion(name, names)}"
    )


def reach(url: str, name: str) -> None:
    """Make sure that a source answers.

    Args:
        url: Of the source; where a proxy is set for it, the proxy is asked.
        name: Of the model, for the error text.

    Raises:
        NoNetwork: If not, after `PROBE_SECONDS` at most.
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

    # In a thread, since looking up a name minds no timeout.
    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    if answers != [""]:
        raise NoNetwork(_without(name, f"{address[0]} does not answer ({''.join(answers) or 'no reply'})"))


def _without(name: str, why: str) -> str:
    """What to type where there is no network."""
    return (
        f"cannot download {name}: {why}. On a machine with a network: feat weights get {name} --to weights. Copy the "
        "folder `weights` to this machine, and add `--weights weights` to feat extract (or set FEATZOO_WEIGHTS to it)"
    )


def _from_hub(entry: Weights, to: Path | None) -> Path:
    endpoint = os.environ.get("HF_ENDPOINT") or HUB
    off = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if _is_set(name)]
    if off:
        raise NoNetwork(_without(entry.name, f"{off[0]} is set, which keeps the hub's library off the network"))
    reach(endpoint, entry.name)
    hub = require("huggingface_hub", "bert")
    # The base of its errors that comes from its HTTP library, which differs between its versions.
    errors = require("huggingface_hub.errors", "bert")
    connection = errors.HfHubHTTPError.__bases__[0]
    try:
        # py-feat's repositories hold what it needs in forms of its own, and nothing else.
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
    """Where huggingface_hub is to put it; nothing is its own cache. py-feat's own folder has the same layout."""
    if entry.source == "py-feat":
        folders = [to] if to else pyfeat_folders()
        return {"cache_dir": folders[0]} if folders else {}
    return {"local_dir": to / entry.name} if to else {}


def _wanted(files: Sequence[str]) -> list[str]:
    """Settings and one form of the weights, of the forms that a repository offers."""
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
    """A file of weights through torch.hub, which compares the first digits of its digest with those in its name."""
    from torch.hub import load_state_dict_from_url

    try:
        load_state_dict_from_url(url, model_dir=str(folder), progress=True, check_hash=True, weights_only=True)
    except RuntimeError as error:
        raise MissingWeights(f"{url} is not what its name says, or torch cannot read it: {error}") from error
    return folder / url.rpartition("/")[2]


def _from_gensim(entry: Weights, to: Path | None) -> Path:
    if to is not None:
        os.environ["GENSIM_DATA_DIR"] = str(to)
    reach("https://github.com", entry.name)
    return Path(str(require("gensim.downloader", "glove").load(entry.address, return_path=True)))


def _from_archive(entry: Weights, folder: Path) -> Path:
    """Download a zip, compare its digest, and unpack it; nothing half done keeps a file's name."""
    reach(entry.address, entry.name)
    require("torch", "bert")
    from torch.hub import download_url_to_file

    name = entry.address.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / name
    try:
        # It writes beside and renames once the digest agrees.
        download_url_to_file(entry.address, str(archive), hash_prefix=entry.digests.get(name), progress=True)
    except RuntimeError as error:
        raise MissingWeights(f"{entry.address} is not what it was when its digest was taken down: {error}") from error
    with zipfile.ZipFile(archive) as packed:
        for file in entry.files:
            with replacing(folder / file) as temporary, packed.open(file) as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
    archive.unlink()
    return folder / entry.files[-1]


def check(place: Path) -> None:
    """Read what was downloaded and warn where its digest is not the published one."""
    for file in sorted(place.iterdir()) if place.is_dir() else [place]:
        if file.suffix in (".safetensors", ".bin", ".pth"):
            file_digest(file)

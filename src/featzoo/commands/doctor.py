"""`feat doctor`: which extractors and heads can run here, and how to install the rest."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping

import click

from featzoo import plugins
from featzoo.commands.options import without_network
from featzoo.commands.printing import echo
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
        echo(line)


def examine() -> Iterator[str]:
    """The lines that `feat doctor` prints."""
    cores = count(os.cpu_count() or 1, "core")
    yield f"Python {platform.python_version()} on {platform.platform()}, {cores}; {_devices()}"
    versions = package_versions()
    yield "packages: " + ", ".join(f"{name} {versions.get(name, '(not installed)')}" for name in PACKAGES)
    yield from _torchvision(versions)
    yield ""
    yield "extractors"
    yield from _extractors()
    yield ""
    yield "heads"
    yield from _heads()


def _torchvision(versions: Mapping[str, str]) -> Iterator[str]:
    """Lines on a torchvision that works in featzoo alone."""
    from featzoo.weights.imports import installed, torchvision_is_remedied

    if not (installed("torch") and installed("torchvision")):
        return
    torch, torchvision = versions["torch"], versions["torchvision"]
    try:
        if not torchvision_is_remedied():
            return
    except (ImportError, OSError, RuntimeError) as error:
        yield f"warning: torchvision {torchvision} cannot be imported: {error}"
    else:
        yield (
            f"warning: torchvision {torchvision} was not built for torch {torch}: `import torchvision` fails in other "
            "programs. featzoo works around it."
        )
    yield f"  To install a pair that works: {_pair(torch)}"


def _pair(torch: str) -> str:
    """The command that installs a torchvision built for this torch."""
    release, _, build = torch.partition("+")
    # PyPI's torchvision for Linux is built for CUDA; only PyTorch's own index has one for the CPU.
    index = f" --index-url https://download.pytorch.org/whl/{build}" if build else ""
    return f"pip install --force-reinstall torch=={release} torchvision{index}"


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

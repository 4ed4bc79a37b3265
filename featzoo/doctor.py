"""`feat doctor`: what can run here, what the rest lacks, and what to type."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata

from featzoo import plugins
from featzoo.backends import installed
from featzoo.errors import FeatzooError
from featzoo.extractors.contract import make_extractor, usual_extractors

PACKAGES = ("featzoo", "torch", "torchvision", "transformers", "opensmile", "av", "h5py", "numpy")


def examine() -> Iterator[str]:
    """Lines that say what can run on this machine and what to type for the rest."""
    yield f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores; {_devices()}"
    yield "packages: " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    yield ""
    yield "extractors"
    for request in usual_extractors():
        try:
            extractor = make_extractor(request)
            extractor.prepare()
        except FeatzooError as error:
            yield f"  -- {request}: {error}"
        else:
            licence = f" ({extractor.licence})" if extractor.licence else ""
            yield f"  ok {request}: {extractor.modality}{licence}"
    yield ""
    yield "heads"
    for name in plugins.registered(plugins.HEADS):
        lacking = [p for p in ("torch", "transformers", "accelerate", "safetensors") if not installed(p)]
        yield (f"  -- {name}: pip install 'featzoo[zoo]' (lacks {', '.join(lacking)})" if lacking else f"  ok {name}")


def _devices() -> str:
    if not installed("torch"):
        return "no torch"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(number) for number in range(count)]
    return f"{count} CUDA devices ({', '.join(names)})" if names else "no CUDA device"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"

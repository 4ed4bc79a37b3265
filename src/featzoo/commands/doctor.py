"""`feat doctor`: what can run here, what the rest lacks, and what to type."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata

from featzoo import plugins
from featzoo.errors import FeatzooError, MissingWeights
from featzoo.extractors.contract import make_extractor, usual_extractors
from featzoo.weights.imports import installed
from featzoo.weights.locate import NO_NETWORK

PACKAGES = ("featzoo", "torch", "torchvision", "transformers", "opensmile", "av", "h5py", "numpy")


def examine() -> Iterator[str]:
    """Lines that say what can run on this machine and what to type for the rest."""
    yield f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores; {_devices()}"
    yield "packages: " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    yield ""
    yield "extractors"
    refused: dict[str, list[str]] = {}
    without_weights = False
    for request in _requests():
        try:
            extractor = make_extractor(request)
            extractor.prepare()
        except FeatzooError as error:
            without_weights |= isinstance(error, MissingWeights)
            # The rest of it is said once, below.
            refused.setdefault(str(error).partition("\n")[0], []).append(request)
        else:
            yield f"  ok {request}: {extractor.modality}" + (f" ({extractor.licence})" if extractor.licence else "")
    for reason, requests in refused.items():
        yield f"  -- {', '.join(requests)}: {reason}"
    if without_weights:
        yield ""
        yield "All models, with sizes and licences: feat weights list"
        yield from NO_NETWORK
    yield ""
    yield "heads"
    for name in plugins.registered(plugins.HEADS):
        lacking = [p for p in ("torch", "transformers", "accelerate", "safetensors") if not installed(p)]
        yield (f"  -- {name}: pip install 'featzoo[zoo]' (lacks {', '.join(lacking)})" if lacking else f"  ok {name}")


def _requests() -> list[str]:
    """What a run without `-x` tries, and the extractors that it leaves alone."""
    usual = usual_extractors()
    tried = {request.partition(".")[0] for request in usual}
    return usual + [name for name in plugins.registered(plugins.EXTRACTORS) if name not in tried]


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

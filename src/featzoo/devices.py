"""Names of devices, as `feat` and `zoo` accept them, and the devices of this machine that they mean."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from featzoo.errors import InvalidOption
from featzoo.wording import count

#: The accepted names, as help and messages list them.
NAMES = "auto, cpu, cuda, cuda:N or mps"

# One of these is there on Linux if a driver has found a GPU that torch could use: NVIDIA's, WSL's, AMD's.
DRIVERS = Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd")


def parse_device(device: str) -> tuple[str, int]:
    """The kind of a device, `auto`, `cpu`, `cuda` or `mps`, and its number, 0 where none is given.

    Raises:
        InvalidOption: If it is no such name. Whether this machine has the device is not looked at.
    """
    named = re.fullmatch(r"(auto|cpu|mps|cuda)|cuda:([0-9]+)", device)
    if named is None:
        raise InvalidOption(f"unknown device '{device}': expected {NAMES}")
    return named[1] or "cuda", int(named[2] or 0)


def choose_devices(device: str) -> list[str]:
    """The devices of this machine to run models on, as torch names them.

    Args:
        device: `auto` for all CUDA GPUs, or the CPU if there is none; or the name of one device.

    Raises:
        InvalidOption: If there is no such name, or this machine does not have the device.
    """
    kind, number = parse_device(device)
    if kind == "cpu" or (kind == "auto" and _surely_no_gpu()):
        return ["cpu"]
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        return [f"cuda:{index}" for index in range(gpus)] or ["cpu"]
    if kind == "mps":
        if not torch.backends.mps.is_available():
            why = "finds no Apple GPU" if torch.backends.mps.is_built() else "was built without MPS"
            raise InvalidOption(f"no device 'mps' here: torch {torch.__version__} {why}; use cpu or auto")
        return ["mps"]
    if number >= gpus:
        raise InvalidOption(
            f"no device '{device}' here: torch {torch.__version__} sees {count(gpus, 'CUDA device')}; use cpu or auto"
        )
    return [f"cuda:{number}"]


def _surely_no_gpu() -> bool:
    """Whether this machine has no GPU for torch, told without importing torch, which takes seconds."""
    return "torch" not in sys.modules and sys.platform == "linux" and not any(place.exists() for place in DRIVERS)

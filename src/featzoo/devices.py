"""The devices of this machine, and the settings that each of them gets by default."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from featzoo.errors import InvalidOption
from featzoo.wording import count

if TYPE_CHECKING:
    import torch

#: The accepted names, as help and messages list them.
NAMES = "auto, cpu, cuda, cuda:N or mps"

#: The names of precisions. Recipes of 0.1 write `no` for fp32.
Precision = Literal["auto", "fp32", "bf16", "fp16", "no"]

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


@dataclass(frozen=True)
class Facts:
    """What the settings depend on.

    Attributes:
        kind: cpu, cuda or mps.
        bf16: Whether the device multiplies bfloat16 in hardware.
        memory: Bytes of a GPU's own memory; 0 for other devices.
        free: Bytes of it that are free.
    """

    kind: str
    bf16: bool = False
    memory: int = 0
    free: int = 0


@dataclass(frozen=True)
class Settings:
    """How a device is used.

    Attributes:
        precision: The precision of forward and backward passes in training. Losses, weights and evaluation are always
            in 32 bit.
        tf32: Whether products that stay in 32 bit in training may round their factors to TF32's 10 bits.
        pinned: Whether batches are copied from pinned memory, while the previous one is computed.
        cache_bytes: Largest data that `device_cache = "auto"` keeps on the device.
        evaluation: Factor of the batch size in a final evaluation, which keeps nothing for gradients.
    """

    precision: Literal["fp32", "bf16", "fp16"]
    tf32: bool
    pinned: bool
    cache_bytes: int
    evaluation: int


def facts_of(device: str | torch.device) -> Facts:
    """The facts about a device of this machine."""
    if device == "cpu":
        return Facts("cpu")
    import torch

    device = torch.device(device)
    if device.type != "cuda":
        return Facts(device.type)
    free, memory = torch.cuda.mem_get_info(device)
    # By the version of the hardware: torch also calls bf16 supported where it is emulated, slowly.
    return Facts("cuda", torch.cuda.get_device_capability(device) >= (8, 0), memory, free)


def settings_for(facts: Facts, precision: Precision = "auto") -> Settings:
    """The settings for a device.

    | device | precision=auto | TF32 | pinned memory | cache | evaluation batches |
    |---|---|---|---|---|---|
    | CPU, mps | fp32 | no | no | no | as in training |
    | GPU with bf16 (from Ampere on) | bf16 | if auto, bf16 or fp16 | yes | a tenth of its memory | 4 times as large |
    | older GPU | fp32 | has none | yes | a tenth of its memory | 4 times as large |

    Args:
        facts: The device.
        precision: The precision that was requested; `auto` uses bf16 where the device has it, except on a CPU.
    """
    gpu = facts.kind == "cuda"
    requested = "fp32" if precision == "no" else precision
    chosen = requested if requested != "auto" else "bf16" if gpu and facts.bf16 else "fp32"
    return Settings(
        precision=chosen,
        tf32=gpu and facts.bf16 and chosen != "fp32",
        pinned=gpu,
        cache_bytes=min(facts.memory // 10, facts.free // 2) if gpu else 0,
        evaluation=4 if gpu else 1,
    )


@contextmanager
def float32_products(device: str | torch.device, *, tf32: bool = False) -> Iterator[None]:
    """A block in which 32-bit products and convolutions on a GPU have all their digits, unless TF32 is allowed.

    Without it, cuDNN would round the factors of convolutions and recurrent layers to 10 bits.
    """
    if not str(device).startswith("cuda"):
        yield
        return
    import torch

    places: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = tf32
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value

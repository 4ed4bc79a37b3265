"""How the encoders of a head run their layers in training: recomputed for less memory, compiled."""

from __future__ import annotations

import torch
from torch import nn

from featzoo.errors import InvalidOption
from featzoo.zoo.nn.split_encoder import SplitEncoder
from featzoo.zoo.recipe import Training


def set_up_encoders(head: nn.Module, settings: Training, device: torch.device) -> None:
    """Run the layers of a head's encoders as the settings ask; in evaluation they stay as they were.

    Raises:
        InvalidOption: If the head has no encoder, or torch cannot compile here.
    """
    encoders = [module for module in head.modules() if isinstance(module, SplitEncoder)]
    for name in ("gradient_checkpointing", "compile"):
        if getattr(settings, name) and not encoders:
            raise InvalidOption(f"training.{name} = true: this head trains no encoder; set it to false")
    if settings.compile:
        _try_compiler(device)
    for encoder in encoders:
        encoder.recompute = settings.gradient_checkpointing
        encoder.compile_layers(settings.compile)


def _try_compiler(device: torch.device) -> None:
    """Compile something small: what is missing is said before training, not at its first step.

    Raises:
        InvalidOption: If that fails.
    """
    try:
        torch.compile(torch.sin)(torch.zeros(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InvalidOption(
            f"training.compile: torch {torch.__version__} cannot compile for {device.type} here ({said}): "
            "install a C++ compiler (on a GPU, Triton too), or set training.compile=false"
        ) from error

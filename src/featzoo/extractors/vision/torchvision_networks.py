"""torchvision's classification networks: their published weights, transforms, and nodes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from featzoo.errors import InvalidOption, suggestion
from featzoo.extractors.precision import Precision, placed
from featzoo.extractors.vision.batches import Preparation
from featzoo.weights.imports import require, torchvision_module
from featzoo.weights.locate import locate_checkpoint, locate_file

# resnet50's published weights and their files, written down so that checking for them does not import torchvision.
RESNET50 = {
    "IMAGENET1K_V1": "resnet50-0676ba61.pth",
    "IMAGENET1K_V2": "resnet50-11ad3fa6.pth",
    "DEFAULT": "resnet50-11ad3fa6.pth",
}
# These two take options when they are made: how to initialise, and whether pictures are normalised for ImageNet.
INCEPTIONS = ("googlenet", "inception_v3")


def weights_file(model: str, weights: str, extractor: str) -> Path:
    """Find the file that an option names.

    Args:
        model: torchvision's name of the network.
        weights: A published name or a path.
        extractor: The extractor's name, for error messages.

    Raises:
        InvalidOption: If `weights` is neither a published name for this model nor a path.
        MissingWeights: If the file is not on this machine.
    """
    files = published(model)
    if weights in files:
        return locate_checkpoint(files[weights], f"{model}.{weights}", f"{extractor}[weights=FILE]")
    if Path(weights).suffix or "/" in weights:
        return locate_file(weights)
    where = suggestion(weights, [*files, "random"])
    raise InvalidOption(f"{extractor}: no weights '{weights}' of {model} in torchvision, and no such file{where}")


@cache
def published(model: str) -> Mapping[str, str]:
    """Names of torchvision's weights for a model, each with its file name.

    Raises:
        InvalidOption: If torchvision has no such model.
    """
    if model == "resnet50":
        return RESNET50
    return {name: member.url.rpartition("/")[2] for name, member in _members(model).items()}


def _members(model: str) -> Mapping[str, Any]:
    """torchvision's weights for a model, by name."""
    torchvision_module()
    from torchvision import models

    names = models.list_models(module=models)
    if model not in names:
        raise InvalidOption(f"torchvision has no classification model '{model}'{suggestion(model, names)}")
    members: Mapping[str, Any] = models.get_model_weights(model).__members__
    return members


@cache
def preset_of(model: str, digest: str) -> Any:
    """torchvision's transforms for the weights with this digest; those of the model's DEFAULT for any others.

    They are chosen by digest, not by name, so that the same weights under one key always give the same features.
    """
    members = _members(model)
    for member in members.values():
        short = re.search(r"-([0-9a-f]{8,64})\.pth$", member.url)
        if short and digest.startswith(short[1]):
            return member.transforms()
    return members["DEFAULT"].transforms()


@cache
def preparation(model: str, digest: str) -> Preparation:
    """The weights' resize and centre crop, on uint8; normalisation happens on the device."""
    preset = preset_of(model, digest)
    import torch
    from torchvision.transforms import functional

    def fit(image: Any) -> Any:
        planes = torch.from_numpy(image).permute(2, 0, 1)  # (3, H, W)
        # The preset's own functions: those of transforms.v2 round some pixels to another grey level.
        scaled = functional.resize(
            planes, preset.resize_size, interpolation=preset.interpolation, antialias=preset.antialias
        )
        return functional.center_crop(scaled, preset.crop_size)  # (3, h, w)

    (side,) = preset.crop_size
    return Preparation(fit, (side, side), 1 / 255, preset.mean, preset.std)


@cache
def load_network(
    model: str, file: Path | None, seed: int, layer: str | None, device: str, precision: Precision, digest: str
) -> Callable[[Any], Any]:
    """A network in eval mode that maps pictures to rows; loaded once per process unless the weights change."""
    import torch

    size = {"image_size": preset_of(model, digest).crop_size[0]} if model.startswith("vit_") else {}
    network = build(model, file is not None, seed, size)
    if file is not None:
        _fill(network, model, file)
    placed(network, device, precision).to(memory_format=torch.channels_last)
    return up_to(network, layer)


def build(model: str, trained: bool, seed: int, options: Mapping[str, Any]) -> Any:
    """Build the network with random weights from a seed, as torchvision initialises them."""
    torchvision_module()
    import torch
    from torchvision.models import get_model

    more = {"init_weights": not trained, "transform_input": trained} if model in INCEPTIONS else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_model(model, **options, **more)


def _fill(network: Any, model: str, file: Path) -> None:
    """Load a state dict into a network.

    Raises:
        InvalidOption: If the file does not hold a state dict of this network.
    """
    import torch

    try:
        if file.suffix == ".safetensors":
            state = require("safetensors.torch", "vision").load_file(str(file))
        else:
            state = torch.load(file, weights_only=True, map_location="cpu")
        if model.startswith("densenet"):  # published before torch forbade dots in names
            state = {re.sub(r"\.(norm|relu|conv)\.([12])\.", r".\1\2.", name): each for name, each in state.items()}
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        text = str(error)[:300]
        raise InvalidOption(f"{file} does not hold the state dict of torchvision's {model}: {text}") from error


def up_to(network: Any, layer: str | None) -> Callable[[Any], Any]:
    """The network up to a node, averaged to (B, D); up to its last linear layer if `layer` is None.

    Raises:
        InvalidOption: If the network has no such node.
    """
    from torch.nn import Identity, Linear
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    kind = type(network).__name__
    if layer is None:
        linear = [name for name, part in network.named_modules() if isinstance(part, Linear)]
        if not linear:
            raise InvalidOption(f"{kind} has no linear layer at its end: name one of its nodes, such as layer=features")
        network.set_submodule(linear[-1], Identity())
        return network  # type: ignore[no-any-return]
    network.eval()
    nodes = get_graph_node_names(network)[1]
    # A module's name means its last node.
    if not any(node == layer or node.startswith(f"{layer}.") for node in nodes):
        near = {".".join(node.split(".")[:depth]) for node in nodes for depth in (1, 2)}
        raise InvalidOption(f"{kind} has no node '{layer}'{suggestion(layer, near)}")
    part = create_feature_extractor(network, {layer: "rows"})
    # Swin transformers keep the channels last.
    space = (1, 2) if kind == "SwinTransformer" else (2, 3)

    def rows(pictures: Any) -> Any:
        found = part(pictures)["rows"].float()
        axes = {4: space, 3: (1,)}.get(found.ndim, ())
        return found.mean(axes) if axes else found.flatten(1)  # (B, D)

    return rows

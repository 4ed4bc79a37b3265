"""Embeddings of frames by torchvision's classification networks."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from featzoo.errors import InvalidOption, suggestion
from featzoo.extractors.contract import UNKEYED, UNLESS_DEFAULT, ModelExtractor
from featzoo.extractors.vision.batches import (
    DTYPES,
    Pictures,
    Precision,
    Preparation,
    face_cutter,
    pieces,
    sequences,
    through,
)
from featzoo.extractors.vision.faces import Faces
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence
from featzoo.weights.imports import check, require, torchvision_module
from featzoo.weights.locate import file_digest, locate_checkpoint, locate_file

# resnet50's published weights and their files; here so that a check of it need not import torchvision.
RESNET50 = {
    "IMAGENET1K_V1": "resnet50-0676ba61.pth",
    "IMAGENET1K_V2": "resnet50-11ad3fa6.pth",
    "DEFAULT": "resnet50-11ad3fa6.pth",
}
# What two networks want said when they are made: how to initialise, and that pictures come normalised for ImageNet.
INCEPTIONS = ("googlenet", "inception_v3")


@dataclass(frozen=True)
class Cnn(ModelExtractor):
    """What a network for ImageNet has in front of its classifier, one row per frame: (T, D) float32.

    Attributes:
        model: A classification model of torchvision: resnet18, convnext_tiny, efficientnet_b0, vit_b_16 ...
        weights: A name of torchvision's for that model (`IMAGENET1K_V1`; `DEFAULT` is its best), a file of its
            state dict (.pth or .safetensors), or `random` (as torchvision initialises it, for tests).
        layer: In place of what enters the last linear layer, a node of the network as torchvision's
            feature_extraction names them (`layer3`, `features.5`), averaged over the picture (or the tokens).
        count: Frames in all, at the middles of equal parts of the clip.
        rate: In place of `count`, at most so many frames a second.
        crop: `none` is the whole frame; `face` the largest face (see `faces`) with a fifth of its size around
            it. Frames without a face are rows of NaN.
        precision: In which the network computes: fp32, or bf16 or fp16 (much faster on GPUs).
        seed: Of random weights.
        batch_size: Frames per forward pass; does not change the features.

    Reference:
        The models' papers; weights and transforms (size, interpolation, crop, normalisation) as torchvision gives them.

    Differences:
        A file whose digest is not that of one of torchvision's is given the transforms of the model's
        DEFAULT weights, and so are random weights.
    """

    name = "cnn"
    modality = "vision"
    reads = ("video",)
    licence = "torchvision: BSD-3; the ImageNet weights: research use as ImageNet's terms say"
    extra = "vision"
    usual: ClassVar[tuple[str, ...]] = ()  # the default is resnet50, which a run without `-x` has anyway

    model: str = "resnet50"
    weights: str = field(default="DEFAULT", metadata=UNKEYED)
    layer: str | None = field(default=None, metadata=UNLESS_DEFAULT)
    count: int = 6
    rate: float | None = None
    crop: Literal["none", "face"] = field(default="none", metadata=UNLESS_DEFAULT)
    precision: Precision = field(default="fp32", metadata=UNLESS_DEFAULT)
    seed: int = 0
    batch_size: int = field(default=32, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if min(self.count, self.batch_size) < 1 or (self.rate is not None and self.rate <= 0):
            raise ValueError("count, rate and batch_size are positive")

    def prepare(self) -> None:
        """Check the packages, that there are such a model and layer, and that the weights are on this machine."""
        check("torch", self.extra)
        check("torchvision", self.extra)
        if self.crop == "face":
            Faces().prepare()
        self.digests()
        if self.layer is not None:
            _network_to(_made(self.model, False, self.seed, {}), self.layer)

    def digests(self) -> dict[str, str]:
        """Of the weights, or of the seed if they are random; of the face detector's, if it is used."""
        detector = {f"faces {name}": value for name, value in Faces().digests().items()} if self.crop == "face" else {}
        return {"weights": self._digest(), **detector}

    def _digest(self) -> str:
        if self.weights == "random":
            _published(self.model)
            return hashlib.sha256(f"random {self.seed}".encode()).hexdigest()
        return file_digest(weights_file(self.model, self.weights, self.name))

    def provenance(self) -> dict[str, Any]:
        """Which weights, by name."""
        return {"model": f"{self.model}, {self.weights}"}

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Frames decoded, resized, cut and stacked: uint8, normalised on the device."""
        shots = clip.frames(count=self.count if self.rate is None else None, rate=self.rate)
        cut = face_cutter() if self.crop == "face" else None
        yield from pieces(shots, preparation(self.model, self._digest()), cut)

    def encode(self, samples: Sequence[Pictures], device: str = "cpu") -> list[FeatureSequence]:
        """(T, D) for each sample; batches cross samples."""
        digest = self._digest()
        file = None if self.weights == "random" else weights_file(self.model, self.weights, self.name)
        network = _network(self.model, file, self.seed, self.layer, device, self.precision, digest)
        ready = preparation(self.model, digest)
        rows = through(network, ready, samples, self.batch_size, device, self.precision)
        return sequences(rows, samples, self.layer or "pool")


def weights_file(model: str, weights: str, extractor: str) -> Path:
    """The file that an option names.

    Args:
        model: torchvision's name of the network.
        weights: Published name or path.
        extractor: Who asks, for the error text.

    Raises:
        InvalidOption: If it is neither a name that torchvision has for this model nor a path.
        MissingWeights: If it is not on this machine.
    """
    files = _published(model)
    if weights in files:
        return locate_checkpoint(files[weights], f"{model}.{weights}", f"{extractor}[weights=FILE]")
    if Path(weights).suffix or "/" in weights:
        return locate_file(weights)
    where = suggestion(weights, [*files, "random"])
    raise InvalidOption(f"{extractor}: no weights '{weights}' of {model} in torchvision, and no such file{where}")


@cache
def _published(model: str) -> Mapping[str, str]:
    """File names of torchvision's weights of a model, by name.

    Raises:
        InvalidOption: If torchvision has no such model.
    """
    if model == "resnet50":
        return RESNET50
    return {name: member.url.rpartition("/")[2] for name, member in _members(model).items()}


def _members(model: str) -> Mapping[str, Any]:
    """torchvision's weights of a model, by name."""
    torchvision_module()
    from torchvision import models

    names = models.list_models(module=models)
    if model not in names:
        raise InvalidOption(f"torchvision has no classification model '{model}'{suggestion(model, names)}")
    members: Mapping[str, Any] = models.get_model_weights(model).__members__
    return members


@cache
def preset_of(model: str, digest: str) -> Any:
    """torchvision's transforms for weights of this digest; those of the model's DEFAULT for others.

    By digest and not by name or file name: the same weights under one key then always mean the same features.
    """
    members = _members(model)
    for member in members.values():
        short = re.search(r"-([0-9a-f]{8,64})\.pth$", member.url)
        if short and digest.startswith(short[1]):
            return member.transforms()
    return members["DEFAULT"].transforms()


@cache
def preparation(model: str, digest: str) -> Preparation:
    """Resize and centre crop as the weights ask, on uint8; normalisation is left to the device."""
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
def _network(
    model: str, file: Path | None, seed: int, layer: str | None, device: str, precision: Precision, digest: str
) -> Callable[[Any], Any]:
    """Pictures to rows, in eval mode; loaded once per process while the weights stay as they are."""
    import torch

    size = {"image_size": preset_of(model, digest).crop_size[0]} if model.startswith("vit_") else {}
    network = _made(model, file is not None, seed, size)
    if file is not None:
        _fill(network, model, file)
    network.eval().to(device, getattr(torch, DTYPES[precision]), memory_format=torch.channels_last)
    return _network_to(network, layer)


def _made(model: str, trained: bool, seed: int, options: Mapping[str, Any]) -> Any:
    """The network as torchvision makes it, with random weights of a seed."""
    torchvision_module()
    import torch
    from torchvision.models import get_model

    more = {"init_weights": not trained, "transform_input": trained} if model in INCEPTIONS else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_model(model, **options, **more)


def _fill(network: Any, model: str, file: Path) -> None:
    """Load a state dict.

    Raises:
        InvalidOption: If it is not that of this network.
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


def _network_to(network: Any, layer: str | None) -> Callable[[Any], Any]:
    """The network up to a node, averaged to (B, D); up to its last linear layer if None.

    Raises:
        InvalidOption: If there is no such node.
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
    # The name of a module stands for its last node.
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

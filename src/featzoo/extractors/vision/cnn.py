"""Embeddings of frames by torchvision's classification networks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from featzoo.extractors.contract import UNKEYED, UNLESS_DEFAULT, ModelExtractor
from featzoo.extractors.precision import Precision
from featzoo.extractors.vision.batches import Pictures, face_cutter, pieces, sequences, through
from featzoo.extractors.vision.faces import Faces
from featzoo.extractors.vision.torchvision_networks import (
    build,
    load_network,
    preparation,
    published,
    up_to,
    weights_file,
)  # fmt: skip
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence
from featzoo.weights.imports import check
from featzoo.weights.locate import file_digest


@dataclass(frozen=True)
class Cnn(ModelExtractor):
    """The activations before an ImageNet network's classifier, one row per frame: (T, D) float32.

    Attributes:
        model: A classification model of torchvision: resnet18, convnext_tiny, efficientnet_b0, vit_b_16 ...
        weights: One of torchvision's names for that model's weights (`IMAGENET1K_V1`; `DEFAULT` is the best), a
            file with its state dict (.pth or .safetensors), or `random` (torchvision's initialisation, for tests).
        layer: A node of the network, as torchvision's feature_extraction names it (`layer3`, `features.5`), averaged
            over the picture (or the tokens). By default, the input of the last linear layer.
        count: Number of frames, taken at the middles of equal parts of the clip.
        rate: Maximum number of frames per second; replaces `count`.
        crop: `none` uses the whole frame, `face` the largest face (see `faces`) and a margin of a fifth of its
            size. Frames without a face are rows of NaN.
        precision: The network's precision: fp32, or bf16 or fp16 (much faster on GPUs).
        seed: Seed of random weights.
        batch_size: Frames per forward pass; does not change the features.

    Reference:
        The models' papers. Weights and transforms (size, interpolation, crop, normalisation) are torchvision's.

    Differences:
        A file that is not one of torchvision's (by its digest) gets the transforms of the model's DEFAULT weights, and
        so do random weights.
    """

    name = "cnn"
    modality = "vision"
    version = 2  # exactly the frames asked for, with square pixels; each row stands for the time until the next
    reads = ("video",)
    licence = "torchvision: BSD-3; the ImageNet weights: research use as ImageNet's terms say"
    extra = "vision"
    usual: ClassVar[tuple[str, ...]] = ()  # the default is resnet50, which a run without `-x` includes already

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
            raise ValueError("count, rate and batch_size must be positive")

    def prepare(self) -> None:
        """Check the packages, the model's and layer's names, and that the weights are on this machine."""
        check("torch", self.extra)
        check("torchvision", self.extra)
        if self.crop == "face":
            Faces().prepare()
        self.digests()
        if self.layer is not None:
            up_to(build(self.model, False, self.seed, {}), self.layer)

    def digests(self) -> dict[str, str]:
        """Digests of the weights (of the seed if they are random) and of the face detector's weights if it is used."""
        detector = {f"faces {name}": value for name, value in Faces().digests().items()} if self.crop == "face" else {}
        return {"weights": self._digest(), **detector}

    def _digest(self) -> str:
        if self.weights == "random":
            published(self.model)
            return hashlib.sha256(f"random {self.seed}".encode()).hexdigest()
        return file_digest(weights_file(self.model, self.weights, self.name))

    def provenance(self) -> dict[str, Any]:
        """The names of the model and its weights."""
        return {"model": f"{self.model}, {self.weights}"}

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Decode, resize, crop and stack frames as uint8; they are normalised on the device."""
        shots = clip.frames(count=self.count if self.rate is None else None, rate=self.rate)
        cut = face_cutter() if self.crop == "face" else None
        yield from pieces(shots, preparation(self.model, self._digest()), cut)

    def encode(self, samples: Sequence[Pictures], device: str = "cpu") -> list[FeatureSequence]:
        """(T, D) for each sample; a batch may hold frames of several samples."""
        digest = self._digest()
        file = None if self.weights == "random" else weights_file(self.model, self.weights, self.name)
        network = load_network(self.model, file, self.seed, self.layer, device, self.precision, digest)
        ready = preparation(self.model, digest)
        rows = through(network, ready, samples, self.batch_size, device, self.precision)
        return sequences(rows, samples, self.layer or "pool")


@dataclass(frozen=True)
class ResNet50(Cnn):
    """The 2048 pooled activations before ResNet-50's classifier: (T, 2048) float32. See `Cnn` for the options.

    Attributes:
        model: Always resnet50; use `cnn[model=...]` for other networks.
        weights: As in `Cnn`.

    Reference:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; weights and transforms are
        torchvision's (for V2: resize to 232, centre crop to 224, ImageNet normalisation).

    Differences:
        The same as those of `Cnn`.
    """

    name = "resnet50"
    version = 3  # see Cnn; before, a file of published weights has the transforms of these weights
    extra = "resnet50"
    usual = ("",)

    model: str = field(default="resnet50", init=False, metadata=UNKEYED)
    weights: str = field(default="IMAGENET1K_V2", metadata=UNKEYED)

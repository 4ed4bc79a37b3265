"""ResNet-50 embeddings of frames, through torchvision."""

from __future__ import annotations

from dataclasses import dataclass, field

from featzoo.extractors.contract import UNKEYED
from featzoo.extractors.vision.cnn import Cnn


@dataclass(frozen=True)
class ResNet50(Cnn):
    """The 2048 pooled activations before ResNet-50's classifier: (T, 2048) float32. See `Cnn` for the options.

    Attributes:
        model: Always resnet50; other networks are `cnn[model=...]`.
        weights: As of `Cnn`.

    Reference:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; weights and transforms as
        torchvision gives them (resize 232, centre crop 224, ImageNet normalisation for V2).

    Differences:
        Those of `Cnn`.
    """

    name = "resnet50"
    version = 2  # a file of published weights has the transforms of these weights
    extra = "resnet50"
    usual = ("",)

    model: str = field(default="resnet50", init=False, metadata=UNKEYED)
    weights: str = field(default="IMAGENET1K_V2", metadata=UNKEYED)

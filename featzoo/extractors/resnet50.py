"""ResNet-50 embeddings of frames, through torchvision."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.backends import check, torchvision_module
from featzoo.clips import Clip
from featzoo.errors import InvalidOption, MissingWeights, suggestion
from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights import file_digest, locate_file

# torchvision's published weights and where its hub keeps them; here so that a check need not import it.
PUBLISHED = {"IMAGENET1K_V1": "resnet50-0676ba61.pth", "IMAGENET1K_V2": "resnet50-11ad3fa6.pth"}
# Frames of a long clip are handed on in pieces of this many, so that memory stays bounded.
PIECE = 32


class Pictures(NamedTuple):
    """Frames ready for the network: (T, 3, 224, 224) uint8, and their (T, 2) times."""

    images: Any
    intervals: Array

    def __len__(self) -> int:
        return len(self.intervals)


@dataclass(frozen=True)
class ResNet50(ModelExtractor):
    """The 2048 pooled activations before ResNet-50's classifier: (T, 2048) float32.

    Attributes:
        weights: A name of torchvision's ResNet50_Weights (`IMAGENET1K_V2`), a file of its state dict
            (.pth or .safetensors), or `random` (He initialisation, for tests).
        count: Frames in all, at the middles of equal parts of the clip.
        rate: In place of `count`, at most so many frames a second.
        seed: Of random weights.
        batch_size: Frames per forward pass; does not change the features.

    Reference:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; weights and transforms as
        torchvision gives them (resize 232, centre crop 224, ImageNet normalisation for V2).

    Differences:
        A file of weights is given the transforms of IMAGENET1K_V2.
    """

    name = "resnet50"
    modality = "vision"
    reads = ("video",)
    licence = "torchvision: BSD-3; the ImageNet weights: research use as ImageNet's terms say"
    extra = "resnet50"

    weights: str = field(default="IMAGENET1K_V2", metadata=UNKEYED)
    count: int = 6
    rate: float | None = None
    seed: int = 0
    batch_size: int = field(default=32, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if min(self.count, self.batch_size) < 1 or (self.rate is not None and self.rate <= 0):
            raise ValueError("count, rate and batch_size are positive")

    def prepare(self) -> None:
        """Check the packages and that the weights are on this machine."""
        check("torch", self.extra)
        check("torchvision", self.extra)
        self.digests()

    def digests(self) -> dict[str, str]:
        """Of the weights; of the seed, if they are random."""
        if self.weights == "random":
            return {"weights": hashlib.sha256(f"random {self.seed}".encode()).hexdigest()}
        return {"weights": file_digest(_weights_file(self.weights))}

    def provenance(self) -> dict[str, Any]:
        """Which weights, by name."""
        return {"model": f"resnet50, {self.weights}"}

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Frames decoded, resized, cut and stacked: uint8, normalised on the device."""
        import torch

        resize = _resize(self.weights)
        images: list[Any] = []
        times: list[tuple[float, float]] = []
        for shot in clip.frames(count=self.count if self.rate is None else None, rate=self.rate):
            images.append(resize(torch.from_numpy(shot.image).permute(2, 0, 1)))  # (3, 224, 224)
            times.append((shot.start, shot.end))
            if len(images) == PIECE:
                yield Pictures(torch.stack(images), np.array(times))
                images, times = [], []
        if images:
            yield Pictures(torch.stack(images), np.array(times))

    def encode(self, samples: Sequence[Pictures], device: str = "cpu") -> list[FeatureSequence]:
        """(T, 2048) for each sample; batches cross samples."""
        import torch

        network = _network(self.weights, self.seed, device, self.digests()["weights"])
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in _normalisation(self.weights))
        pictures = torch.cat([sample.images for sample in samples])  # (sum T, 3, 224, 224)
        found = []
        with torch.inference_mode():
            for batch in pictures.split(self.batch_size):
                scaled = batch.to(device, non_blocking=True).float().div_(255).sub_(mean).div_(std)
                found.append(network(scaled.contiguous(memory_format=torch.channels_last)).float().cpu())
        rows = torch.cat(found).numpy()  # (sum T, 2048)
        names = tuple(f"pool_{i}" for i in range(rows.shape[1]))
        edges = np.cumsum([0, *map(len, samples)])
        return [
            FeatureSequence(rows[a:b].copy(), sample.intervals, names)
            for sample, a, b in zip(samples, edges[:-1], edges[1:], strict=True)
        ]


def _enum(name: str) -> Any:
    """The torchvision weights whose transforms apply; those of IMAGENET1K_V2 for a file or random weights."""
    torchvision_module()
    from torchvision.models import ResNet50_Weights

    known = ResNet50_Weights.__members__
    return known.get(name, ResNet50_Weights.IMAGENET1K_V2)


def _weights_file(name: str) -> Path:
    if name not in PUBLISHED:
        if Path(name).suffix or "/" in name:
            return locate_file(name)
        where = suggestion(name, [*PUBLISHED, "random"])
        raise InvalidOption(f"resnet50: no weights '{name}' in torchvision, and no such file{where}")
    hub = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch")) / "hub"
    file = hub / "checkpoints" / PUBLISHED[name]
    if not file.is_file():
        raise MissingWeights(
            f"no weights of resnet50 {name}: not at {file}. Where there is a network, run "
            f'`python -c "from torchvision.models import ResNet50_Weights as w; w.{name}.get_state_dict()"`, '
            "or give a file of them: resnet50[weights=FILE]"
        )
    return file


@cache
def _resize(weights: str) -> Any:
    """Resize and centre crop as the weights ask, on uint8; normalisation is done on the device."""
    preset = _enum(weights).transforms()
    from torchvision.transforms import functional

    def resize(image: Any) -> Any:
        # The preset's own functions: those of transforms.v2 round some pixels to another grey level.
        scaled = functional.resize(
            image, preset.resize_size, interpolation=preset.interpolation, antialias=preset.antialias
        )
        return functional.center_crop(scaled, preset.crop_size)

    return resize


def _normalisation(weights: str) -> tuple[list[float], list[float]]:
    preset = _enum(weights).transforms()
    return preset.mean, preset.std


@cache
def _network(weights: str, seed: int, device: str, _digest: str) -> Any:
    """The network without its classifier, in eval mode, loaded once per process while its weights stay as they are."""
    torchvision_module()
    import torch
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = resnet50()
    if weights != "random":
        network.load_state_dict(_read_state(_weights_file(weights)))
    network.fc = torch.nn.Identity()
    return network.eval().to(device, memory_format=torch.channels_last)


def _read_state(file: Path) -> Any:
    import torch

    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(str(file))
    return torch.load(file, weights_only=True, map_location="cpu")

"""CLIP and SigLIP embeddings of frames, through transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal

from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.extractors.precision import Precision
from featzoo.extractors.vision.batches import Pictures, Preparation, pieces, sequences, through
from featzoo.extractors.vision.preprocessing import (
    PREPROCESSOR,
    Demands,
    Habits,
    averaged,
    check_model,
    loaded,
    model_digests,
    preparation,
)
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence
from featzoo.weights.locate import locate, read_settings

# The part of the network's output that becomes a row.
Output = Literal["embedding", "pooled", "hidden"]


@dataclass(frozen=True)
class ClipFrames(ModelExtractor):
    """CLIP's image embeddings, one row per frame: (T, 512) float32 for the base models. Not normalised to length 1.

    Attributes:
        model: A local folder or a hub name that is in the local cache; with its preprocessor_config.json.
        output: `embedding`, in the space shared by images and texts; `pooled`, its value before the projection;
            `hidden`, the class token of hidden states (the mean of all tokens for models without one).
        layers: With `output=hidden`, the hidden states to average; 0 is the input of the first layer, -1 the last.
        count: Number of frames, in the middle of equal parts of the clip.
        rate: Maximum number of frames per second; replaces `count`.
        precision: The network's precision: fp32, or bf16 or fp16 (much faster on GPUs).
        batch_size: Frames per forward pass; does not change the features.

    Reference:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.

    Differences:
        Images are resized by Pillow, as in the models' training; transformers resizes with torchvision if it
        is installed, to slightly different grey levels.
    """

    name = "clip"
    modality = "vision"
    version = 2  # exactly the frames asked for, with square pixels; each row stands for the time until the next
    reads = ("video",)
    licence = "openai/clip-vit-base-patch32: MIT (the code's; its model card names none)"
    extra = "vision"
    kinds: ClassVar[tuple[str, ...]] = ("clip", "clip_vision_model")
    habits: ClassVar[Habits] = Habits(cut=True, square=False, resample=3)

    model: str = field(default="openai/clip-vit-base-patch32", metadata=UNKEYED)
    output: Output = "embedding"
    layers: tuple[int, ...] = (-1,)
    count: int = 6
    rate: float | None = None
    precision: Precision = "fp32"
    batch_size: int = field(default=32, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if min(self.count, self.batch_size) < 1 or (self.rate is not None and self.rate <= 0):
            raise ValueError("count, rate and batch_size must be positive")
        if not self.layers:
            raise ValueError("layers must name at least one layer")
        if self.output != "hidden" and self.layers != (-1,):
            raise ValueError("layers select hidden states: give output=hidden too")

    def prepare(self) -> None:
        """Check the packages, that the model is on this machine, is of this kind, and has the requested layers."""
        check_model(self.model, self.name, Demands(self.kinds, self.layers, self.habits))
        self.digests()

    def digests(self) -> dict[str, str]:
        """Digests of the weights and of the preprocessing of pictures."""
        return model_digests(self.model, self.name)

    def provenance(self) -> dict[str, Any]:
        """The name of the model."""
        return {"model": self.model}

    def load(self, clip: Clip) -> Iterator[Pictures]:
        """Decode, resize, crop and stack frames as uint8; they are normalised on the device."""
        shots = clip.frames(count=self.count if self.rate is None else None, rate=self.rate)
        yield from pieces(shots, self._preparation())

    def encode(self, samples: Sequence[Pictures], device: str = "cpu") -> list[FeatureSequence]:
        """(T, D) for each sample; a batch may hold frames of several samples."""
        network = self._network(device)
        rows = through(network, self._preparation(), samples, self.batch_size, device, self.precision)
        return sequences(rows, samples, self.output)

    def _preparation(self) -> Preparation:
        return preparation(read_settings(self.model, self.name, PREPROCESSOR), self.habits, self.model)

    def _network(self, device: str) -> Callable[[Any], Any]:
        """Pictures to rows."""
        network = _clip(self.model, self.output == "embedding", device, self.precision, self.digests()["weights"])

        def rows(pictures: Any) -> Any:
            if self.output == "embedding":
                return network(pictures).image_embeds  # (B, D)
            if self.output == "pooled":
                return network(pictures).pooler_output  # (B, D)
            return averaged(network(pictures, output_hidden_states=True), self.layers)[:, 0]  # (B, D)

        return rows


@dataclass(frozen=True)
class SiglipFrames(ClipFrames):
    """SigLIP's image embeddings, one row per frame: (T, 768) float32 for the base models. Not normalised to length 1.

    The options are those of `ClipFrames`, except `output`: SigLIP has no projection, so the output of its attention
    pooling (`pooled`) is its `embedding`; it has no class token, and `hidden` is the mean of all tokens.

    Reference:
        Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023.

    Differences:
        The same as those of `ClipFrames`.
    """

    name = "siglip"
    licence = "google/siglip-base-patch16-224: Apache-2.0"
    kinds = ("siglip", "siglip_vision_model")
    habits = Habits(cut=False, square=True, resample=3)

    model: str = field(default="google/siglip-base-patch16-224", metadata=UNKEYED)
    output: Literal["embedding", "hidden"] = "embedding"

    def _network(self, device: str) -> Callable[[Any], Any]:
        network = _siglip(self.model, device, self.precision, self.digests()["weights"])

        def rows(pictures: Any) -> Any:
            if self.output == "embedding":
                return network(pictures).pooler_output  # (B, D)
            return averaged(network(pictures, output_hidden_states=True), self.layers).mean(1)  # (B, D)

        return rows


@cache
def _clip(model: str, projects: bool, device: str, precision: Precision, _digest: str) -> Any:
    """The vision part, loaded once per process unless its files change."""
    if not projects:
        return loaded("CLIPVisionModel", locate(model, "clip"), device, precision)
    whole = read_settings(model, "clip", "config.json")
    # Some files of whole models give the projection's width beside the vision part's settings alone.
    width = {"projection_dim": whole["projection_dim"]} if "projection_dim" in whole else {}
    return loaded("CLIPVisionModelWithProjection", locate(model, "clip"), device, precision, **width)


@cache
def _siglip(model: str, device: str, precision: Precision, _digest: str) -> Any:
    """The vision part, loaded once per process unless its files change."""
    return loaded("SiglipVisionModel", locate(model, "siglip"), device, precision)

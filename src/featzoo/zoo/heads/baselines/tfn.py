"""TFN: a network on the products of all modalities' features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, FeatureHead, LastNet, MeanNet, check_options
from featzoo.zoo.input_spec import InputSpec


@dataclass(frozen=True)
class Options:
    """The options; the defaults are MMSA's for CMU-MOSI.

    Attributes:
        text_hidden: Width of the text's LSTM.
        text: Width of the text embedding.
        audio: Width of the audio embedding.
        vision: Width of the vision embedding.
        fused: Width of the network on the tensor.
        dropout: In the modalities' networks.
        fusion_dropout: On the tensor.
        limits: Lowest and highest prediction: a sigmoid between them, as published; empty for a linear output.
            Scores of classes have no limits.
    """

    text_hidden: int = 128
    text: int = 32
    audio: int = 32
    vision: int = 128
    fused: int = 64
    dropout: float = 0.3
    fusion_dropout: float = 0.5
    limits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_options(self)
        if self.limits and (len(self.limits) != 2 or self.limits[0] >= self.limits[1]):
            raise ValueError(f"limits must be [lowest, highest] or empty; got {list(self.limits)}")


class Tfn(FeatureHead):
    """Tensor fusion network.

    The text's last LSTM state and the means of audio and vision become embeddings; the outer product of
    (z_text, 1), (z_audio, 1) and (z_vision, 1) holds every uni-, bi- and trimodal product; three layers predict
    from it. Nearly all parameters are in the first layer on the tensor: (text + 1)(audio + 1)(vision + 1) x fused.

    Reference:
        Zadeh, Chen, Poria, Cambria, Morency: Tensor Fusion Network for Multimodal Sentiment Analysis, EMNLP 2017,
        equations 1 to 3; widths from MMSA's configuration (MIT).

    Differences:
        - Inputs are standardised by the train split's statistics (recipe), not by batch normalisation: no
          prediction depends on its batch.
        - A missing modality is the vector (0, 1), which keeps the products of the others.
        - The output is limited by a sigmoid only if `limits` is set, as in the recipe.
    """

    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.text = LastNet(inputs["text"].width, options.text_hidden, options.text, options.dropout)
        self.audio = MeanNet(inputs["audio"].width, options.audio, options.dropout)
        self.vision = MeanNet(inputs["vision"].width, options.vision, options.dropout)
        size = (options.text + 1) * (options.audio + 1) * (options.vision + 1)
        self.out = nn.Sequential(
            nn.Dropout(options.fusion_dropout),
            nn.Linear(size, options.fused), nn.ReLU(),
            nn.Linear(options.fused, options.fused), nn.ReLU(),
            nn.Linear(options.fused, targets),
        )  # fmt: skip

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        parts = {"text": self.text, "audio": self.audio, "vision": self.vision}
        fused = tensor_fusion([parts[m](inputs[m]) for m in MODALITIES])
        prediction: Tensor = self.out(fused)  # (B, K)
        if self.options.limits and self.objective.of_numbers:
            low, high = self.options.limits
            prediction = low + (high - low) * torch.sigmoid(prediction)
        return {"prediction": prediction}


def with_one(vectors: Tensor) -> Tensor:
    """(B, D) to (B, D + 1), a 1 appended."""
    return torch.cat([vectors, torch.ones_like(vectors[:, :1])], dim=1)  # (B, D + 1)


def tensor_fusion(parts: Sequence[Tensor]) -> Tensor:
    """The outer product of (z, 1) over the parts, flattened with the last part fastest.

    Args:
        parts: (B, D_m) each.

    Returns:
        (B, product of D_m + 1).
    """
    fused = with_one(parts[0])
    for part in parts[1:]:
        fused = (fused[:, :, None] * with_one(part)[:, None, :]).flatten(1)  # (B, so far x (D_m + 1))
    return fused

"""LMF: tensor fusion whose weights have low rank, so that the tensor is never made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, FeatureHead, LastNet, MeanNet, check_options
from featzoo.zoo.heads.baselines.tfn import with_one
from featzoo.zoo.input_spec import InputSpec


@dataclass(frozen=True)
class Options:
    """The options; the defaults are MMSA's for CMU-MOSI.

    Attributes:
        text_hidden: Width of the text's LSTM.
        text: Width of the text embedding.
        audio: Width of the audio embedding.
        vision: Width of the vision embedding.
        rank: R, the number of terms whose sum is the weight tensor.
        dropout: In the modalities' networks.
    """

    text_hidden: int = 128
    text: int = 64
    audio: int = 16
    vision: int = 128
    rank: int = 3
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_options(self)


class Lmf(FeatureHead):
    """Low-rank multimodal fusion.

    The embeddings are TFN's. A linear map W of their outer product is kept as the sum over r of outer products of
    modality-specific factors w_m^r, and so the prediction is the sum over r of the product over m of w_m^r (z_m, 1).

    Reference:
        Liu, Shen, Lakshminarasimhan, Liang, Zadeh, Morency: Efficient Low-rank Multimodal Fusion with
        Modality-Specific Factors, ACL 2018, equations 4 to 6; widths from MMSA's configuration (MIT).

    Differences:
        - The released code weights the R terms by R further parameters, which the factors can absorb; the paper
          sums them, as here.
        - Inputs are standardised by the train split's statistics (recipe), not by batch normalisation.
        - A missing modality is the vector (0, 1).
    """

    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.parts = nn.ModuleDict({
            "text": LastNet(inputs["text"].width, options.text_hidden, options.text, options.dropout),
            "audio": MeanNet(inputs["audio"].width, options.audio, options.dropout),
            "vision": MeanNet(inputs["vision"].width, options.vision, options.dropout),
        })  # fmt: skip
        widths = {"text": options.text, "audio": options.audio, "vision": options.vision}
        self.factors = nn.ParameterDict({
            m: nn.Parameter(torch.randn(options.rank, widths[m] + 1, targets) * (2 / (widths[m] + 1 + targets)) ** 0.5)
            for m in MODALITIES
        })  # fmt: skip
        self.bias = nn.Parameter(torch.zeros(targets))

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        return {"prediction": self.fuse({m: self.parts[m](inputs[m]) for m in MODALITIES})}

    def fuse(self, parts: Mapping[str, Tensor]) -> Tensor:
        """(B, D_m) embeddings to (B, K)."""
        product: Tensor | float = 1.0
        for m in MODALITIES:
            product = product * torch.einsum("bd,rdk->brk", with_one(parts[m]), self.factors[m])  # (B, R, K)
        return torch.as_tensor(product).sum(dim=1) + self.bias  # (B, K)

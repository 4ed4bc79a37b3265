"""An encoder fine-tuned only on texts: the personality encoder, and the text-only baseline for fusion heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.text_encoder import TextEncoder, TextHead


@dataclass(frozen=True)
class Options:
    """The options.

    Attributes:
        pooling: The vector of the text: that of its first token (`cls`) or the mean of its tokens.
        loss: `l1`, the mean absolute error, or `mse`, the mean squared error.
        dropout: On the pooled vector.
        frozen_layers: Embeddings and this many first layers are frozen, without dropout; -1 trains everything.
            Their output is computed once before training and kept.
    """

    pooling: Literal["cls", "mean"] = "cls"
    loss: Literal["l1", "mse"] = "mse"
    dropout: float = 0.1
    frozen_layers: int = -1

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {self.dropout}")


class TextRegression(TextHead):
    """Token ids to K numbers: a BERT-architecture encoder and a linear layer, which starts at the train mean.

    Trained on Big Five traits (recipe `personality-bert`), `bert.personality[model=RUN/encoder]` gives the frozen
    [CLS] with which PSA-MF aligns.

    Reference:
        Devlin et al., "BERT", NAACL 2019, section 4. The personality encoder's role: arXiv 2512.01442.

    Differences:
        PSA-MF's personality encoder is "trained on a YouTube-video Big Five dataset" that the paper does not
        name, and was not released. Trained on ChaLearn First Impressions, this one is a reconstruction.
    """

    options_class: ClassVar[type] = Options
    after_frozen: ClassVar[tuple[str, ...]] = ("dropout", "loss")

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.text = TextEncoder(
            "text-regression", inputs["text"], self.saved_assets, options.pooling, options.frozen_layers
        )
        self.dropout = nn.Dropout(options.dropout)
        self.out = nn.Linear(self.text.width, targets)

    def prepare(self, targets: Tensor) -> None:
        """Start from the train mean, so that the encoder need not learn it."""
        with torch.no_grad():
            self.out.bias.copy_(targets.mean(dim=0))

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        return {"prediction": self.out(self.dropout(self.text(inputs["text"])))}

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """l1 or mse."""
        error = outputs["prediction"] - targets  # (B, K)
        return {self.options.loss: error.abs().mean() if self.options.loss == "l1" else error.square().mean()}

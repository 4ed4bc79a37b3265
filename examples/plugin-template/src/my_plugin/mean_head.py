"""A head on one modality: its mean over time, a hidden layer, a prediction."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from featzoo import Head, Inputs, InputSpec, Outputs, Role


@dataclass(frozen=True)
class Options:
    """The options of the head.

    Attributes:
        width: Width of the hidden layer.
        dropout: On the hidden layer.
    """

    width: int = 16
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"width must be at least 1 and dropout in [0, 1); got {self.width} and {self.dropout}")


class MeanHead(Head):
    """The mean of a sequence over time, through one hidden layer."""

    roles = {"audio": Role("a sequence of audio features")}
    options_class = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.hidden = nn.Linear(inputs["audio"].width, options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.out = nn.Linear(options.width, targets)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        values, mask, _ = inputs["audio"]  # (B, T, D), (B, T)
        steps = mask.sum(dim=1, keepdim=True).clamp(min=1)  # a clip without sound has no step
        mean = (values * mask[:, :, None]).sum(dim=1) / steps  # (B, D)
        return {"prediction": self.out(self.dropout(torch.relu(self.hidden(mean))))}

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The mean squared error."""
        return {"mse": (outputs["prediction"] - targets).square().mean()}

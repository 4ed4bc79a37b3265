"""A head as a plugin author would write it. Importable in fresh worker processes."""

import torch
from torch import nn

from featzoo import Head, Role


class MeanHead(Head):
    """The mean of each input over time, side by side, and a linear layer. It reads whatever roles a recipe names."""

    roles = {name: Role(name, optional=True) for name in ("audio", "physio")}

    def build(self, options, inputs, targets):
        self.out = nn.Linear(sum(spec.width for spec in inputs.values()), targets)

    def forward(self, inputs):
        return {"prediction": self.out(torch.cat([self.mean(*inputs[role]) for role in self.specs], dim=1))}

    def mean(self, values, mask, _):
        return (values * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def losses(self, outputs, targets, stage):
        return {"mse": (outputs["prediction"] - targets).square().mean()}

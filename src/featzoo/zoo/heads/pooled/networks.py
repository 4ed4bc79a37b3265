"""Small networks on the features of one, two or three inputs, trained by gradients: `mlp` and `attention-pool`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Head, Inputs, Outputs, Padded, Role
from featzoo.zoo.heads.baselines.feature_head import check_options
from featzoo.zoo.heads.pooled.roles import ANY_OF_THREE, read_roles
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.losses import absolute_error
from featzoo.zoo.nn.pooling import Statistics, pool, pooled_width

# The input that `mlp` makes of the others once, before it is trained.
POOLED = "pooled"


@dataclass(frozen=True)
class MlpOptions:
    """The options of `mlp`.

    Attributes:
        pooling: The `mean` over a clip's steps, or mean and standard deviation (`mean-std`).
        hidden: Width of the hidden layers.
        layers: Number of hidden layers.
        dropout: On each layer's input.
    """

    pooling: Statistics = "mean-std"
    hidden: int = 128
    layers: int = 2
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_options(self)


class PooledNetwork(Head):
    """A head whose only loss is the mean absolute error of numbers, or the cross entropy of classes."""

    roles: ClassVar[Mapping[str, Role]] = ANY_OF_THREE
    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The only term: l1, or ce of classes."""
        return self.objective.terms(outputs["prediction"], targets, l1=absolute_error)


class Mlp(PooledNetwork):
    """A multilayer perceptron on pooled features.

    Reference:
        Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, Nature 1986; the usual
        baseline of papers.

    Differences:
        - Features that a clip lacks are 0, the train split's mean of standardised features.
    """

    options_class: ClassVar[type] = MlpOptions
    keeps_batches: ClassVar[bool] = True  # the batches that it had when it pooled in each epoch

    def build(self, options: MlpOptions, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.read = read_roles(inputs)
        width = sum(pooled_width(one, options.pooling) for one in self.read.values())
        layers: list[nn.Module] = []
        for _ in range(options.layers):
            layers += [nn.Dropout(options.dropout), nn.Linear(width, options.hidden), nn.ReLU()]
            width = options.hidden
        self.out = nn.Sequential(*layers, nn.Dropout(options.dropout), nn.Linear(width, targets))

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        prediction: Tensor = self.out(inputs[POOLED].values[:, 0] if POOLED in inputs else self._pool(inputs))  # (B, K)
        return {"prediction": prediction}

    def distil(self, inputs: Inputs) -> Inputs:
        """The pooled features, which have nothing to learn: pooling long sequences in each epoch takes minutes."""
        pooled = self._pool(inputs)[:, None]  # (B, 1, W)
        there = torch.ones_like(pooled, dtype=torch.bool)
        return {POOLED: Padded(pooled, there[:, :, 0], there)}

    def _pool(self, inputs: Inputs) -> Tensor:
        """(B, W), roles side by side; 0 where nothing was observed."""
        return torch.cat([pool(inputs[role], self.options.pooling) for role in self.read], dim=1).nan_to_num()


@dataclass(frozen=True)
class AttentionPoolOptions:
    """The options of `attention-pool`.

    Attributes:
        width: Width of a projected step.
        attention: Width of the network that weights the steps.
        fused: Width of the layer on all inputs.
        dropout: On the inputs' steps and on the fused layer.
    """

    width: int = 128
    attention: int = 64
    fused: int = 128
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_options(self)


class AttentiveStatistics(nn.Module):
    """The mean and standard deviation of a sequence, weighted by a network's attention.

    Args:
        inputs: Width D of a step.
        width: Width of a projected step.
        attention: Width of the network that weights the steps.
        dropout: On the steps.

    Reference:
        Okabe, Koshinaka, Shinoda: Attentive Statistics Pooling for Deep Speaker Embedding, Interspeech 2018,
        equations 3 to 6.
    """

    def __init__(self, inputs: int, width: int, attention: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, width), nn.ReLU())
        self.score = nn.Sequential(nn.Linear(width, attention), nn.Tanh(), nn.Linear(attention, 1, bias=False))

    def forward(self, steps: Padded) -> Tensor:
        """(B, T, D) to (B, 2 width); 0 where a clip lacks the input."""
        # Filled, not multiplied by 0: padding may hold NaN.
        hidden = self.project(steps.values.masked_fill(~steps.mask[..., None], 0.0))  # (B, T, width)
        scores = self.score(hidden)[..., 0].masked_fill(~steps.mask, torch.finfo(hidden.dtype).min)  # (B, T)
        weights = scores.softmax(dim=1)[..., None] * steps.mask[..., None]  # (B, T, 1)
        mean = (weights * hidden).sum(dim=1)  # (B, width)
        variance = (weights * (hidden - mean[:, None]).square()).sum(dim=1)  # (B, width)
        # The root's slope at 0 is infinite: a single step has no variance.
        return torch.cat([mean, (variance + 1e-6).sqrt() * steps.mask.any(dim=1)[:, None]], dim=1)  # (B, 2 width)


class AttentionPool(PooledNetwork):
    """Attentive statistics of each input's sequence, side by side, through one hidden layer.

    Reference:
        Okabe, Koshinaka, Shinoda: Attentive Statistics Pooling for Deep Speaker Embedding, Interspeech 2018.

    Differences:
        - Steps are projected by one layer instead of a time-delay network, and there is no speaker loss.
        - An input that a clip lacks is a vector of zeros.
    """

    options_class: ClassVar[type] = AttentionPoolOptions

    def build(self, options: AttentionPoolOptions, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.read = read_roles(inputs)
        self.pools = nn.ModuleDict(
            {
                role: AttentiveStatistics(width, options.width, options.attention, options.dropout)
                for role, width in self.read.items()
            }
        )
        self.out = nn.Sequential(
            nn.Dropout(options.dropout), nn.Linear(2 * options.width * len(self.read), options.fused), nn.ReLU(),
            nn.Dropout(options.dropout), nn.Linear(options.fused, targets),
        )  # fmt: skip

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        pooled = torch.cat([self.pools[role](inputs[role]) for role in self.read], dim=1)  # (B, 2 width of each)
        prediction: Tensor = self.out(pooled)  # (B, K)
        return {"prediction": prediction}

"""MISA: each modality in two parts, one shared with the others and one specific to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs, Padded, Role
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, check_options, present
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.layers import MaskedLSTM
from featzoo.zoo.nn.losses import central_moment_discrepancy, orthogonality, squared_error
from featzoo.zoo.nn.text_encoder import ROLES, EncoderHead, TextEncoder


@dataclass(frozen=True)
class Options:
    """The options; widths and weights are MMSA's for CMU-MOSI.

    Attributes:
        hidden: Width of every representation.
        recurrent: Widest LSTM; each is as wide as its features up to this. The released code has no limit.
        heads: Heads of the fusion's attention.
        moments: K of the central moment discrepancy.
        dropout: In the output network.
        attention_dropout: In the fusion's transformer layer.
        pooling: The vector of the text: that of its first token (`cls`) or the mean of its tokens (published).
        weights: Weights of task, l_sim, l_diff and l_recon, in this order.
        frozen_layers: The encoder's embeddings and this many first layers are frozen; -1 trains everything.
    """

    hidden: int = 128
    recurrent: int = 128
    heads: int = 2
    moments: int = 5
    dropout: float = 0.2
    attention_dropout: float = 0.1
    pooling: Literal["cls", "mean"] = "mean"
    weights: tuple[float, ...] = (1.0, 0.3, 0.1, 1.0)
    frozen_layers: int = -1

    def __post_init__(self) -> None:
        check_options(self)
        if self.heads < 1 or self.hidden % self.heads:
            raise ValueError(f"hidden must be a multiple of heads; got {self.hidden} and {self.heads} heads")
        if len(self.weights) != 4:
            raise ValueError(f"weights must be four: task, l_sim, l_diff, l_recon; got {len(self.weights)}")


class Misa(EncoderHead):
    """Modality-invariant and -specific representations.

    Each modality becomes one vector, which a shared encoder maps to an invariant and a private one to a specific
    representation. The six attend to each other in a transformer layer, and a network predicts from them. L_sim
    makes the invariant ones similar (central moment discrepancy), L_diff makes different representations orthogonal,
    and L_recon makes the two parts reconstruct the modality's vector.

    Reference:
        Hazarika, Zimmermann, Poria: MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment
        Analysis, ACM Multimedia 2020, equations 1 to 14; widths and weights from MMSA's configuration (MIT).

    Differences:
        - L_diff is the mean, not the sum, of the squared entries, the scale for which the released code has the
          published weights.
        - The released code's unused discriminators are left out.
        - LSTMs over true lengths (there the text's length for every modality), at most `recurrent` wide.
        - Rows in L_diff are scaled by lengths without gradient, as in the released code (featzoo 0.1: with gradient).
        - Missing modalities take no part in attention or losses, and are zeros in the output network.
        - Any encoder of BERT architecture.
    """

    roles: ClassVar[Mapping[str, Role]] = ROLES
    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")
    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.encoder = TextEncoder("misa", inputs["text"], self.saved_assets, options.pooling, options.frozen_layers)
        self.stacks = nn.ModuleDict({
            m: _Stack(inputs[m].width, min(inputs[m].width, options.recurrent)) for m in ("audio", "vision")
        })  # fmt: skip
        widths = {"text": self.encoder.width} | {m: 4 * min(inputs[m].width, options.recurrent) for m in self.stacks}
        d = options.hidden
        self.project = nn.ModuleDict({
            m: nn.Sequential(nn.Linear(widths[m], d), nn.ReLU(), nn.LayerNorm(d)) for m in MODALITIES
        })  # fmt: skip
        self.shared = nn.Sequential(nn.Linear(d, d), nn.Sigmoid())
        self.private = nn.ModuleDict({m: nn.Sequential(nn.Linear(d, d), nn.Sigmoid()) for m in MODALITIES})
        self.decode = nn.ModuleDict({m: nn.Linear(d, d) for m in MODALITIES})
        self.fuse = nn.TransformerEncoderLayer(d, options.heads, 2048, options.attention_dropout, batch_first=True)
        self.out = nn.Sequential(
            nn.Linear(6 * d, 3 * d), nn.Dropout(options.dropout), nn.ReLU(), nn.Linear(3 * d, targets)
        )

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K); for each modality its vector, its two parts and their reconstruction."""
        vectors = {"text": self.encoder(inputs["text"])} | {m: self.stacks[m](inputs[m]) for m in self.stacks}
        outputs: Outputs = {}
        for m in MODALITIES:
            whole = self.project[m](vectors[m])  # (B, d)
            shared, private = self.shared(whole), self.private[m](whole)  # (B, d)
            outputs |= {
                f"whole_{m}": whole, f"shared_{m}": shared, f"private_{m}": private,
                f"decoded_{m}": self.decode[m](shared + private), f"there_{m}": inputs[m].mask.any(dim=1),
            }  # fmt: skip
        outputs["prediction"] = self._fuse(outputs)
        return outputs

    def _fuse(self, outputs: Mapping[str, Tensor]) -> Tensor:
        parts = [outputs[f"{kind}_{m}"] for kind in ("private", "shared") for m in MODALITIES]
        stacked = torch.stack(parts, dim=1)  # (B, 6, d)
        there = torch.stack([outputs[f"there_{m}"] for m in MODALITIES] * 2, dim=1)  # (B, 6)
        # A softmax over nothing is NaN: a clip without inputs attends to everything and is set to zero below.
        hidden = ~there & there.any(dim=1, keepdim=True)  # (B, 6)
        fused = self.fuse(stacked, src_key_padding_mask=hidden) * there[:, :, None]  # (B, 6, d)
        prediction: Tensor = self.out(fused.flatten(1))  # (B, 6 d) to (B, K)
        return prediction

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """task (mean squared error, or that of classes), l_sim, l_diff and l_recon, weighted."""
        task, sim, diff, recon = self.options.weights
        there = {m: outputs[f"there_{m}"] for m in MODALITIES}
        pairs = list(combinations(MODALITIES, 2))
        # Moments and correlations are those of the whole batch.
        shared = {m: gathered(outputs[f"shared_{m}"], self.training) for m in MODALITIES}  # (B, d)
        private = {m: gathered(outputs[f"private_{m}"], self.training) for m in MODALITIES}  # (B, d)
        known = {m: gathered(there[m], self.training) for m in MODALITIES}
        similar = [
            central_moment_discrepancy(shared[a], shared[b], self.options.moments, known[a], known[b]) for a, b in pairs
        ]
        different = [orthogonality(private[m], shared[m], known[m]) for m in MODALITIES]
        different += [orthogonality(private[a], private[b], known[a] & known[b]) for a, b in pairs]
        rebuilt = [_distance(outputs[f"whole_{m}"], outputs[f"decoded_{m}"], there[m]) for m in MODALITIES]
        (error,) = self.objective.terms(outputs["prediction"], targets, task=squared_error).values()
        return {
            "task": task * error,
            "l_sim": sim * torch.stack(similar).mean(),
            "l_diff": diff * torch.stack(different).sum(),
            "l_recon": recon * torch.stack(rebuilt).mean(),
        }


class _Stack(nn.Module):
    """Two bidirectional LSTMs with a layer norm between; the last states of both, concatenated."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.first = MaskedLSTM(inputs, hidden, both_ways=True)
        self.norm = nn.LayerNorm(2 * hidden)
        self.second = MaskedLSTM(2 * hidden, hidden, both_ways=True)

    def forward(self, steps: Padded) -> Tensor:
        """(B, T, D) to (B, 4 hidden); 0 where a clip lacks the modality."""
        states, low = self.first(steps.values, steps.mask)  # (B, T, 2 h), (B, 2 h)
        _, high = self.second(self.norm(states), steps.mask)  # (B, 2 h)
        return torch.cat([low, high], dim=1) * present(steps, low)  # (B, 4 h)


def _distance(a: Tensor, b: Tensor, there: Tensor) -> Tensor:
    """Mean squared difference of (B, D) over the present clips; 0 without any."""
    return (a - b).square().mean(dim=1).mul(there).sum() / there.sum().clamp(min=1)

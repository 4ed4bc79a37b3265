"""MulT: every modality attends to every other one, step by step, without alignment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, FeatureHead, check_crossmodal, check_options
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.layers import MaskedAttention


@dataclass(frozen=True)
class Options:
    """The options; the defaults are MMSA's for CMU-MOSI.

    Attributes:
        width: d of every crossmodal transformer.
        heads: Attention heads.
        layers: Crossmodal layers D.
        recall_layers: Self-attention layers on the results of the two sources; the released code has at least 3.
        kernel: Odd width, in steps, of the convolution that maps a modality to d.
        text_dropout: On the text's features.
        attention_dropout: On attention weights.
        embed_dropout: On a transformer's input.
        output_dropout: In the output network.
        positions: Position embeddings: `ours` are Vaswani et al.'s, counted from 0; `released` are those of the
            released code, counted from 1, whose rates fall a little faster; `none`, as in MMSA.
        causal: Whether a step attends only to steps up to its own number, as in the released code: if the source has
            S steps and the target T, step i attends to steps up to i + |S - T|.
    """

    width: int = 50
    heads: int = 10
    layers: int = 4
    recall_layers: int = 4
    kernel: int = 5
    text_dropout: float = 0.5
    attention_dropout: float = 0.3
    embed_dropout: float = 0.2
    output_dropout: float = 0.5
    positions: Literal["ours", "released", "none"] = "ours"
    causal: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        check_crossmodal(self)


class Mult(FeatureHead):
    """Multimodal transformer for unaligned sequences.

    A convolution maps each modality to d columns. For each pair, a crossmodal transformer lets the target's steps
    attend to the source's. The concatenated results for a target's two sources go through a self-attention
    transformer, whose last true step represents the target. A residual block and a linear layer predict from the three
    concatenated targets.

    Reference:
        Tsai, Bai, Liang, Kolter, Morency, Salakhutdinov: Multimodal Transformer for Unaligned Multimodal Language
        Sequences, ACL 2019, equations 1 to 6; widths and dropouts from MMSA's configuration (MIT).

    Differences:
        - Attention and last step respect true lengths; the released code pads at the front and includes padding.
        - No causal mask: the paper has none, the released code has one by default (`causal`).
        - Positions count from 0 with Vaswani et al.'s rates; the released code's count from 1 and its rates differ, and
          MMSA's has none (`positions`).
        - The convolution keeps the number of steps (zeros beyond the ends).
        - Attention to a missing source gives 0, so that the target goes on as it is; a missing target is a vector of
          zeros.
    """

    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        d = options.width
        self.project = nn.ModuleDict({
            m: nn.Conv1d(inputs[m].width, d, options.kernel, padding=options.kernel // 2, bias=False)
            for m in MODALITIES
        })  # fmt: skip
        self.cross = nn.ModuleDict({
            f"{source}_to_{target}": Transformer(d, options.layers, options)
            for target in MODALITIES for source in MODALITIES if source != target
        })  # fmt: skip
        self.recall = nn.ModuleDict({m: Transformer(2 * d, options.recall_layers, options) for m in MODALITIES})
        self.hidden = nn.Sequential(
            nn.Linear(6 * d, 6 * d), nn.ReLU(), nn.Dropout(options.output_dropout), nn.Linear(6 * d, 6 * d)
        )
        self.out = nn.Linear(6 * d, targets)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        steps = {m: self._projected(m, inputs) for m in MODALITIES}  # (B, T, d)
        last = torch.cat([self._target(m, steps, inputs) for m in MODALITIES], dim=1)  # (B, 6 d)
        prediction: Tensor = self.out(last + self.hidden(last))  # (B, K)
        return {"prediction": prediction}

    def _projected(self, modality: str, inputs: Inputs) -> Tensor:
        padding = ~inputs[modality].mask[:, :, None]  # (B, T, 1)
        values = inputs[modality].values  # (B, T, D)
        if modality == "text":
            values = F.dropout(values, self.options.text_dropout, self.training)
        values = values.masked_fill(padding, 0.0)  # padding may hold NaN
        projected: Tensor = self.project[modality](values.transpose(1, 2)).transpose(1, 2)  # (B, T, d)
        return torch.where(padding, 0.0, projected)

    def _target(self, target: str, steps: Mapping[str, Tensor], inputs: Inputs) -> Tensor:
        """The result of a target and its two sources at its last true step: (B, 2 d)."""
        mask = inputs[target].mask  # (B, T)
        got = []
        for source in MODALITIES:
            if source != target:
                cross = self.cross[f"{source}_to_{target}"]
                got.append(cross(steps[target], steps[source], mask, inputs[source].mask))  # (B, T, d)
        joined = torch.cat(got, dim=2)  # (B, T, 2 d)
        read = self.recall[target](joined, joined, mask, mask)  # (B, T, 2 d)
        at = (mask.sum(dim=1) - 1).clamp(min=0)  # (B,)
        final: Tensor = read[torch.arange(at.shape[0], device=at.device), at]  # (B, 2 d)
        return final * mask.any(dim=1)[:, None]


class Transformer(nn.Module):
    """Layers in which one sequence attends to another, which does not change.

    Args:
        width: D of both sequences.
        layers: Number of layers.
        options: Heads and dropouts.
    """

    def __init__(self, width: int, layers: int, options: Options) -> None:
        super().__init__()
        self.dropout, self.positions, self.causal = options.embed_dropout, options.positions, options.causal
        self.layers = nn.ModuleList([Layer(width, options.heads, options.attention_dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, target: Tensor, source: Tensor, own: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) with true steps (B, T) `own` attends to (B, S, D) with true steps (B, S) `mask`.

        The same tensor twice is self-attention.
        """
        # Of self-attention, the second is drawn but not read: without its dropout, trainings would give other digits.
        out, read = self._embedded(target), self._embedded(source)
        seen = mask[:, None]  # (B, 1 or T, S)
        if self.causal:
            seen = seen & ~_later(own, mask)
        for layer in self.layers:
            out = layer(out, None if source is target else read, seen)  # (B, T, D)
        normed: Tensor = self.norm(out)
        return normed

    def _embedded(self, steps: Tensor) -> Tensor:
        scaled = math.sqrt(steps.shape[2]) * steps  # (B, T, D)
        if self.positions != "none":
            kind = self.positions == "released"
            scaled = scaled + positions(steps.shape[1], steps.shape[2], steps.device, released=kind).to(steps)
        return F.dropout(scaled, self.dropout, self.training)


class Layer(nn.Module):
    """Attention, then a network on each step; each with its layer norm before and a residual around.

    Args:
        width: D.
        heads: Attention heads.
        dropout: On attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = MaskedAttention(width, heads, dropout)
        self.before = nn.LayerNorm(width)
        self.between = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, target: Tensor, source: Tensor | None, seen: Tensor) -> Tensor:
        """(B, T, D) attending to the steps (B, 1 or T, S) `seen` of (B, S, D), or of itself."""
        query = self.before(target)  # (B, T, D)
        read = query if source is None else self.before(source)  # (B, S, D)
        out = target + self.attention(query, read, seen)  # (B, T, D)
        stepped: Tensor = out + self.network(self.between(out))  # (B, T, D)
        return stepped


def _later(own: Tensor, mask: Tensor) -> Tensor:
    """(B, T, S) bool: the source's steps that a causal mask hides from each step of the target, by true lengths."""
    apart = (own.sum(dim=1) - mask.sum(dim=1)).abs()  # (B,)
    query, key = (torch.arange(each.shape[1], device=mask.device) for each in (own, mask))
    return key > query[:, None] + apart[:, None, None]  # (B, T, S)


def positions(steps: int, width: int, device: torch.device | None = None, released: bool = False) -> Tensor:
    """(T, D) sinusoidal position embeddings: sines in the first half of the columns, cosines in the second.

    Args:
        steps: T.
        width: D.
        device: Where they are made.
        released: As in MulT's released code: counted from 1, the last rate is exactly 1 / 10000, and the last column
            of an odd width is 0.

    Reference:
        Vaswani et al. 2017, section 3.5, columns reordered.
    """
    half = width // 2 if released else (width + 1) // 2
    rate = torch.exp(-math.log(10000.0) * torch.arange(half, device=device) / (max(1, half - 1) if released else half))
    angle = torch.arange(steps, device=device)[:, None] + int(released)  # (T, 1)
    angle = angle * rate[None]  # (T, D / 2)
    return F.pad(torch.cat([angle.sin(), angle.cos()], dim=1), (0, max(0, width - 2 * half)))[:, :width]  # (T, D)

"""ALMT: the text guides what is learnt from sound and picture, in a representation that starts from nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Inputs, Outputs, Padded, Role
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, check_options
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.layers import attend
from featzoo.zoo.nn.losses import squared_error
from featzoo.zoo.nn.text_encoder import ROLES, EncoderHead, TextEncoder

HEARD_AND_SEEN = ("audio", "vision")


@dataclass(frozen=True)
class Options:
    """The options; the defaults are the released code's for CMU-MOSI.

    Attributes:
        width: d of every token.
        tokens: Number of tokens that a modality is reduced to, and of the hyper-modality.
        steps: Number of steps of a modality for which there are positions; at least `max_steps` of every input.
        heads: Attention heads.
        head_width: Width of a head in the transformers.
        hyper_head_width: Width of a head in the hyper-modality's layers.
        network: Width of the transformers' networks.
        depth: Layers of the transformer that reduces a modality.
        hyper_depth: Layers of the hyper-modality; the text has one layer fewer above its tokens.
        fusion_depth: Layers of the last transformer.
        dropout: In the transformers, 0 in the released code.
        frozen_layers: The encoder's embeddings and this many first layers are frozen; -1 trains everything.
    """

    width: int = 128
    tokens: int = 8
    steps: int = 512
    heads: int = 8
    head_width: int = 64
    hyper_head_width: int = 16
    network: int = 128
    depth: int = 1
    hyper_depth: int = 3
    fusion_depth: int = 2
    dropout: float = 0.0
    frozen_layers: int = -1

    def __post_init__(self) -> None:
        check_options(self)


class Almt(EncoderHead):
    """Adaptive language-guided multimodal transformer.

    Transformers reduce each modality to a few tokens. In each layer, the text's tokens ask those of audio and vision,
    and the answers are added to the hyper-modality. The text's last tokens and one more then attend to it, and a linear
    layer predicts from that one.

    Reference:
        Zhang, Wang, Yin, Liu, Liu, Yu: Learning Language-guided Adaptive Hyper-modality Representation for Multimodal
        Sentiment Analysis, EMNLP 2023; widths, depths and starting values from github.com/Haoyu-ha/ALMT (MIT).

    Differences:
        - Attention leaves padding out; the released code attends to it. Without padding and with its weights, this head
          gives its predictions.
        - The tokens of a missing modality are those that the transformer makes of its learnt tokens alone.
        - For classes, their cross entropy replaces the squared error. Any encoder of BERT architecture.
    """

    roles: ClassVar[Mapping[str, Role]] = ROLES
    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")
    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        o, d = options, options.width
        self.encoder = TextEncoder("almt", inputs["text"], self.saved_assets, "cls", o.frozen_layers)
        widths = {m: self.encoder.width if m == "text" else inputs[m].width for m in MODALITIES}
        self.project = nn.ModuleDict({m: nn.Linear(widths[m], d) for m in MODALITIES})
        self.reduce = nn.ModuleDict({m: Transformer(o, o.depth, o.steps + o.tokens, o.tokens) for m in MODALITIES})
        self.above = Transformer(o, o.hyper_depth - 1, o.tokens, 0)
        self.hyper = nn.Parameter(torch.ones(o.tokens, d))
        self.layers = nn.ModuleList([HyperLayer(o) for _ in range(o.hyper_depth)])
        self.fuse = Fusion(o)
        self.out = nn.Linear(d, targets)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        text = inputs["text"]
        given = {"text": self.encoder.states(text)[-1]} | {m: inputs[m].values for m in HEARD_AND_SEEN}
        tokens = {m: self._tokens(m, given[m], inputs[m].mask) for m in MODALITIES}  # (B, N, d)
        every = torch.ones(tokens["text"].shape[:2], dtype=torch.bool, device=text.mask.device)  # (B, N)
        levels = self.above(tokens["text"], every)
        hyper = self.hyper.expand(every.shape[0], -1, -1)  # (B, N, d)
        for level, layer in zip(levels, self.layers, strict=True):
            hyper = layer(level, {m: tokens[m] for m in HEARD_AND_SEEN}, hyper)
        prediction: Tensor = self.out(self.fuse(hyper, levels[-1]))  # (B, K)
        return {"prediction": prediction}

    def distil(self, inputs: Inputs) -> Inputs | None:
        """The text after the encoder's frozen layers, token by token."""
        text, frozen = inputs["text"], self.encoder.encoder.frozen
        if frozen < 0:
            return None
        states = self.encoder.states(text, frozen)[-1].masked_fill(~text.mask[:, :, None], 0.0)  # (B, T, H)
        return {**inputs, "text": Padded(states, text.mask, text.mask[:, :, None].expand(states.shape))}

    def _tokens(self, modality: str, steps: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) to the modality's tokens (B, N, d).

        Raises:
            InvalidOption: If there are no positions for as many steps.
        """
        most = self.options.steps
        if steps.shape[1] > most:
            raise InvalidOption(
                f"{steps.shape[1]} steps of {modality}, and positions for {most}: raise options.steps, or lower "
                f"inputs.{modality}.max_steps"
            )
        projected = self.project[modality](steps.masked_fill(~mask[:, :, None], 0.0))  # (B, T, d)
        found: Tensor = self.reduce[modality](projected, mask)[-1]  # (B, N + T, d)
        return found[:, : self.options.tokens]

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The only term: mse, or ce of classes."""
        return self.objective.terms(outputs["prediction"], targets, mse=squared_error)


class Attention(nn.Module):
    """Multi-head attention between layer-normalised sequences, with heads of any width.

    Args:
        width: d of both.
        heads: Number of heads.
        head: Width of a head.
        dropout: On the result.
    """

    def __init__(self, width: int, heads: int, head: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_key, self.norm_value = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.key, self.value = (nn.Linear(width, heads * head, bias=False) for _ in range(3))
        self.out = nn.Sequential(nn.Linear(heads * head, width), nn.Dropout(dropout))

    def forward(self, query: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
        """(B, T, d) asks the true steps (B, S) of (B, S, d): (B, T, d); each clip has one."""
        asked, known = self.query(self.norm_query(query)), self.key(self.norm_key(steps))
        given = attend(asked, known, self.value(self.norm_value(steps)), self.heads, mask[:, None])
        out: Tensor = self.out(given)
        return out


class Layer(nn.Module):
    """Attention, then a network on each step, each with a residual around."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        o = options
        self.attention = Attention(o.width, o.heads, o.head_width, o.dropout)
        self.norm = nn.LayerNorm(o.width)
        self.network = nn.Sequential(
            nn.Linear(o.width, o.network), nn.GELU(), nn.Dropout(o.dropout),
            nn.Linear(o.network, o.width), nn.Dropout(o.dropout),
        )  # fmt: skip

    def forward(self, target: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """(B, T, d) attending to the true steps (B, S) of (B, S, d)."""
        heard = target + self.attention(target, source, mask)  # (B, T, d)
        out: Tensor = heard + self.network(self.norm(heard))
        return out


class Transformer(nn.Module):
    """Self-attention layers over learnt tokens and a sequence, with learnt positions.

    Args:
        options: Widths and heads.
        depth: Number of layers.
        places: Number of positions, tokens included.
        tokens: Number of learnt tokens before the sequence.
    """

    def __init__(self, options: Options, depth: int, places: int, tokens: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(places, options.width))
        self.tokens = nn.Parameter(torch.zeros(tokens, options.width)) if tokens else None
        self.layers = nn.ModuleList([Layer(options) for _ in range(depth)])

    def forward(self, steps: Tensor, mask: Tensor) -> list[Tensor]:
        """(B, T, d) with true steps (B, T) to the input and each layer's output, (B, N + T, d) each."""
        if self.tokens is not None:
            steps = torch.cat([self.tokens.expand(steps.shape[0], -1, -1), steps], dim=1)  # (B, N + T, d)
            mask = torch.cat([mask.new_ones(mask.shape[0], self.tokens.shape[0]), mask], dim=1)  # (B, N + T)
        hidden = steps + self.positions[: steps.shape[1]]
        states = [hidden]
        for layer in self.layers:
            states.append(layer(states[-1], states[-1], mask))
        return states


class HyperLayer(nn.Module):
    """One step of adaptive hyper-modality learning: the text's tokens ask audio and vision."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        d, wide = options.width, options.heads * options.hyper_head_width
        self.heads = options.heads
        self.norm_text, self.norm_hyper = nn.LayerNorm(d), nn.LayerNorm(d)
        self.norms = nn.ModuleDict({m: nn.LayerNorm(d) for m in HEARD_AND_SEEN})
        self.query = nn.Linear(d, wide, bias=False)
        self.key = nn.ModuleDict({m: nn.Linear(d, wide, bias=False) for m in HEARD_AND_SEEN})
        self.value = nn.ModuleDict({m: nn.Linear(d, wide, bias=False) for m in HEARD_AND_SEEN})
        self.out = nn.Sequential(nn.Linear(wide, d), nn.Dropout(options.dropout))

    def forward(self, text: Tensor, others: Mapping[str, Tensor], hyper: Tensor) -> Tensor:
        """The next hyper-modality (B, N, d).

        Args:
            text: (B, N, d) the text's tokens at this level.
            others: Modality to its tokens (B, N, d).
            hyper: (B, N, d).
        """
        query = self.query(self.norm_text(text))
        answers = []
        for modality, tokens in others.items():
            normed = self.norms[modality](tokens)
            answers.append(attend(query, self.key[modality](normed), self.value[modality](normed), self.heads))
        heard = torch.stack(answers).sum(dim=0)  # (B, N, wide)
        found: Tensor = self.norm_hyper(hyper) + self.out(heard)
        return found


class Fusion(nn.Module):
    """The text's tokens and one more attend to the hyper-modality; gives the last state of that one."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        places = (options.tokens + 1, options.width)
        self.source, self.target = (nn.Parameter(torch.randn(places)) for _ in range(2))
        self.token = nn.Parameter(torch.zeros(1, options.width))
        self.layers = nn.ModuleList([Layer(options) for _ in range(options.fusion_depth)])

    def forward(self, hyper: Tensor, text: Tensor) -> Tensor:
        """(B, N, d) and (B, N, d) to (B, d)."""
        extra = self.token.expand(text.shape[0], -1, -1)  # (B, 1, d)
        source, target = (
            torch.cat([extra, each], dim=1) + place for each, place in ((hyper, self.source), (text, self.target))
        )  # (B, N + 1, d)
        every = torch.ones(source.shape[:2], dtype=torch.bool, device=source.device)
        for layer in self.layers:
            target = layer(target, source, every)
        return target[:, 0]

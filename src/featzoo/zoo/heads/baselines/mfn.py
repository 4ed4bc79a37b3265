"""MFN: one LSTM for each modality, and a memory of how their cells change together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, FeatureHead, check_options, side_by_side
from featzoo.zoo.input_spec import InputSpec


@dataclass(frozen=True)
class Options:
    """The options; the defaults are MMSA's for CMU-MOSI.

    Attributes:
        text: Width of the text's LSTM.
        audio: Width of the audio's LSTM.
        vision: Width of the vision's LSTM.
        memory: Width of the memory.
        attention: Hidden width of the attention's network (D_a).
        update: Hidden width of the proposal's network (D_u).
        retain: Hidden width of the retain gate's network (D_gamma1).
        write: Hidden width of the update gate's network (D_gamma2).
        out: Hidden width of the output network.
        attention_dropout: In D_a.
        retain_dropout: In D_gamma1.
        write_dropout: In D_gamma2.
    """

    text: int = 256
    audio: int = 32
    vision: int = 256
    memory: int = 400
    attention: int = 32
    update: int = 64
    retain: int = 256
    write: int = 32
    out: int = 128
    attention_dropout: float = 0.2
    retain_dropout: float = 0.7
    write_dropout: float = 0.5

    def __post_init__(self) -> None:
        check_options(self)


class Mfn(FeatureHead):
    """Memory fusion network.

    At each step t, attention over the modalities' cell states of t - 1 and t selects cross-modal information
    (Delta-memory attention network), and two gates control how it updates a multi-view memory. The prediction uses the
    last hidden states and the memory.

    Reference:
        Zadeh, Liang, Mazumder, Poria, Cambria, Morency: Memory Fusion Network for Multi-view Sequential Learning,
        AAAI 2018, equations 1 to 9; widths and dropouts from MMSA's configuration (MIT).

    Differences:
        - Audio and vision are averaged over the text's steps (`feature_head.onto`), as for EF-LSTM; the paper uses
          word-aligned features.
        - States stop at a clip's last true step; the released code continues over the padding.
        - A missing modality's LSTM stays at 0.
    """

    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.widths = {"text": options.text, "audio": options.audio, "vision": options.vision}
        self.cells = nn.ModuleDict({m: nn.LSTMCell(inputs[m].width, self.widths[m]) for m in MODALITIES})
        states, memory = sum(self.widths.values()), options.memory
        self.attention = _network(2 * states, options.attention, 2 * states, options.attention_dropout)
        self.update = _network(2 * states, options.update, memory, 0.0)
        self.retain = _network(2 * states + memory, options.retain, memory, options.retain_dropout)
        self.write = _network(2 * states + memory, options.write, memory, options.write_dropout)
        self.out = _network(states + memory, options.out, targets, 0.0)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        steps, clock = side_by_side(inputs)
        batch = clock.shape[0]
        zero = steps["text"].new_zeros
        hidden = {m: zero(batch, self.widths[m]) for m in MODALITIES}
        cell = {m: zero(batch, self.widths[m]) for m in MODALITIES}
        memory = zero(batch, self.options.memory)
        there = {m: inputs[m].mask.any(dim=1)[:, None] for m in MODALITIES}  # (B, 1)
        for t in range(clock.shape[1]):
            going = clock[:, t, None]  # (B, 1)
            before = torch.cat([cell[m] for m in MODALITIES], dim=1)  # (B, C)
            for m in MODALITIES:
                h, c = self.cells[m](steps[m][:, t], (hidden[m], cell[m]))
                hidden[m] = torch.where(going & there[m], h, hidden[m])
                cell[m] = torch.where(going & there[m], c, cell[m])
            after = torch.cat([cell[m] for m in MODALITIES], dim=1)  # (B, C)
            memory = torch.where(going, self.remember(torch.cat([before, after], dim=1), memory), memory)
        last = torch.cat([*(hidden[m] for m in MODALITIES), memory], dim=1)  # (B, C + memory)
        prediction: Tensor = self.out(last)  # (B, K)
        return {"prediction": prediction}

    def remember(self, window: Tensor, memory: Tensor) -> Tensor:
        """The next memory from the cells of two steps (B, 2 C) and the memory so far (B, M)."""
        attended = torch.softmax(self.attention(window), dim=1) * window  # (B, 2 C)
        proposed = torch.tanh(self.update(attended))  # (B, M)
        both = torch.cat([attended, memory], dim=1)  # (B, 2 C + M)
        kept: Tensor = torch.sigmoid(self.retain(both)) * memory + torch.sigmoid(self.write(both)) * proposed
        return kept


def _network(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs))

"""EF-LSTM: the modalities are concatenated at every step and read by one LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, FeatureHead, check_options, side_by_side
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.layers import MaskedLSTM


@dataclass(frozen=True)
class Options:
    """The options; the widths are MMSA's for CMU-MOSI.

    Attributes:
        hidden: Width of the LSTM and of the layer on its last state.
        layers: LSTM layers.
        dropout: Between the layers, on the last state, and before the output.
    """

    hidden: int = 128
    layers: int = 4
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_options(self)


class EfLstm(FeatureHead):
    """Early fusion by an LSTM.

    Reference:
        EF-LSTM as MMSA defines it (Yu et al., CH-SIMS, ACL 2020), after Williams, Kleinegesse, Comanescu, Radu:
        Recognizing Emotions in Video Using Multimodal DNN Feature Fusion, 2018; widths from MMSA's configuration
        (MIT).

    Differences:
        - MMSA needs word-aligned features. Here audio and vision are averaged over the text's
          steps, on the assumption that all steps of a sequence are equally long (`feature_head.onto`): aligned
          features of equal length are unchanged, and an utterance-level vector is repeated at every step.
        - Each step is layer-normalised; MMSA batch-normalises, with the time step as the channel.
        - The last true step's state is read; MMSA's is that of the last padded step.
        - A missing modality is zeros.
    """

    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        width = sum(inputs[m].width for m in MODALITIES)
        self.norm = nn.LayerNorm(width)
        self.lstm = MaskedLSTM(width, options.hidden, layers=options.layers, dropout=options.dropout)
        self.out = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Linear(options.hidden, options.hidden), nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(options.hidden, targets),
        )  # fmt: skip

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        steps, clock = side_by_side(inputs)
        joined = self.norm(torch.cat([steps[m] for m in MODALITIES], dim=2))  # (B, T, sum of D)
        _, last = self.lstm(joined, clock)  # (B, hidden)
        prediction: Tensor = self.out(last)  # (B, K)
        return {"prediction": prediction}

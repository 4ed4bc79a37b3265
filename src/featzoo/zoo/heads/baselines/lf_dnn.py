"""LF-DNN: each modality becomes an embedding, and a network reads the concatenated embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs
from featzoo.zoo.heads.baselines.feature_head import FeatureHead, LastNet, MeanNet, check_options
from featzoo.zoo.input_spec import InputSpec


@dataclass(frozen=True)
class Options:
    """The options; the defaults are MMSA's for CMU-MOSI.

    Attributes:
        text_hidden: Width of the text's LSTM.
        text: Width of the text embedding.
        audio: Width of the audio embedding.
        vision: Width of the vision embedding.
        fused: Width of the network on all three.
        dropout: On every network's input.
    """

    text_hidden: int = 128
    text: int = 256
    audio: int = 16
    vision: int = 128
    fused: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_options(self)


class LfDnn(FeatureHead):
    """Late fusion by a deep network.

    The text's last LSTM state and the means of audio and vision become embeddings, which are concatenated
    and go through three layers.

    Reference:
        LF-DNN as MMSA defines it (Yu et al., CH-SIMS, ACL 2020), after Cambria, Hazarika, Poria, Bandyopadhyay,
        Subramanyam: Benchmarking Multimodal Sentiment Analysis, 2017; widths from MMSA's configuration (MIT).

    Differences:
        - Inputs are standardised by the train split's statistics (recipe), not by batch normalisation.
        - A missing modality is a vector of zeros.
    """

    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.text = LastNet(inputs["text"].width, options.text_hidden, options.text, options.dropout)
        self.audio = MeanNet(inputs["audio"].width, options.audio, options.dropout)
        self.vision = MeanNet(inputs["vision"].width, options.vision, options.dropout)
        self.out = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Linear(options.text + options.audio + options.vision, options.fused), nn.ReLU(),
            nn.Linear(options.fused, options.fused), nn.ReLU(),
            nn.Linear(options.fused, targets),
        )  # fmt: skip

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K)."""
        parts = [self.text(inputs["text"]), self.audio(inputs["audio"]), self.vision(inputs["vision"])]
        prediction: Tensor = self.out(torch.cat(parts, dim=1))  # (B, K)
        return {"prediction": prediction}

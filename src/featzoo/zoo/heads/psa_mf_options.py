"""The options of PSA-MF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """The options; the defaults are the released code's, its defects repaired.

    Attributes:
        fusion_layers: How many of the encoder's L layers see the pseudo tokens; those before see text only.
        fusion_init: The fusion layers start from the encoder's own last layers (`bert`) or at `random`.
        align_layer: Which of the L + 1 hidden states is aligned with personality; -3 is the tenth of
            BERT-base's 0..12 (the eleventh counted from 1) and L - 2 of any encoder.
        pooling: The vector of the text: that of its first token (`cls`) or the mean of its tokens.
        hidden: Width of LSTMs, alignment and cross attention.
        heads: Of the cross attention.
        wide: Width that sound and picture are lifted to in the enhanced fusion.
        dropout: In attention and sub-network.
        clip: Similarity of the contrastive terms, see `layers.Clip`.
        ccl_weight: `half_distance` weights L_ccl by d = (1 - cos) / 2 and L_ps by 1 - d. `literal` is the
            published equation read as printed (cos and 1 - cos); it is degenerate: minimising cos * InfoNCE
            drives the cosine to -1. It is here to be shown, not used.
        weights: Of l1, l_ccl, l_ps and l_clm, in this order.
        modality_dropout: Share of training clips whose sound is left out, and of those whose picture is; the head
            learns to go without. Not in the paper.
        frozen_layers: Embeddings and this many first layers do not learn, and have no dropout; -1 trains everything.
            The output of those before the fusion layers is computed once before training and kept.
        attend_steps: 0 attends to the true steps of sound and picture. The released code pads both to 500
            zero steps and attends to all of them; 500 does so here.
        pre_fusion: Whether the pseudo tokens join the text for the fusion layers (the published ablation's row;
            L_clm, which has a row of its own, stays).
        enhanced_fusion: Whether cross attention and the two paths make the prediction; without, the text and the
            last states of picture and sound, side by side, do.
    """

    fusion_layers: int = 1
    fusion_init: Literal["bert", "random"] = "bert"
    align_layer: int = -3
    pooling: Literal["cls", "mean"] = "cls"
    hidden: int = 64
    heads: int = 2
    wide: int = 2048
    dropout: float = 0.1
    modality_dropout: float = 0.0
    clip: Literal["official", "standard"] = "official"
    ccl_weight: Literal["half_distance", "literal"] = "half_distance"
    weights: tuple[float, ...] = (1.0, 1.0, 0.1, 0.09)
    frozen_layers: int = -1
    attend_steps: int = 0
    pre_fusion: bool = True
    enhanced_fusion: bool = True

    def __post_init__(self) -> None:
        if self.fusion_layers < 1:
            raise ValueError(f"fusion_layers is at least 1; got {self.fusion_layers}")
        if self.hidden < 3 or self.hidden % self.heads:
            raise ValueError(f"hidden is a multiple of heads, at least 3; got {self.hidden} and {self.heads} heads")
        if len(self.weights) != 4:
            raise ValueError(f"weights are four: l1, l_ccl, l_ps, l_clm; got {len(self.weights)}")
        for name in ("dropout", "modality_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is in [0, 1); got {getattr(self, name)}")

"""The options of PSA-MF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """The options; the defaults are the released code's, with its defects fixed.

    Attributes:
        fusion_layers: Number of the encoder's L layers that read the pseudo tokens; earlier layers read only text.
        fusion_init: The fusion layers start from the encoder's own last layers (`bert`) or at `random`.
        align_layer: The one of the L + 1 hidden states that is aligned with personality; -3 is the tenth of
            BERT-base's 0..12 (the eleventh counted from 1) and L - 2 of any encoder.
        pooling: The vector of the text: that of its first token (`cls`) or the mean of its tokens.
        hidden: Width of LSTMs, alignment and cross attention.
        heads: Heads of the cross attention.
        wide: Width to which audio and vision are expanded in the enhanced fusion.
        dropout: In attention and sub-network.
        clip: Similarity of the contrastive terms, see `layers.Clip`.
        ccl_weight: `half_distance` weights L_ccl by d = (1 - cos) / 2 and L_ps by 1 - d. `literal` is the
            published equation as printed (cos and 1 - cos); it is degenerate: minimising cos * InfoNCE
            drives the cosine to -1. It exists for demonstration, not for use.
        weights: Weights of l1, l_ccl, l_ps and l_clm, in this order.
        modality_dropout: Share of training clips whose audio is left out, and of those whose vision is, so that the
            head learns to work without them. Not in the paper.
        text_dropout: The same for the text. Not in the paper.
        unimodal: Weight of auxiliary losses, the error of a linear prediction from each modality by itself (text after
            layer N, audio and vision from their last states). Not in the paper.
        modulation: Strength of gradient modulation: the gradient into a modality that predicts better by itself than
            the others is made smaller, so that it does not stop their learning (OGM). Needs `unimodal`. 0 is none.
            Not in the paper.
        additive: Whether a linear model of each modality's mean over time (of the text, its state after layer N) is
            added to the prediction; it starts at 0. Not in the paper.
        products: Number of products of the text's mean, less that of all texts, with each other modality's, from which
            a linear model makes a prediction of its own, with an auxiliary loss that does not reach the encoder. Needs
            `stacked`. 0 has none. Not in the paper.
        stacked: Whether the prediction is a linear stack of the head's own, of those that `unimodal` trains, and of
            that from products, which is fitted on dev after every epoch and kept near to the head's own prediction by
            a penalty that weighs as much as 20 clips. Dev's scores are those of each clip predicted by the stack that
            the other clips give. Only of numbers: classes are predicted without it. Needs `unimodal`. Not in the
            paper.
        ccl_ramp: Number of training steps over which the weight of L_ccl rises from 0. Not in the paper.
        frozen_layers: Embeddings and this many first layers are frozen, without dropout; -1 trains everything.
            The output of those before the fusion layers is computed once before training and kept.
        attend_steps: 0 attends to the true steps of audio and vision. The released code pads both to 500
            zero steps and attends to all of them; 500 does so here.
        pre_fusion: Whether the pseudo tokens join the text for the fusion layers (the published ablation's row;
            L_clm, which has a separate row, stays).
        enhanced_fusion: Whether cross attention and the two paths make the prediction; otherwise it is made from the
            concatenated text and last states of vision and audio.
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
    text_dropout: float = 0.0
    unimodal: float = 0.0
    modulation: float = 0.0
    additive: bool = False
    products: int = 0
    stacked: bool = False
    ccl_ramp: int = 0
    clip: Literal["official", "standard"] = "official"
    ccl_weight: Literal["half_distance", "literal"] = "half_distance"
    weights: tuple[float, ...] = (1.0, 1.0, 0.1, 0.09)
    frozen_layers: int = -1
    attend_steps: int = 0
    pre_fusion: bool = True
    enhanced_fusion: bool = True

    def __post_init__(self) -> None:
        if self.fusion_layers < 1:
            raise ValueError(f"fusion_layers must be at least 1; got {self.fusion_layers}")
        if self.hidden < 3 or self.hidden % self.heads:
            raise ValueError(
                f"hidden must be a multiple of heads, at least 3; got {self.hidden} and {self.heads} heads"
            )
        if len(self.weights) != 4:
            raise ValueError(f"weights must be four: l1, l_ccl, l_ps, l_clm; got {len(self.weights)}")
        for name in ("dropout", "modality_dropout", "text_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1); got {getattr(self, name)}")
        if min(self.unimodal, self.modulation, self.products, self.ccl_ramp) < 0:
            raise ValueError("unimodal, modulation, products and ccl_ramp must not be negative")
        if self.stacked and not self.unimodal:
            raise ValueError("stacked = true adds up unimodal predictions: set unimodal above 0")
        if self.products and not self.stacked:
            raise ValueError(f"products = {self.products} make a prediction for the stack: set stacked to true")
        if self.modulation and not self.unimodal:
            raise ValueError(f"modulation = {self.modulation} compares unimodal predictions: set unimodal above 0")

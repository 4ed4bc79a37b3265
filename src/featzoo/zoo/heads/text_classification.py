"""An encoder fine-tuned to answer yes or no of each trait: ADAM's English teacher, and its BCE baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Inputs, InputSpec, Outputs
from featzoo.zoo.nn.text_encoder import TextEncoder, TextHead


@dataclass(frozen=True)
class Options:
    """The options.

    Attributes:
        pooling: The vector of the text: that of its first token (`cls`) or the mean of its tokens.
        window: Tokens that the encoder reads at once, special ones included; a longer text is read as several windows,
            each between special tokens, and stands for the mean over them. 0 reads every text whole.
        drawn: Windows of a text that a training step reads, drawn anew each time; 0 reads all. Evaluation reads all.
        layers: How many of the encoder's layers are used, the first ones; 0 uses all.
        hidden: Width of the hidden layer.
        dropout: On the pooled vector and on the hidden layer.
        loss: `bce`, the binary cross entropy; `weighted-bce`, where an answer weighs as much as the opposite one is
            frequent in the train split; `balanced-bce`, where a yes weighs no/yes of the train split.
        smoothing: Labels are 0 and 1 moved by half of this towards one another, in the loss.
        frozen_layers: Embeddings and this many first layers do not learn, and have no dropout; -1 trains everything.
            Their output is computed once before training and kept.
    """

    pooling: Literal["cls", "mean"] = "cls"
    window: int = 0
    drawn: int = 0
    layers: int = 0
    hidden: int = 128
    dropout: float = 0.1
    loss: Literal["bce", "weighted-bce", "balanced-bce"] = "bce"
    smoothing: float = 0.0
    frozen_layers: int = -1

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1 or not 0 <= self.smoothing < 1:
            raise ValueError(f"dropout and smoothing are in [0, 1); got {self.dropout} and {self.smoothing}")
        if self.window and self.window < 3:
            raise ValueError(f"a window is at least 3 tokens (two are special), or 0; got {self.window}")
        if self.drawn < 0 or (self.drawn and not self.window):
            raise ValueError(f"drawn windows are at least 0, and go with window; got {self.drawn}")
        if self.hidden < 1 or self.layers < 0:
            raise ValueError(f"hidden is at least 1, layers not negative; got {self.hidden} and {self.layers}")


class TextClassification(TextHead):
    """Token ids to K probabilities: an encoder, its pooled vector, a ReLU layer, a sigmoid.

    Reference:
        The "standard BCE" encoder of the group that published ADAM (arXiv 2604.08851): [CLS], a layer of 128 with
        ReLU, a layer of K, one binary cross entropy over all traits. The two weighted losses are those of its
        adaptive focal loss paper's code.

    Differences:
        - The group's script trains the layers above an encoder that an earlier stage has tuned; here the encoder
          learns with them, or what of it `frozen_layers` leaves.
        - Dropout, label smoothing, windows and an encoder cut to its first layers are ours. The recipe `adam-teacher`
          reads the mean of the third layer of a frozen encoder, which did best on Essays' validation split.
    """

    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        o = options
        self.text = TextEncoder(
            "text-classification",
            inputs["text"],
            self.saved_assets,
            o.pooling,
            o.frozen_layers,
            o.window,
            o.drawn,
            o.layers,
        )
        self.share: Tensor
        self.register_buffer("share", torch.full((targets,), 0.5))  # (K,) of yes in the train split
        self.out = classifier(self.text.width, o.hidden, o.dropout, targets)

    def prepare(self, targets: Tensor) -> None:
        """Keep how frequent a yes is.

        Raises:
            InvalidOption: If a target is neither 0 nor 1, or always the same.
        """
        with torch.no_grad():
            self.share.copy_(share_of_yes(targets, self.options.loss))

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K), probabilities, and `logits` (B, K)."""
        logits = self.out(self.text(inputs["text"]))  # (B, K)
        return {"prediction": logits.sigmoid(), "logits": logits}

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The one that `loss` names."""
        o = self.options
        smooth = targets * (1 - o.smoothing) + o.smoothing / 2  # (B, K)
        weight = answer_weights(targets, self.share, o.loss)  # (B, K)
        return {o.loss: F.binary_cross_entropy_with_logits(outputs["logits"], smooth, weight)}


def classifier(width: int, hidden: int, dropout: float, targets: int) -> nn.Sequential:
    """(B, width) to (B, K) logits, through a layer with ReLU."""
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, targets)
    )


def share_of_yes(targets: Tensor, loss: str) -> Tensor:
    """(K,) of (N, K) train targets; for a loss as in `answer_weights`.

    Raises:
        InvalidOption: If a target is neither 0 nor 1, or always the same where the loss weighs yes against no.
    """
    if not ((targets == 0) | (targets == 1)).all():
        raise InvalidOption("this head learns labels 0 and 1; for other numbers there is text-regression")
    share = targets.mean(dim=0)  # (K,)
    if loss != "bce" and ((share == 0) | (share == 1)).any():
        raise InvalidOption(
            f"the loss {loss} weighs yes against no, and a target of the train split is always the same: use bce, or "
            "leave that target out of target.columns"
        )
    return share


def answer_weights(targets: Tensor, share: Tensor, loss: str) -> Tensor | None:
    """(B, K) weights of the terms of a binary cross entropy; None where all are 1.

    Args:
        targets: (B, K), 0 or 1.
        share: (K,) of yes in the train split.
        loss: `bce`, `weighted-bce` (a yes weighs the share of no, a no that of yes) or `balanced-bce` (a yes weighs
            no/yes, a no 1).
    """
    if loss == "bce":
        return None
    yes, no = ((1 - share) / share, torch.ones_like(share)) if loss == "balanced-bce" else (1 - share, share)
    return torch.where(targets > 0.5, yes, no)

"""An encoder fine-tuned to predict binary traits: ADAM's English teacher, and its BCE baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Inputs, Outputs
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.text_encoder import TextEncoder, TextHead


@dataclass(frozen=True)
class Options:
    """The options.

    Attributes:
        pooling: The vector of the text: that of its first token (`cls`) or the mean of its tokens.
        window: Tokens that the encoder reads at once, including special tokens; a longer text is read in several
            windows, each between special tokens, and its vector is the mean over them. 0 reads every text at once.
        drawn: Number of windows of a text in a training step, drawn at random each time; 0 reads all. Evaluation reads
            all.
        layers: Number of the encoder's first layers that are used; 0 uses all.
        hidden: Width of the hidden layer.
        dropout: On the pooled vector and on the hidden layer.
        loss: Of labels 0 and 1: `bce`, the binary cross entropy; `weighted-bce`, in which the weight of each class is
            the share of the other class in the train split; `balanced-bce`, in which positives have the train split's
            ratio of negatives to positives as weight. Of classes, the target's options choose the loss.
        smoothing: In the loss, labels 0 and 1 are moved towards each other by half of this.
        frozen_layers: Embeddings and this many first layers are frozen, without dropout; -1 trains everything.
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
            raise ValueError(f"dropout and smoothing must be in [0, 1); got {self.dropout} and {self.smoothing}")
        if self.window and self.window < 3:
            raise ValueError(f"window must be at least 3 tokens (two are special), or 0; got {self.window}")
        if self.drawn < 0 or (self.drawn and not self.window):
            raise ValueError(f"drawn must be at least 0, and needs window; got {self.drawn}")
        if self.hidden < 1 or self.layers < 0:
            raise ValueError(f"hidden must be at least 1, and layers not negative; got {self.hidden} and {self.layers}")


class TextClassification(TextHead):
    """Token ids to K probabilities: an encoder, its pooled vector, a ReLU layer, a sigmoid.

    Reference:
        The "standard BCE" encoder of the group that published ADAM (arXiv 2604.08851): [CLS], a layer of 128 with
        ReLU, a layer of K, one binary cross entropy over all traits. The two weighted losses are those of its
        adaptive focal loss paper's code.

    Differences:
        - The group's script trains the layers above an encoder that an earlier stage has fine-tuned; here the encoder
          is trained with them, except for frozen layers (`frozen_layers`).
        - Dropout, label smoothing, windows and an encoder reduced to its first layers are ours. The recipe
          `adam-teacher` reads the mean of the third layer of a frozen encoder, which did best on Essays' validation
          split.
    """

    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")
    options_class: ClassVar[type] = Options
    after_frozen: ClassVar[tuple[str, ...]] = ("hidden", "dropout", "loss", "smoothing")

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
        """Store the frequency of 1 for each target that is a number.

        Raises:
            InvalidOption: If a target is neither 0 nor 1, or always the same.
        """
        if not self.objective.of_numbers:
            return
        with torch.no_grad():
            self.share.copy_(share_of_yes(targets, self.options.loss))

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K), probabilities (or scores, if the targets are classes), and `logits` (B, K)."""
        logits = self.out(self.text(inputs["text"]))  # (B, K)
        return {"prediction": logits.sigmoid() if self.objective.of_numbers else logits, "logits": logits}

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The loss named by `loss`; ce, if the targets are classes."""
        if not self.objective.of_numbers:
            return self.objective.terms(outputs["prediction"], targets)
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
        InvalidOption: If a target is neither 0 nor 1, or always the same while the loss weights the classes.
    """
    if not ((targets == 0) | (targets == 1)).all():
        raise InvalidOption("this head needs labels 0 and 1; for other numbers use text-regression")
    share = targets.mean(dim=0)  # (K,)
    if loss != "bce" and ((share == 0) | (share == 1)).any():
        raise InvalidOption(
            f"the loss {loss} weights the classes, but a target of the train split has only one: use bce, or "
            "leave that target out of target.columns"
        )
    return share


def answer_weights(targets: Tensor, share: Tensor, loss: str) -> Tensor | None:
    """(B, K) weights of the terms of a binary cross entropy; None if all are 1.

    Args:
        targets: (B, K), 0 or 1.
        share: (K,) share of 1 in the train split.
        loss: `bce`, `weighted-bce` (the weight of each class is the share of the other) or `balanced-bce` (the weight
            of 1 is the ratio of zeros to ones, that of 0 is 1).
    """
    if loss == "bce":
        return None
    yes, no = ((1 - share) / share, torch.ones_like(share)) if loss == "balanced-bce" else (1 - share, share)
    return torch.where(targets > 0.5, yes, no)

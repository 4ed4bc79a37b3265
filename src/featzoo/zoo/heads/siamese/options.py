"""Options of the Siamese cross-modal model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """The options; the defaults are the paper's, or ours if it gives none.

    Attributes:
        until: The last part that is trained: `unimodal` is only one modality's network, `baseline` the fusion M1,
            `full` the cross-modal embeddings and M2. `joint` trains all of `full` at once, in one stage, by the sum
            of its losses, and `joint-baseline` all of `baseline`.
        backbone: Network for frames: a ResNet from scratch on the stored frames, or `none` for stored features.
        frame_height: Rows of a stored frame.
        frame_width: Columns of a stored frame.
        crop: Rows and columns of a frame that the ResNet reads.
        audio_limits: Audio features are clipped to [0, 1]; with `standardise = "range"`, this affects values of dev
            and test outside the train split's range.
        mask_words: Whether the text network leaves out padding. Otherwise it runs over all `words` steps, zeros after
            the last word, and so sees how many words there are.
        words: Number of steps to which texts are padded or cut without `mask_words`; the paper's is 80. The recipe's
            `inputs.text.max_steps` should be equal.
        hidden: Q, width of each modality's vector.
        fused: O, width of M1 and M2.
        embedding: E, width of a cross-modal embedding.
        siamese: Width of the Siamese network's two hidden layers.
        embed_steps: Whether S reads every step of a modality (each row, each frame, the text's GRU after each word) and
            a clip's embedding is the mean of theirs. Otherwise it reads the pooled vector, which M1 reads too.
        dropout: On word vectors, on images and in the Siamese network.
        bell: Whether the Bell loss is part of the loss.
        anchors: The anchors for each trait: the clips of the outer classes (`extreme`), or `all`.
        cross_modal: Whether the loss compares a clip's embedding with those of the other modalities too; otherwise
            each modality's clips are compared among themselves, and the loss is the modalities' mean.
        alpha: Parameter of the multi-similarity loss, see `MultiSimilarity`.
        beta: See alpha.
        base: lambda; see alpha.
        epsilon: Margin of its mining.
        normalise: Whether its similarity is the cosine.
        normalise_fused: Whether the embeddings are scaled to length 1 for M2 too. The loss on cosines does not limit
            their length, and long embeddings would dominate M2's input.
    """

    until: Literal["unimodal", "baseline", "full", "joint", "joint-baseline"] = "full"
    backbone: Literal["resnet50", "resnet18", "resnet10", "none"] = "resnet50"
    frame_height: int = 140
    frame_width: int = 248
    crop: int = 128
    audio_limits: bool = True
    mask_words: bool = False
    words: int = 80
    hidden: int = 256
    fused: int = 512
    embedding: int = 128
    siamese: int = 200
    embed_steps: bool = False
    dropout: float = 0.5
    bell: bool = True
    anchors: Literal["extreme", "all"] = "extreme"
    cross_modal: bool = True
    alpha: float = 2.0
    beta: float = 50.0
    base: float = 1.0
    epsilon: float = 0.1
    normalise: bool = True
    normalise_fused: bool = True

    def __post_init__(self) -> None:
        if self.hidden < 2 or self.hidden % 2:
            raise ValueError(f"hidden must be even, half of it for each direction of the text; got {self.hidden}")
        if min(self.fused, self.embedding, self.siamese, self.crop, self.words) < 1:
            raise ValueError("fused, embedding, siamese, crop and words must be at least 1")
        if self.embed_steps and self.until != "joint":
            raise ValueError("embed_steps needs until = joint: the other stages keep only one vector of each modality")
        if self.crop > min(self.frame_height, self.frame_width):
            raise ValueError(f"a crop of {self.crop} from frames of {self.frame_height} x {self.frame_width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {self.dropout}")
        if min(self.alpha, self.beta) <= 0:
            raise ValueError(f"alpha and beta must be above 0; got {self.alpha} and {self.beta}")

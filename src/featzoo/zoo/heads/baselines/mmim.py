"""MMIM: mutual information is maximised between text and the other modalities, and between them and the fusion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from featzoo.zoo.head import Inputs, Outputs, Role
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, LastNet, check_options
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.losses import absolute_error, masked_mean, predictive_nce
from featzoo.zoo.nn.text_encoder import ROLES, EncoderHead, TextEncoder

HEARD_AND_SEEN = ("audio", "vision")


@dataclass(frozen=True)
class Options:
    """The options; the defaults are the released code's for CMU-MOSI.

    Attributes:
        hidden: Width of the LSTMs, per direction.
        audio: Width of the audio's vector.
        vision: Width of the vision's vector.
        fusion: Width of the fused vector.
        dropout: On the LSTMs' states and the fusion's input.
        alpha: Weight of the contrastive terms.
        beta: Weight of the Barber-Agakov bound.
        history: Number of earlier batches, besides the current one, from which the entropy is estimated.
        pooling: The vector of the text: that of its first token (`cls`, published) or the mean of its tokens.
        frozen_layers: The encoder's embeddings and this many first layers are frozen; -1 trains everything.
    """

    hidden: int = 16
    audio: int = 16
    vision: int = 16
    fusion: int = 128
    dropout: float = 0.1
    alpha: float = 0.1
    beta: float = 0.1
    history: int = 1
    pooling: Literal["cls", "mean"] = "cls"
    frozen_layers: int = -1

    def __post_init__(self) -> None:
        check_options(self)
        if min(self.alpha, self.beta) < 0:
            raise ValueError(f"alpha and beta must not be negative; got {self.alpha} and {self.beta}")


class Mmim(EncoderHead):
    """Multimodal InfoMax.

    Text, audio and vision become vectors x, and the prediction uses a fused vector z. Two lower bounds of mutual
    information are maximised: between text and each of audio and vision (Barber-Agakov: E log q(y|x) + H(y), q a
    Gaussian whose mean and variance a network gives, H from two Gaussians, one for clips with positive and one with
    negative labels); and between z and each modality (contrastive predictive coding: z predicts which vector of the
    batch it came from).

    Reference:
        Han, Chen, Poria: Improving Multimodal Fusion with Hierarchical Mutual Information Maximization for
        Multimodal Sentiment Analysis, EMNLP 2021, equations 1 to 15; widths and weights from
        github.com/declare-lab/Multimodal-Infomax (MIT).

    Differences:
        - q is trained in the same step as the rest, by gradients that reach only q (`l_q`), while `l_ba` reaches all
          except q; the paper trains q in a separate epoch before each epoch of the rest, at twice the cost.
        - log q is the Gaussian's complete log density; the released code leaves out the log variance, and is
          greatest for infinite variance.
        - H is that of the vectors themselves, as in the paper; the released code takes a quarter as many columns,
          made by a layer that no optimiser changes. With those, the likelihood rewards columns that become
          constant and H does not see it. 1e-4 is added to variances, and a class needs two clips.
        - Negatives are other clips' vectors for the same z, as in the paper's equation 13.
        - Missing modalities take no part in the bounds and are zeros in the fusion.
        - Labels with several columns count as positive by their mean. Any encoder of BERT architecture.
    """

    roles: ClassVar[Mapping[str, Role]] = ROLES
    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.encoder = TextEncoder("mmim", inputs["text"], self.saved_assets, options.pooling, options.frozen_layers)
        widths = {"text": self.encoder.width, "audio": options.audio, "vision": options.vision}
        self.parts = nn.ModuleDict({
            m: LastNet(inputs[m].width, options.hidden, widths[m], options.dropout, both_ways=True)
            for m in HEARD_AND_SEEN
        })  # fmt: skip
        self.guess = nn.ModuleDict({m: _Gaussian(widths["text"], widths[m]) for m in HEARD_AND_SEEN})
        self.fuse = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Linear(sum(widths.values()), options.fusion), nn.Tanh(),
            nn.Linear(options.fusion, options.fusion), nn.Tanh(),
        )  # fmt: skip
        self.predict = nn.ModuleDict({m: nn.Linear(options.fusion, widths[m]) for m in MODALITIES})
        self.out = nn.Linear(options.fusion, targets)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K), log densities (B,), scores (B, B), and what entropies are estimated from."""
        vectors = {"text": self.encoder(inputs["text"])} | {m: self.parts[m](inputs[m]) for m in HEARD_AND_SEEN}
        there = {m: inputs[m].mask.any(dim=1) for m in MODALITIES}  # (B,)
        fused = self.fuse(torch.cat([vectors[m] for m in MODALITIES], dim=1))  # (B, fusion)
        outputs: Outputs = {"prediction": self.out(fused)}
        for m in MODALITIES:
            guessed = F.normalize(self.predict[m](fused), dim=1)  # (B, D)
            vector = F.normalize(vectors[m], dim=1)  # (B, D)
            outputs[f"scores_{m}"] = gathered(guessed, self.training) @ gathered(vector, self.training).T  # (B, B)
            outputs[f"there_{m}"] = gathered(there[m], self.training)
        text = vectors["text"]
        for m in HEARD_AND_SEEN:
            outputs[f"both_{m}"] = there["text"] & there[m]
            guess = self.guess[m]
            fixed = {name: p.detach() for name, p in guess.named_parameters()}
            outputs[f"ba_{m}"] = log_density(vectors[m], *functional_call(guess, fixed, (text,)))
            outputs[f"q_{m}"] = log_density(vectors[m].detach(), *guess(text.detach()))
            outputs[f"vector_{m}"] = vectors[m]
        return outputs

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """task (mean absolute error), l_cpc, l_ba and l_q; the entropy is part of l_ba only in training."""
        cpc = torch.stack([predictive_nce(outputs[f"scores_{m}"], outputs[f"there_{m}"]) for m in MODALITIES]).sum()
        bound, guess = targets.new_zeros(()), targets.new_zeros(())
        for m in HEARD_AND_SEEN:
            both = outputs[f"both_{m}"]
            bound = bound + masked_mean(outputs[f"ba_{m}"], both)
            guess = guess + masked_mean(outputs[f"q_{m}"], both)
            if self.training:
                side = targets.mean(dim=1).sign() * both  # (B,)
                bound = bound + self._entropy(m, gathered(outputs[f"vector_{m}"], True), gathered(side, True))
        return {
            "task": absolute_error(outputs["prediction"], targets),
            "l_cpc": self.options.alpha * cpc,
            "l_ba": -self.options.beta * bound,
            "l_q": -guess,
        }

    def _entropy(self, modality: str, values: Tensor, side: Tensor) -> Tensor:
        """H of (B, D) values from this and earlier batches; 0 until the history is full. Adds to the history.

        Args:
            modality: The name in the history.
            values: (B, D).
            side: (B,) sign of each clip's label; 0 leaves it out.
        """
        history = self.options.history
        kept = [(f"{modality}_values_{age}", f"{modality}_side_{age}") for age in range(history)]
        each = [
            (values, side),
            *([self.memory[n].to(values) for n in names] for names in kept if names[0] in self.memory),
        ]
        total = values.new_zeros(())
        if len(each) == history + 1:
            samples, sides = (torch.cat(parts) for parts in zip(*each, strict=True))  # (N, D), (N,)
            total = (gaussian_entropy(samples, sides > 0) + gaussian_entropy(samples, sides < 0)) / 2
        for names, pair in zip(kept, each, strict=False):
            self.memory |= {name: part.detach() for name, part in zip(names, pair, strict=True)}
        return total

    def prepare(self, targets: Tensor) -> None:
        """Start with an empty history."""
        self.memory = {}

    def rated_parts(self) -> dict[str, nn.Module]:
        """`bound`, the networks of q."""
        return {"bound": self.guess}


class _Gaussian(nn.Module):
    """q(y|x): mean and log variance of y, from two networks."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(given, width), nn.ReLU(), nn.Linear(width, width))
        self.log_variance = nn.Sequential(nn.Linear(given, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """(B, X) to (B, Y) and (B, Y)."""
        return self.mean(given), self.log_variance(given)


def log_density(values: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log density in nats of (B, D) values under a Gaussian with independent columns: (B,)."""
    # Bounded, so that values that become constant cannot make it infinite.
    log_variance = log_variance.clamp(-8.0, 8.0)
    squared = (values - mean).square() * torch.exp(-log_variance)  # (B, D)
    return -(squared + log_variance + math.log(2 * math.pi)).sum(dim=1) / 2  # (B,)


def gaussian_entropy(samples: Tensor, chosen: Tensor | None = None, ridge: float = 1e-4) -> Tensor:
    """Entropy in nats of the Gaussian with the samples' covariance, log det(2 pi e S) / 2.

    Args:
        samples: (N, D).
        chosen: (N,) bool, the samples that count; None for all.
        ridge: Added to every variance, so that few samples do not give minus infinity.

    Returns:
        A scalar; 0 for fewer than two samples.
    """
    # By weights instead of an index: their number need not be known, so the device is not waited for.
    weights = torch.ones_like(samples[:, 0]) if chosen is None else chosen.to(samples.dtype)  # (N,)
    count, width = weights.sum().clamp(min=1.0), samples.shape[1]
    mean = (samples * weights[:, None]).sum(dim=0) / count  # (D,)
    centred = ((samples - mean) * weights[:, None]).float()  # (N, D)
    covariance = centred.T @ centred / count + ridge * torch.eye(width, device=samples.device)  # (D, D)
    entropy: Tensor = (torch.logdet(covariance) + width * math.log(2 * math.pi * math.e)) / 2
    return entropy * (weights.sum() > 1)

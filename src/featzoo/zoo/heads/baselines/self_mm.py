"""Self-MM: each modality is also trained separately, on unimodal labels that are generated during training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featzoo.zoo.head import Inputs, Outputs, Role
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, LastNet, check_options
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.losses import absolute_error, masked_mean
from featzoo.zoo.nn.text_encoder import ROLES, EncoderHead, TextEncoder


@dataclass(frozen=True)
class Options:
    """The options; the defaults are MMSA's for CMU-MOSI.

    Attributes:
        audio: Width of the audio's LSTM, vector and feature.
        vision: Width of the vision's LSTM, vector and feature.
        text: Width of the text's feature.
        fusion: Width of the fused feature.
        dropout: Before the features of text and audio.
        limit: Unimodal labels are clipped to plus and minus this value.
        pooling: The vector of the text: that of its first token (`cls`, published) or the mean of its tokens.
        frozen_layers: The encoder's embeddings and this many first layers are frozen; -1 trains everything.
    """

    audio: int = 16
    vision: int = 32
    text: int = 32
    fusion: int = 128
    dropout: float = 0.1
    limit: float = 3.0
    pooling: Literal["cls", "mean"] = "cls"
    frozen_layers: int = -1

    def __post_init__(self) -> None:
        check_options(self)
        if self.limit <= 0:
            raise ValueError(f"limit must be above 0; got {self.limit}")


class SelfMM(EncoderHead):
    """Self-supervised multi-task learning.

    The vectors of the three modalities together give the prediction, and each also gives a unimodal prediction. The
    unimodal label of a train clip starts as the clip's label. From a clip's second epoch on it moves according to
    the position of the modality's feature between the centres of positive and negative clips, compared with that of
    the fused feature (`unimodal_label`), with a momentum of 2 / (epoch + 1). The weight of a unimodal term is
    tanh |unimodal label - label|: it counts more if a modality differs from the whole.

    Reference:
        Yu, Xu, Yuan, Wu: Learning Modality-Specific Representations with Self-Supervised Multi-Task Learning for
        Multimodal Sentiment Analysis, AAAI 2021, equations 1 to 14 and algorithm 1; widths and the limit of the
        labels from MMSA's configuration (MIT).

    Differences:
        - Distances are not squared, as in the released code; the paper's equation 7 squares them and divides by
          the square root of the width.
        - Centres are means over the clips seen so far; the released code counts clips not yet seen as zeros.
          A label without clips on both sides of 0 is unchanged.
        - A clip that lacks a modality has no label and no loss for it, and does not count in its centres.
        - Any encoder of BERT architecture.
    """

    roles: ClassVar[Mapping[str, Role]] = ROLES
    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.encoder = TextEncoder("self-mm", inputs["text"], self.saved_assets, options.pooling, options.frozen_layers)
        self.audio = LastNet(inputs["audio"].width, options.audio, options.audio, 0.0)
        self.vision = LastNet(inputs["vision"].width, options.vision, options.vision, 0.0)
        text = self.encoder.width
        self.widths = {m: getattr(options, m) for m in ("fusion", *MODALITIES)}
        self.tasks = nn.ModuleDict({
            "fusion": _Task(text + options.audio + options.vision, options.fusion, targets, 0.0),
            "text": _Task(text, options.text, targets, options.dropout),
            "audio": _Task(options.audio, options.audio, targets, options.dropout),
            "vision": _Task(options.vision, options.vision, targets, 0.0),
        })  # fmt: skip
        self.rows: Tensor | None = None

    def prepare(self, targets: Tensor) -> None:
        """Set every unimodal label to the clip's label."""
        self.memory = {f"label_{name}": targets.clone() for name in self.widths}  # (N, K)
        self.memory |= {f"feature_{name}": torch.zeros(len(targets), width) for name, width in self.widths.items()}
        self.memory |= {f"met_{name}": torch.zeros(len(targets), dtype=torch.int64) for name in self.widths}

    def see(self, rows: Tensor) -> None:
        """Set the clips whose labels the next step needs."""
        device = next(self.parameters()).device
        self.rows = rows.to(device)
        self.memory = {name: kept.to(device) for name, kept in self.memory.items()}

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K), each modality's own prediction (B, K), and the features."""
        vectors = {
            "text": self.encoder(inputs["text"]),
            "audio": self.audio(inputs["audio"]),
            "vision": self.vision(inputs["vision"]),
        }
        outputs: Outputs = {f"there_{m}": inputs[m].mask.any(dim=1) for m in MODALITIES}
        outputs["there_fusion"] = torch.stack([outputs[f"there_{m}"] for m in MODALITIES]).any(dim=0)  # (B,)
        vectors["fusion"] = torch.cat([vectors[m] for m in MODALITIES], dim=1)  # (B, sum of widths)
        for name, vector in vectors.items():
            outputs[f"feature_{name}"], outputs[f"prediction_{name}"] = self.tasks[name](vector)
        outputs["prediction"] = outputs["prediction_fusion"]
        return outputs

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """l1, and the weighted term of each modality; in training the labels are then updated.

        Outside training clips have no unimodal labels, and these terms are 0.
        """
        terms = {"l1": absolute_error(outputs["prediction"], targets)}
        rows = self.rows if self.training else None
        for m in MODALITIES:
            labels = targets if rows is None else self.memory[f"label_{m}"][rows]  # (B, K)
            weight = torch.tanh((labels - targets).abs())  # (B, K)
            error = (weight * (outputs[f"prediction_{m}"] - labels).abs()).mean(dim=1)  # (B,)
            terms[f"l_{m}"] = masked_mean(error, outputs[f"there_{m}"])
        if rows is not None:
            # Every process keeps the labels of all clips, which the others' next batches may read.
            seen = {name: gathered(kept.detach(), training=True) for name, kept in outputs.items()}
            self._move(seen, gathered(rows, training=True))
        return terms

    def _move(self, outputs: Outputs, rows: Tensor) -> None:
        """Update the labels of the clips `rows`, then store their features for the next centres."""
        memory = self.memory
        fused = self._ratio("fusion", outputs["feature_fusion"])  # (B, K)
        for m in MODALITIES:
            own = self._ratio(m, outputs[f"feature_{m}"])  # (B, K)
            truth, before = memory["label_fusion"][rows], memory[f"label_{m}"][rows]  # (B, K)
            made = unimodal_label(truth, own, fused).clamp(-self.options.limit, self.options.limit)
            epoch = memory[f"met_{m}"][rows][:, None] + 1  # (B, 1)
            after = (epoch - 1) / (epoch + 1) * before + 2 / (epoch + 1) * made
            moves = (epoch > 1) & outputs[f"there_{m}"][:, None] & made.isfinite()
            memory[f"label_{m}"][rows] = torch.where(moves, after, before)
        for name in self.widths:
            there, features, met = outputs[f"there_{name}"], memory[f"feature_{name}"], memory[f"met_{name}"]
            features[rows] = torch.where(there[:, None], outputs[f"feature_{name}"].float(), features[rows])
            met[rows] = met[rows] + there

    def _ratio(self, name: str, feature: Tensor) -> Tensor:
        """alpha of (B, D) features: (B, K); NaN without clips on both sides."""
        met = self.memory[f"met_{name}"][:, None] > 0  # (N, 1)
        kept, labels = self.memory[f"feature_{name}"], self.memory[f"label_{name}"]  # (N, D), (N, K)
        to_positive, to_negative = (
            torch.linalg.vector_norm(feature[:, None] - _centre(kept, side & met), dim=2)  # (B, K)
            for side in (labels > 0, labels < 0)
        )
        ratio: Tensor = (to_negative - to_positive) / (to_positive + 1e-8)
        return ratio

    def rated_parts(self) -> dict[str, nn.Module]:
        """The modalities' networks."""
        return {"audio": self.audio, "vision": self.vision}


class _Task(nn.Module):
    """A vector's feature and its prediction."""

    def __init__(self, inputs: int, width: int, targets: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.feature = nn.Linear(inputs, width)
        self.out = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, targets))

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs) to (B, width) and (B, K)."""
        feature = F.relu(self.feature(self.dropout(vector)))  # (B, width)
        return feature, self.out(feature)


def unimodal_label(label: Tensor, own: Tensor, fused: Tensor) -> Tensor:
    """The label implied by one modality's feature: the mean of the scaled and of the shifted label.

    Args:
        label: The clip's label y_m.
        own: alpha_s: how much nearer the modality's feature is to the positive than to the negative centre,
            divided by its distance to the positive one.
        fused: alpha_m, the same for the fused feature.

    Returns:
        (y_m alpha_s / alpha_m + y_m + alpha_s - alpha_m) / 2.

    Reference:
        Yu et al. 2021, equation 12.
    """
    safe = torch.where(fused.abs() < 1e-8, torch.full_like(fused, 1e-8), fused)
    return (label * own / safe + label + own - fused) / 2


def _centre(features: Tensor, side: Tensor) -> Tensor:
    """Mean of (N, D) features over each column of the (N, K) choice: (K, D), NaN for an empty choice."""
    weights = side.to(features.dtype)  # (N, K)
    centre: Tensor = (weights.T @ features) / weights.sum(dim=0)[:, None]  # (K, D)
    return centre

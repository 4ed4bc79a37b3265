"""DLF: modalities are taken apart into shared and specific sequences, and sound and picture are read by the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Inputs, Outputs, Padded, Role
from featzoo.zoo.heads.baselines.dlf_losses import label_margin, opposite, step_error
from featzoo.zoo.heads.baselines.feature_head import MODALITIES, check_crossmodal, check_options
from featzoo.zoo.heads.baselines.mult import Options as Attending
from featzoo.zoo.heads.baselines.mult import Transformer
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.losses import absolute_error
from featzoo.zoo.nn.text_encoder import ROLES, EncoderHead, TextEncoder

TASKS = ("fused", "shared", *MODALITIES)
# The order in which vectors are joined, that of the released code.
JOINED = ("text", "vision", "audio")


@dataclass(frozen=True)
class Options:
    """The options; the defaults are the released code's for CMU-MOSI.

    Attributes:
        width: d of every sequence.
        heads: Attention heads.
        layers: Layers of the encoders and of the attention to the text.
        memory_layers: Layers above the attention of the text to audio and to vision.
        kernel: Odd width, in steps, of the convolution that maps a modality to d.
        steps: Largest number of steps of a modality; at least `max_steps` of every input.
        text_dropout: On the text's states.
        attention_dropout: On attention weights within the text, the shared parts and above the attention to the text.
        audio_dropout: On attention weights where audio is read.
        vision_dropout: On attention weights where vision is read.
        embed_dropout: On a transformer's input.
        output_dropout: In the networks before predictions.
        causal: Whether a step attends only to earlier ones, as in the released code.
        weights: Weights of the fused prediction's error, of those of the shared parts, text, audio and vision, and of
            L_r and L_s, L_m and L_o.
        frozen_layers: The encoder's embeddings and this many first layers are frozen; -1 trains everything.
    """

    width: int = 50
    heads: int = 10
    layers: int = 2
    memory_layers: int = 3
    kernel: int = 5
    steps: int = 50
    text_dropout: float = 0.5
    attention_dropout: float = 0.3
    audio_dropout: float = 0.2
    vision_dropout: float = 0.0
    embed_dropout: float = 0.2
    output_dropout: float = 0.5
    causal: bool = True
    weights: tuple[float, ...] = (1.0, 1.0, 3.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01)
    frozen_layers: int = -1

    def __post_init__(self) -> None:
        check_options(self)
        check_crossmodal(self)
        if len(self.weights) != 9:
            raise ValueError(f"weights must be nine: five errors, L_r, L_s, L_m and L_o; got {len(self.weights)}")


class Dlf(EncoderHead):
    """Disentangled-language-focused fusion.

    A shared encoder and one for each modality read its sequence, which a decoder rebuilds from the two results. The
    text attends to the specific sequences of audio and vision (language-focused attractor), and the last steps, with
    those of the shared sequences, are fused. The fused vector, the shared ones and each specific one predict the label.
    L_r rebuilds the sequences, L_s their specific parts; L_m makes shared vectors similar where labels are, and L_o the
    two parts different.

    Reference:
        Wang, Zhou, Wu, Chen, Hu: DLF: Disentangled-Language-Focused Multimodal Sentiment Analysis, AAAI 2025; widths,
        depths, dropouts and weights from github.com/pwang322/DLF (MIT).

    Differences:
        - Attention, losses and last steps leave padding out; the released code includes it. Without padding, with a
          kernel of 1 and its weights, this head gives its predictions and losses.
        - The convolution keeps the number of steps (zeros beyond the ends); there it shortens a sequence.
        - L_o compares the parts step by step on every data set; for CMU-MOSEI, the released code compares pieces of ten
          numbers.
        - Gradients are not collected over ten batches, nor clipped one by one. The checkpoint is chosen on dev.
        - The released code's layers without effect are left out. Any encoder of BERT architecture.
        - A missing modality has no loss, and is zeros in the vectors that are fused.
    """

    roles: ClassVar[Mapping[str, Role]] = ROLES
    options_class: ClassVar[type] = Options

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        o, d = options, options.width
        self.encoder = TextEncoder("dlf", inputs["text"], self.saved_assets, "cls", o.frozen_layers)
        widths = {m: self.encoder.width if m == "text" else inputs[m].width for m in MODALITIES}
        self.project = nn.ModuleDict({
            m: nn.Conv1d(widths[m], d, o.kernel, padding=o.kernel // 2, bias=False) for m in MODALITIES
        })  # fmt: skip
        drop = {"text": o.attention_dropout, "audio": o.audio_dropout, "vision": o.vision_dropout}
        self.specific = nn.ModuleDict({m: self._transformer(o.layers, drop[m]) for m in MODALITIES})
        self.shared = self._transformer(o.layers, o.attention_dropout)
        self.decode = nn.ModuleDict({m: nn.Linear(2 * d, d, bias=False) for m in MODALITIES})
        self.align = nn.ModuleDict({m: nn.Linear(d * o.steps, d) for m in MODALITIES})
        self.read_shared = nn.ModuleDict({m: self._transformer(o.layers, drop[m]) for m in MODALITIES})
        self.attract = nn.ModuleDict({m: self._transformer(o.layers, drop[m]) for m in ("audio", "vision")})
        depth = {"text": o.layers, "audio": o.memory_layers, "vision": o.memory_layers}
        self.memory_of = nn.ModuleDict({m: self._transformer(depth[m], o.attention_dropout) for m in MODALITIES})
        sizes = dict.fromkeys(MODALITIES, d) | {"shared": 3 * d, "fused": 6 * d}
        self.hidden = nn.ModuleDict({name: _Residual(sizes[name], o.output_dropout) for name in TASKS})
        self.out = nn.ModuleDict({name: nn.Linear(sizes[name], targets) for name in TASKS})
        self.gate = nn.ModuleDict({name: nn.Linear(sizes[name], sizes[name]) for name in TASKS[1:]})

    def _transformer(self, layers: int, dropout: float) -> Transformer:
        o = self.options
        attending = Attending(
            width=o.width, heads=o.heads, attention_dropout=dropout, embed_dropout=o.embed_dropout,
            positions="released", causal=o.causal,
        )  # fmt: skip
        return Transformer(o.width, layers, attending)

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` and those of each part (B, K), the sequences of each modality (B, T, d), and aligned vectors."""
        states = F.dropout(self.encoder.states(inputs["text"])[-1], self.options.text_dropout, self.training)
        given = {"text": states} | {m: inputs[m].values for m in ("audio", "vision")}
        masks = {m: inputs[m].mask for m in MODALITIES}  # (B, T)
        outputs: Outputs = {f"mask_{m}": mask for m, mask in masks.items()}
        for m in MODALITIES:
            outputs |= self._apart(m, given[m], masks[m])
        shared = torch.cat([
            _last(self.read_shared[m](each := outputs[f"shared_{m}"], each, masks[m], masks[m]), masks[m])
            for m in JOINED
        ], dim=1)  # fmt: skip  # (B, 3 d)
        ready = {m: self.hidden[m](self._attracted(m, outputs, masks)) for m in MODALITIES}  # (B, d)
        parts = [torch.sigmoid(self.gate[m](ready[m])) * masks[m].any(dim=1)[:, None] for m in JOINED]
        fused = torch.cat([*parts, torch.sigmoid(self.gate["shared"](shared))], dim=1)  # (B, 6 d)
        ready |= {"shared": self.hidden["shared"](shared), "fused": self.hidden["fused"](fused)}
        outputs |= {f"task_{name}": self.out[name](ready[name]) for name in TASKS}  # (B, K)
        outputs["prediction"] = outputs["task_fused"]
        return outputs

    def _apart(self, modality: str, steps: Tensor, mask: Tensor) -> Outputs:
        """A modality's (B, T, D): its projection, two parts, what is rebuilt from them, and its aligned vector (B, d).

        Raises:
            InvalidOption: If it has more steps than the aligned vector reads.
        """
        most = self.options.steps
        if steps.shape[1] > most:
            raise InvalidOption(
                f"{steps.shape[1]} steps of {modality}, at most {most}: raise options.steps, or lower "
                f"inputs.{modality}.max_steps"
            )
        padding = ~mask[:, :, None]  # (B, T, 1)
        whole = self.project[modality](steps.masked_fill(padding, 0.0).transpose(1, 2)).transpose(1, 2)  # (B, T, d)
        whole = whole.masked_fill(padding, 0.0)
        specific = self.specific[modality](whole, whole, mask, mask).masked_fill(padding, 0.0)  # (B, T, d)
        shared = self.shared(whole, whole, mask, mask).masked_fill(padding, 0.0)  # (B, T, d)
        rebuilt = self.decode[modality](torch.cat([specific, shared], dim=2))  # (B, T, d)
        again = self.specific[modality](rebuilt, rebuilt, mask, mask)  # (B, T, d)
        filled = F.pad(shared.transpose(1, 2), (0, most - shared.shape[1]))  # (B, d, steps)
        return {
            f"whole_{modality}": whole, f"specific_{modality}": specific, f"shared_{modality}": shared,
            f"rebuilt_{modality}": rebuilt, f"again_{modality}": again,
            f"aligned_{modality}": self.align[modality](filled.flatten(1)),
        }  # fmt: skip

    def _attracted(self, modality: str, outputs: Outputs, masks: Mapping[str, Tensor]) -> Tensor:
        """What the text reads in a modality's specific part, at the text's last step: (B, d)."""
        text, own = outputs["specific_text"], masks["text"]
        heard = text
        if modality != "text":
            heard = self.attract[modality](text, outputs[f"specific_{modality}"], own, masks[modality])  # (B, T, d)
        return _last(self.memory_of[modality](heard, heard, own, own), own)

    def distil(self, inputs: Inputs) -> Inputs | None:
        """The text after the encoder's frozen layers, token by token."""
        text, frozen = inputs["text"], self.encoder.encoder.frozen
        if frozen < 0:
            return None
        states = self.encoder.states(text, frozen)[-1].masked_fill(~text.mask[:, :, None], 0.0)  # (B, T, H)
        return {**inputs, "text": Padded(states, text.mask, text.mask[:, :, None].expand(states.shape))}

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """The error of each prediction, l_r, l_s, l_m and l_o, weighted."""
        masks = {m: outputs[f"mask_{m}"] for m in MODALITIES}
        there = {name: masks[name].any(dim=1) if name in masks else None for name in TASKS}
        errors = {f"l1_{name}": _error(outputs[f"task_{name}"], targets, there[name]) for name in TASKS}
        several = {"l_r": ("rebuilt", "whole", step_error), "l_s": ("specific", "again", step_error),
                   "l_o": ("specific", "shared", opposite)}  # fmt: skip
        found = {
            name: torch.stack([how(outputs[f"{a}_{m}"], outputs[f"{b}_{m}"], masks[m]) for m in MODALITIES]).sum()
            for name, (a, b, how) in several.items()
        }
        aligned = gathered(torch.cat([outputs[f"aligned_{m}"] for m in MODALITIES]), self.training)  # (3 B, d)
        known = gathered(torch.cat([masks[m].any(dim=1) for m in MODALITIES]), self.training)  # (3 B,)
        found["l_m"] = label_margin(aligned, gathered(targets.repeat(3, 1), self.training), known)
        terms = errors | {name: found[name] for name in ("l_r", "l_s", "l_m", "l_o")}
        return {name: weight * terms[name] for name, weight in zip(terms, self.options.weights, strict=True)}


class _Residual(nn.Module):
    """Two linear layers around which the input is added."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, vector: Tensor) -> Tensor:
        """(B, D) to (B, D)."""
        out: Tensor = vector + self.layers(vector)
        return out


def _last(steps: Tensor, mask: Tensor) -> Tensor:
    """The last true step of (B, T, d): (B, d); 0 without true steps."""
    at = (mask.sum(dim=1) - 1).clamp(min=0)  # (B,)
    return steps[torch.arange(at.shape[0], device=at.device), at].masked_fill(~mask.any(dim=1)[:, None], 0.0)


def _error(prediction: Tensor, targets: Tensor, there: Tensor | None) -> Tensor:
    """Mean absolute error of (B, K) over the clips that are there; 0 without any."""
    if there is None:
        return absolute_error(prediction, targets)
    each = (prediction - targets).abs().mean(dim=1)  # (B,)
    return (each * there).sum() / there.sum().clamp(min=1)

"""The Siamese cross-modal model: apparent Big Five traits from audio, vision and text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Head, Inputs, Outputs, Padded, Role, groups
from featzoo.zoo.heads.siamese.losses import MultiSimilarity, bell_loss, trait_classes
from featzoo.zoo.heads.siamese.networks import AudioNetwork, FeatureNetwork, FrameNetwork, TextNetwork, dense
from featzoo.zoo.heads.siamese.options import Options
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.layers import masked_average
from featzoo.zoo.nn.losses import absolute_error, squared_error

MODALITIES = ("audio", "vision", "text")
HIDDEN = ".h"  # suffix of a role's name if its vector is given instead


class Siamese(Head):
    """Traits from three networks, their fusion, and embeddings in which similar clips are close across modalities.

    Each of its stages trains only the named part: `audio`, `vision` and `text` (each modality's network
    with a linear layer), `baseline` (M1 on the three vectors), `siamese` (one network S, shared by the
    modalities, by the multi-similarity loss on four classes for each trait), `full` (M2 on M1's output and the
    embeddings). A modality that the recipe leaves out has no stage and no part. With `until = "joint"` there is one
    stage, `joint`, which trains everything; with `joint-baseline` too, without embeddings and M2.

    Reference:
        Fodor, Saboundji, Lorincz, arXiv 2405.03846: figure 1, sections 3 and 4; equations 1 to 8. No code was
        released.

    Differences:
        - The width of M2's input follows equation 8 and figure 1 (O + 3 E = 896), not the text (3 H + 3 E).
        - Our choices, where the paper gives none: constants of the multi-similarity loss and its cosine
          (`MultiSimilarity`); embeddings enter M2 at length 1 (`normalise_fused`); a ReLU after every dense layer
          except the last of S and the linear maps to the traits; no dropout in M1 and M2; each augmentation drawn
          independently; the choice of the 6 frames; eGeMAPS v02; standard deviations of the classes over N; linear
          decay to a tenth of the rate; batches of 128, at most 100 epochs and patience 10 if no number is given.
        - The paper pads transcripts to 80 x 300 and does not mention a mask. By default the GRU and the attention
          therefore also run over the padding, which tells them the number of words; `mask_words` hides it, as
          featzoo 0.1 did.
        - Weight decay is 1e-3 in Adam's gradient, which is Keras's l2(5e-4), on dense kernels except those of S, and
          not on the ResNet and the GRU, which are not dense layers.
        - The maps to the traits start at the train mean. Each part keeps the weights of its epoch with the lowest dev
          MAE; S, which does not change predictions, those with the lowest dev loss.
        - Word vectors of any set; the extractor determines the tokens and the treatment of unknown words.
        - `joint`, `joint-baseline` and `embed_steps` are not in the paper. Neither are targets that are classes: their
          cross entropy replaces the errors and Bell, the multi-similarity loss compares the classes themselves, and
          every clip is an anchor.
        - A missing modality gives a zero vector and a zero embedding, and its row is in no pair. The paper's clips have
          all three.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "audio": Role("functionals of the audio, one row per clip"),
        "vision": Role("a few frames, or image features with backbone none"),
        "text": Role("a vector for each word of the transcript"),
    }
    options_class: ClassVar[type] = Options
    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")
    stages: tuple[str, ...] = (*MODALITIES, "baseline", "siamese", "full", "joint")
    by_loss: tuple[str, ...] = ("siamese",)

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.given = tuple(m for m in MODALITIES if inputs[m].given)
        if not self.given or (options.until == "unimodal" and len(self.given) > 1):
            raise InvalidOption(
                f"head siamese: until = {options.until} with {', '.join(self.given) or 'no modality'}: it takes "
                f"{'exactly one' if options.until == 'unimodal' else 'one or more'}; no `features` leaves one out"
            )
        q, count = options.hidden, len(self.given)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(targets))
        self.register_buffer("std", torch.ones(targets))
        self.networks = nn.ModuleDict({m: _network(m, inputs[m], options) for m in self.given})
        joint = options.until.startswith("joint")
        self.stages = ("joint",) if joint else self.given
        if not joint:
            self.alone = nn.ModuleDict({m: nn.Linear(q, targets) for m in self.given})
        if options.until != "unimodal":
            self.m1 = dense(count * q, 2 * options.fused, options.fused)
        if options.until in ("baseline", "full", "joint-baseline"):
            self.baseline = nn.Linear(options.fused, targets)
        if options.until in ("baseline", "full"):
            self.stages = (*self.stages, "baseline")
        if options.until == "full":
            self.stages = (*self.stages, "siamese", "full")
        if options.until in ("full", "joint"):
            self.siamese = dense(q, options.siamese, options.siamese, options.embedding, last=False)
            self.siamese.insert(2, nn.Dropout(options.dropout))
            self.m2 = dense(options.fused + count * options.embedding, options.fused)
            self.full = nn.Linear(options.fused, targets)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        self.begin(self.stages[-1])

    def begin(self, stage: str) -> None:
        """Train only the stage's part; the rest is frozen, including batch norm and dropout."""
        self.stage = stage
        learning = {id(p) for part in self._parts(stage) for p in part.parameters()}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        self.train(self.training)

    def train(self, mode: bool = True) -> Siamese:
        """Training mode for only the stage's part."""
        super().train(False)
        self.training = mode
        for part in self._parts(self.stage):
            part.train(mode)
        return self

    def _parts(self, stage: str) -> list[nn.Module]:
        if stage in self.given:
            return [self.networks[stage], self.alone[stage]]
        if stage == "baseline":
            return [self.m1, self.baseline]
        if stage == "joint" and self.options.until == "joint-baseline":
            return [self.networks, self.m1, self.baseline]
        if stage == "joint":
            return [self.networks, self.m1, self.siamese, self.m2, self.full]
        return [self.siamese] if stage == "siamese" else [self.m2, self.full]

    def prepare(self, targets: Tensor) -> None:
        """Store the mean and deviation of the traits, which bound the classes, and start from the mean.

        Targets that are classes need neither.
        """
        if not self.objective.of_numbers:
            return
        with torch.no_grad():
            self.mean.copy_(targets.mean(dim=0))
            self.std.copy_(targets.std(dim=0, correction=0))
            for name, parameter in self.named_parameters():
                if name.startswith(("alone.", "baseline.", "full.")) and name.endswith("bias"):
                    parameter.copy_(self.mean)

    def reads(self, stage: str) -> tuple[str, ...]:
        """The inputs of a stage: a modality's stage reads only that modality."""
        return (stage,) if stage in self.given else self.given

    def distil(self, inputs: Inputs) -> Inputs | None:
        """The modalities' vectors, for the stages after theirs."""
        if self.stage in self.given or self.stage == "joint":
            return None
        found = {}
        for m in self.given:
            hidden, there, _, _ = self._vector(inputs, m)
            mask = there[:, None]  # (B, 1)
            found[m + HIDDEN] = Padded(hidden[:, None], mask, mask[:, :, None].expand(-1, 1, hidden.shape[1]))
        return found

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K) of the stage; if S is used, embeddings (B, E) and whether they exist (B,)."""
        if self.stage in self.given:
            return {"prediction": self.alone[self.stage](self._vector(inputs, self.stage)[0])}
        vectors = {m: self._vector(inputs, m) for m in self.given}
        fused = self.m1(torch.cat([hidden for hidden, *_ in vectors.values()], dim=1))  # (B, O)
        if self.stage == "baseline" or self.options.until == "joint-baseline":
            return {"prediction": self.baseline(fused)}
        outputs: Outputs = {}
        for m, (_, there, steps, mask) in vectors.items():
            outputs |= {f"embedding_{m}": masked_average(self.siamese(steps), mask), f"there_{m}": there}
        if self.stage == "siamese":
            return {"prediction": self.baseline(fused), **outputs}
        embeddings = [outputs[f"embedding_{m}"] for m in self.given]  # (B, E) each
        if self.options.normalise_fused:
            embeddings = [nn.functional.normalize(e, dim=1) for e in embeddings]
        outputs["prediction"] = self.full(self.m2(torch.cat([fused, *embeddings], dim=1)))  # (B, K)
        return outputs

    def _vector(self, inputs: Inputs, modality: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A modality's vector (B, Q), 0 if missing; whether it exists (B,); what S reads (B, T, Q), its mask (B, T)."""
        if modality + HIDDEN in inputs:
            given = inputs[modality + HIDDEN]
            return given.values[:, 0], given.mask[:, 0], given.values, given.mask
        there = inputs[modality].mask.any(dim=1)  # (B,)
        network: Any = self.networks[modality]
        if not self.options.embed_steps:
            pooled = network(inputs[modality]) * there[:, None]
            return pooled, there, pooled[:, None], there[:, None]
        pooled, steps, mask = network.read(inputs[modality])
        return pooled * there[:, None], there, steps, mask & there[:, None]

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """l_ms in the stage `siamese`; l_mae, l_mse and l_bell, or ce of classes, in every other; all in `joint`."""
        embedded = stage in ("siamese", "joint") and self.options.until != "joint-baseline"
        apart = {"l_ms": self._multi_similarity(outputs, targets)} if embedded else {}
        if stage == "siamese":
            return apart
        prediction = outputs["prediction"]
        errors = {"l_mae": absolute_error, "l_mse": squared_error} | (
            {"l_bell": bell_loss} if self.options.bell else {}
        )
        return self.objective.terms(prediction, targets, **errors) | apart

    def _multi_similarity(self, outputs: Outputs, targets: Tensor) -> Tensor:
        """The loss over the rows of all modalities, which share a clip's classes, or over one modality at a time."""
        o = self.options
        numbers = self.objective.of_numbers
        classes = trait_classes(targets, self.mean, self.std) if numbers else targets.long()  # (B, K) or (B, 1)
        classes = gathered(classes.float(), self.training).long()
        there = [gathered(outputs[f"there_{m}"], self.training) for m in self.given]  # (B,) each
        rows = [classes.masked_fill(~one[:, None], -1) for one in there]
        embeddings = [gathered(outputs[f"embedding_{m}"], self.training) for m in self.given]  # (B, E) each
        loss = MultiSimilarity(o.anchors if numbers else "all", o.alpha, o.beta, o.base, o.epsilon, o.normalise)
        if o.cross_modal:
            return loss(torch.cat(embeddings), torch.cat(rows))  # of (3 B, E)
        each = [loss(*pair) for pair in zip(embeddings, rows, strict=True)]
        return torch.stack(each).mean()

    def parameter_groups(self, stage: str, lr: Mapping[str, float]) -> list[dict[str, Any]]:
        """`main`, in two groups: kernels of dense layers, and parameters without weight decay."""
        parts = self._parts(stage)
        (whole,) = groups({"main": [p for part in parts for p in part.parameters()]}, lr)
        dense_parts = [part for part in parts if part is not getattr(self, "siamese", None)]
        decayed = {id(m.weight) for part in dense_parts for m in part.modules() if isinstance(m, nn.Linear)}
        with_decay = [p for p in whole["params"] if id(p) in decayed]
        without = [p for p in whole["params"] if id(p) not in decayed]
        return [
            {**whole, "params": params, **more}
            for params, more in ((with_decay, {}), (without, {"weight_decay": 0.0}))
            if params
        ]


def _network(modality: str, spec: InputSpec, options: Options) -> nn.Module:
    o = options
    if modality == "audio":
        return AudioNetwork(spec.width, o.hidden, o.audio_limits)
    if modality == "text":
        return TextNetwork(spec.width, o.hidden, o.dropout, padded_to=0 if o.mask_words else o.words)
    if o.backbone == "none":
        return FeatureNetwork(spec.width, o.hidden, o.dropout)
    if spec.width != o.frame_height * o.frame_width * 3:
        raise InvalidOption(
            f"head siamese: frames of {o.frame_height} x {o.frame_width} x 3 are "
            f"{o.frame_height * o.frame_width * 3} values wide; the set has {spec.width}. "
            "Set options.frame_height and frame_width, or options.backbone = none for image features"
        )
    return FrameNetwork(o.backbone, o.frame_height, o.frame_width, o.crop, o.hidden, o.dropout)

"""A reconstruction of ADAM's CLAD: a multilingual student learns from an English teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Inputs, Outputs, Padded, Role
from featzoo.zoo.heads.clad.attention_bins import Side, outputs_of, read_text, side_of
from featzoo.zoo.heads.clad.losses import (
    batch_relation,
    bins_divergence,
    label_loss,
    logit_divergence,
    representation_distance,
)
from featzoo.zoo.heads.text_classification import answer_weights, classifier, share_of_yes
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.text_encoder import TextEncoder, TextHead


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms; a term of weight 0 is not computed.

    Attributes:
        bce: Weight of the loss on the labels.
        attention: Weight of the difference between the student's and the teacher's attention over a text.
        representation: Weight of the difference between their pooled vectors.
        logits: Weight of the difference between their logits.
    """

    bce: float = 1.0
    attention: float = 1.0
    representation: float = 1.0
    logits: float = 0.5

    def __post_init__(self) -> None:
        each = (self.bce, self.attention, self.representation, self.logits)
        if min(each) < 0 or max(each) == 0:
            raise ValueError(f"weights must not be negative, and not all 0; got {each}")


@dataclass(frozen=True)
class Options:
    """The options.

    Attributes:
        weights: Weights of the loss terms.
        label_loss: See `text-classification`.
        attention: `cls_bins`: the last layer's [CLS] attention over equal parts of the text; or
            `batch_relation`: similarities between the texts of a batch, without the diagonal.
        bins: Number of parts of the text, for `cls_bins`; the same as in the teacher's features.
        attention_temperature: Values above 1 flatten both distributions.
        logit_temperature: t of the softened labels.
        teacher: `run`: the outputs of a trained teacher, role `teacher`; `self`: the student's own output for
            the English text, role `english`, without gradient.
        teacher_vectors: `standardised`: each column of the teacher's vectors has mean 0 and deviation 1 over the train
            texts, and a linear map leads to them; `raw`: as they are. In raw vectors nearly everything is the same in
            all texts, so a student approaches their mean and learns little else. No effect with teacher = self.
        pooling: The vector of the text: that of its first token (`cls`) or the mean of its tokens.
        window: Tokens that the student reads at once; longer texts are read in windows, as in `text-classification`.
            0 reads every text at once.
        drawn: Number of windows of a text in a training step, drawn at random each time; 0 reads all.
        hidden: Width of the classifier's hidden layer.
        dropout: On the pooled vector and on the hidden layer.
        layers: Number of the encoder's first layers that are used; 0 uses all.
        frozen_layers: Embeddings and this many first layers are frozen; -1 trains everything.
    """

    weights: Weights = field(default_factory=Weights)
    label_loss: Literal["bce", "weighted-bce", "balanced-bce"] = "bce"
    attention: Literal["cls_bins", "batch_relation"] = "cls_bins"
    bins: int = 32
    attention_temperature: float = 1.0
    logit_temperature: float = 2.0
    teacher: Literal["run", "self"] = "run"
    teacher_vectors: Literal["standardised", "raw"] = "standardised"
    pooling: Literal["cls", "mean"] = "cls"
    window: int = 0
    drawn: int = 0
    hidden: int = 128
    dropout: float = 0.1
    layers: int = 0
    frozen_layers: int = -1

    def __post_init__(self) -> None:
        if min(self.bins, self.hidden) < 1 or self.layers < 0:
            raise ValueError("bins and hidden must be at least 1, and layers not negative")
        if min(self.attention_temperature, self.logit_temperature) <= 0:
            raise ValueError("attention_temperature and logit_temperature must be above 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1); got {self.dropout}")
        if self.drawn < 0 or (self.window and self.window < 3) or (self.drawn and not self.window):
            raise ValueError("window must be at least 3 tokens (two are special), or 0; drawn needs window")


class Clad(TextHead):
    """Token ids in any language to K probabilities, learnt from labels and from a teacher that reads the English text.

    Of a text's four terms (`Weights`), those that compare with the teacher are 0 if its English sibling has no
    teacher output, and `bce` is 0 for a missing label; every term is a mean over all texts of the batch.

    A run saves the student's encoder with its tokenizer in its folder `encoder`, in transformers' format.

    Reference:
        ADAM, arXiv 2604.08851. Only the abstract and summaries were available, and no code: **CLAD's loss is a
        reconstruction**. Its parts: Wang et al., "MiniLM", NeurIPS 2020, and "MiniLMv2", ACL Findings 2021 (KL of
        attention, and of relations); Reimers and Gurevych, "Making Monolingual Sentence Embeddings Multilingual",
        EMNLP 2020 (squared distance of sentence vectors, on the English text too); Hinton et al. 2015 (logits).

    Differences:
        None of these is stated in the available parts of the paper; each is an option or a field of the recipe.
        Attention: tokens of two languages cannot be matched one by one, so attention is compared in 32 equal parts
        of the text, by letters: the last layer's [CLS] row, the mean over heads, without special tokens,
        KL(teacher || student) over the parts in which both have a token (its middle); without attention's dropout.
        Teacher: the English encoder fine-tuned with BCE, frozen, its outputs computed once. Student: all layers
        are trained. Representation: mean squared error to vectors
        standardised by the train texts, through a linear map. Logits: temperature 2,
        minus the teacher's entropy, so that it is 0 if both agree. Weights 1, 1, 1, 0.5. Classifier: [CLS] ->
        128 -> K with ReLU, and learning rate, batch and epochs after the authors' public scripts for other papers
        (warm-up of 10 %, theirs was 0). Epoch: best mean balanced accuracy on dev.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "text": Role("token ids of the text, special tokens included", ids=True),
        "positions": Role("position of each token in the text, 0 to 1, for cls_bins", optional=True, for_losses=True),
        "teacher": Role("the teacher's outputs for the English sibling", optional=True, for_losses=True),
        "english": Role("token ids of the English sibling, for teacher=self", ids=True, optional=True, for_losses=True),
        "english_positions": Role("their positions, for teacher=self with cls_bins", optional=True, for_losses=True),
    }
    options_class: ClassVar[type] = Options
    after_frozen: ClassVar[tuple[str, ...]] = (
        "label_loss", "attention_temperature", "logit_temperature", "hidden", "dropout",
    )  # fmt: skip
    share: Tensor
    teacher_mean: Tensor
    teacher_std: Tensor

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.targets = targets
        o = options
        self.text = TextEncoder(
            "clad", inputs["text"], self.saved_assets, o.pooling, o.frozen_layers, o.window, o.drawn, o.layers
        )
        weights = options.weights
        compares = max(weights.attention, weights.representation, weights.logits) > 0
        source = "teacher" if options.teacher == "run" else "english"
        self.used = {role for role, one in inputs.items() if one.given}
        self.source = source if compares and source in self.used else ""
        self.bins = options.bins if weights.attention and options.attention == "cls_bins" else 0
        if self.source and self.bins:
            self._check_positions(inputs)
        width = self.text.width
        self.out = classifier(width, o.hidden, o.dropout, targets)
        self.teacher_width = self._teacher_width(inputs["teacher"].width) if self.source == "teacher" else width
        self.project: nn.Module = nn.Identity()
        scaled = self.source == "teacher" and options.teacher_vectors == "standardised"
        self.measured = ("teacher",) if scaled else ()
        self.register_buffer("teacher_mean", torch.zeros(self.teacher_width if scaled else 0))
        self.register_buffer("teacher_std", torch.ones(self.teacher_width if scaled else 0))
        if weights.representation and (scaled or self.teacher_width != width):
            self.project = nn.Linear(width, self.teacher_width, bias=False)
        self.register_buffer("share", torch.full((targets,), 0.5))  # (K,) of yes in the train split

    def _check_positions(self, inputs: Mapping[str, InputSpec]) -> None:
        pairs = {"text": "positions"} | ({"english": "english_positions"} if self.source == "english" else {})
        for text, role in pairs.items():
            if role not in self.used:
                raise InvalidOption(
                    f"head clad: attention=cls_bins needs the input '{role}' (bert.positions); go without it with "
                    "attention=batch_relation or weights.attention = 0"
                )
            one, other = inputs[text].model, inputs[role].model
            if one != other:
                raise InvalidOption(
                    f"head clad: '{text}' is of the tokenizer of {one or '?'}, '{role}' of that of {other or '?'}: "
                    "expected one, such as bert.minilm-ids and bert.minilm-positions"
                )

    def _teacher_width(self, columns: int) -> int:
        width: int = columns - self.targets - self.options.bins
        if width < 1:
            raise InvalidOption(
                f"head clad: the teacher's features have {columns} columns; expected its vector, {self.targets} logits "
                f"and {self.options.bins} bins: its run predicts the same targets, and clad-teacher's bins are "
                "options.bins"
            )
        return width

    def prepare(self, targets: Tensor) -> None:
        """Keep the frequency of 1 for each target.

        Raises:
            InvalidOption: If a target is neither 0 nor 1, or always the same.
        """
        with torch.no_grad():
            self.share.copy_(share_of_yes(targets, self.options.label_loss))

    def measure(self, role: str, mean: Tensor, std: Tensor) -> None:
        """Keep what standardises the teacher's vectors."""
        self.teacher_mean.copy_(mean[: self.teacher_width])
        self.teacher_std.copy_(std[: self.teacher_width])

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K) in 0 to 1; for `losses`, both `Side`s and the student's vector `projected`."""
        student = self._read(inputs["text"], inputs.get("positions"))
        outputs = {"prediction": student.logits.sigmoid(), **outputs_of("student", student)}
        if self.source and self.options.weights.representation:
            outputs["projected"] = self.project(student.pooled)  # (B, teacher's H)
        if self.source == "teacher":
            outputs |= outputs_of("teacher", self._recorded(inputs["teacher"]))
        elif self.source == "english":
            with torch.no_grad():
                outputs |= outputs_of("teacher", self._read(inputs["english"], inputs.get("english_positions")))
        return outputs

    def _read(self, text: Padded, positions: Padded | None) -> Side:
        """The student's side of (B, T) ids."""
        reading = read_text(self.text, text, positions, self.bins if self.source else 0)
        return Side(text.mask.any(dim=1), self.out(reading.pooled), *reading)

    def _recorded(self, teacher: Padded) -> Side:
        """The teacher's side of its (B, 1, H + K + M) features."""
        sizes = [self.teacher_width, self.targets, self.options.bins]
        values = teacher.values[:, 0].masked_fill(~teacher.observed[:, 0], 0.0)  # (B, H + K + M)
        pooled, logits, shares = values.split(sizes, dim=1)  # (B, H), (B, K), (B, M)
        if self.measured:
            pooled = (pooled - self.teacher_mean) / self.teacher_std
            pooled = pooled.masked_fill(~teacher.mask[:, :1], 0.0)
        covered = teacher.observed[:, 0, -self.options.bins :]  # (B, M)
        return Side(teacher.mask[:, 0], logits, pooled, shares, covered)

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """`bce`, `attention`, `representation`, `logits`, without those of weight 0; without a teacher only `bce`."""
        weights, student = self.options.weights, side_of("student", outputs)
        terms: dict[str, Tensor] = {}
        if weights.bce:
            known = ~targets.isnan().any(dim=1)  # (B,)
            labels = targets.nan_to_num()  # (B, K)
            each = label_loss(student.logits, labels, answer_weights(labels, self.share, self.options.label_loss))
            terms["bce"] = _mean(each, known)
        if self.source:
            teacher = side_of("teacher", outputs)
            both = student.present & teacher.present  # (B,)
            terms |= self._compared(student, teacher, both, outputs)
        return {name: getattr(weights, name) * term for name, term in terms.items()}

    def _relation(self, student: Side, teacher: Side, both: Tensor) -> Tensor:
        """The difference of the texts' similarities, of all processes' texts in training."""
        ours, theirs, there = (gathered(each, self.training) for each in (student.pooled, teacher.pooled, both))
        return _mean(batch_relation(ours, theirs, there, self.options.attention_temperature), there)

    def _compared(self, student: Side, teacher: Side, both: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """The terms that compare with the teacher's outputs."""
        weights, o = self.options.weights, self.options
        terms = {}
        if weights.attention and o.attention == "cls_bins":
            covered = student.covered & teacher.covered  # (B, M)
            apart = bins_divergence(student.shares, teacher.shares, covered, o.attention_temperature)  # (B,)
            terms["attention"] = _mean(apart, both)
        elif weights.attention:
            terms["attention"] = self._relation(student, teacher, both)
        if weights.representation:
            terms["representation"] = _mean(representation_distance(outputs["projected"], teacher.pooled), both)
        if weights.logits:
            terms["logits"] = _mean(logit_divergence(student.logits, teacher.logits, o.logit_temperature), both)
        return terms

    def distil(self, inputs: Inputs) -> Inputs | None:
        """The texts after the frozen layers.

        This is not used if attention is compared in windows (which would lack positions) or if all layers are frozen.
        """
        encoder = self.text.encoder
        looks = bool(self.source and self.bins)
        if encoder.frozen < 0 or (looks and (self.options.window or encoder.frozen >= len(encoder.layers))):
            return None
        kept = {role: self.text.distil(inputs[role]) for role in ("text", "english") if role in self.used}
        return {**inputs, **{role: made for role, made in kept.items() if made is not None}}


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """(B,) to the mean over all B; rows that do not count are 0."""
    return torch.where(counted, values, torch.zeros_like(values)).mean()

"""Every registered head keeps the contract, and check_head finds a head that breaks a rule of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from featzoo import Head, InputSpec, Padded, Role, plugins
from featzoo.testing import ContractError, check_head
from featzoo.testing.head_trial import Trial
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.head import find_head, make_head
from featzoo.zoo.objective import Objective

WIDTHS = {"text": 6, "audio": 5, "vision": 3, "personality": 16, "positions": 1, "english_positions": 1, "teacher": 26}
# Small, so that every rule is checked in a second.
OPTIONS = {
    "almt": {"width": 8, "tokens": 2, "steps": 16, "heads": 2, "head_width": 4, "hyper_head_width": 4, "network": 8},
    "attention-pool": {"width": 8, "attention": 4, "fused": 8},
    "boosting": {"rounds": 3},
    "clad": {"bins": 8, "hidden": 8},
    "dlf": {"width": 8, "heads": 2, "layers": 1, "memory_layers": 1, "kernel": 3, "steps": 16},
    "ef-lstm": {"hidden": 8, "layers": 2},
    "lf-dnn": {"text_hidden": 8, "text": 8, "audio": 8, "vision": 8, "fused": 8},
    "linear": {},
    "lmf": {"text_hidden": 8, "text": 8, "audio": 8, "vision": 8},
    "mfn": {"text": 8, "audio": 4, "vision": 4, "memory": 8, "attention": 8, "update": 8, "retain": 8, "write": 8},
    "misa": {"hidden": 8},
    "mlp": {"hidden": 8},
    "mmim": {"hidden": 4, "audio": 8, "vision": 8, "fusion": 8},
    "mult": {"width": 8, "heads": 2, "layers": 2, "recall_layers": 1},
    "psa-mf": {"hidden": 8, "wide": 12},
    "self-mm": {"audio": 4, "vision": 4, "text": 8, "fusion": 8},
    "siamese": {"backbone": "none", "audio_limits": False, "hidden": 8, "fused": 8, "embedding": 4, "siamese": 8},
    "svm": {},
    "text-classification": {"hidden": 8},
    "text-regression": {},
    "tfidf": {"least_texts": 1, "terms": 100},
    "tfn": {"text_hidden": 8, "text": 4, "audio": 8, "vision": 8, "fused": 8, "limits": [-3.0, 3.0]},
}
BOUNDS = {role: torch.tensor([[0.0], [1.0]]) for role in ("positions", "english_positions", "teacher")}
CLASSIFIERS = {"clad", "text-classification"}
ENCODERS = {"almt", "clad", "dlf", "misa", "mmim", "psa-mf", "self-mm", "text-classification", "text-regression"}
RATES = dict.fromkeys(ENCODERS, ("main", "encoder")) | {
    "mmim": ("main", "encoder", "bound"),
    "self-mm": ("main", "encoder", "audio", "vision"),
}
SINGLE_STEP = {"personality", "teacher", "before", "after"}
LABELS = torch.linspace(-2.5, 2.5, 14).reshape(14, 1)[torch.randperm(14, generator=torch.Generator().manual_seed(1))]


def specs(name, model):
    roles = find_head(name).roles
    return {
        role: InputSpec(1 if wanted.ids else WIDTHS.get(role, 5), wanted.ids, str(model))
        for role, wanted in roles.items()
    }


def new_head(name, model, **options):
    """A head of several targets, none of whose weights is 0, and labels that it can learn."""
    torch.manual_seed(0)
    labels = LABELS
    if name in CLASSIFIERS:
        labels = torch.cat([LABELS > 0, LABELS > 1], dim=1).float()
    head = make_head(name, OPTIONS[name] | options, specs(name, model), labels.shape[1])
    if name == "tfidf":  # without words that it knows, nothing would reach its weights
        words = np.random.default_rng(0).integers(5, 13, (len(labels), 6)).astype(float)
        head.fit(words, labels.numpy(), [str(number) for number in range(len(labels))], 0)
    with torch.no_grad():  # a bias of 0 would hide what a missing input's bias does
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return head, labels


def check(name, model, **options):
    head, labels = new_head(name, model, **options)
    check_head(
        head,
        labels,
        token_ids=range(5, 13),
        single_step=[role for role in head.specs if role in SINGLE_STEP],
        learning_rates=RATES.get(name, ("main",)),
        values=BOUNDS,
    )


def test_every_registered_head_is_checked():
    assert set(plugins.registered(plugins.HEADS)) == set(OPTIONS)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_registered_head_keeps_the_contract(name, random_bert):
    check(name, random_bert)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("psa-mf", {"enhanced_fusion": False}),
        ("psa-mf", {"frozen_layers": 1}),
        ("text-regression", {"frozen_layers": 2}),
        ("text-classification", {"window": 4, "frozen_layers": 1}),
        ("siamese", {"until": "joint"}),
        ("siamese", {"until": "joint", "embed_steps": True}),
        ("siamese", {"until": "joint-baseline"}),
        ("clad", {"teacher": "self", "label_loss": "weighted-bce"}),
    ],
    ids=str,
)
def test_a_head_keeps_the_contract_with_other_options(name, options, random_bert):
    check(name, random_bert, **options)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_nan_in_padding_spreads_neither_to_predictions_nor_to_gradients(name, random_bert):
    """A product with a mask would spread it, because 0 times NaN is NaN."""
    head, labels = new_head(name, random_bert)
    head.prepare(labels)
    trial = Trial(head, labels, tuple(range(5, 13)), SINGLE_STEP, BOUNDS, torch.Generator().manual_seed(0))
    inputs, stage = trial.inputs(), head.stages[-1]
    planted = {
        role: one if head.specs[role].ids else one._replace(values=one.values.masked_fill(~one.observed, torch.nan))
        for role, one in inputs.items()
    }
    torch.testing.assert_close(trial.predict(planted), trial.predict(inputs), atol=1e-5, rtol=1e-5)
    if isinstance(head, FittedHead):
        return
    head.train()
    head.see(torch.arange(len(trial)))
    torch.stack(list(trial.losses(head(trial.read(planted, stage)), stage).values())).sum().backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in head.parameters())


# Heads that break one rule each.


@dataclass(frozen=True)
class Options:
    width: int = 4


class Good(Head):
    """The mean over time, and a linear layer."""

    roles: ClassVar = {"audio": Role("a sequence of audio features")}
    options_class = Options

    def build(self, options, inputs, targets):
        self.hidden = nn.Linear(inputs["audio"].width, options.width)
        self.out = nn.Linear(options.width, targets)

    def pool(self, audio):
        steps = audio.mask.sum(dim=1, keepdim=True).clamp(min=1)
        return (audio.values * audio.mask[:, :, None]).sum(dim=1) / steps

    def forward(self, inputs):
        return {"prediction": self.out(torch.tanh(self.hidden(self.pool(inputs["audio"]))))}

    def losses(self, outputs, targets, stage):
        return {"mse": (outputs["prediction"] - targets).square().mean()}


class NoRoles(Good):
    roles: ClassVar = {}


@dataclass
class Changeable:
    width: int = 4


class OptionsNotFrozen(Good):
    options_class = Changeable


class SeesTargets(Good):
    def forward(self, inputs, targets=None):
        return super().forward(inputs)


class RemembersTargets(Good):
    def losses(self, outputs, targets, stage):
        self.seen = targets.mean()
        return super().losses(outputs, targets, stage)

    def forward(self, inputs):
        outputs = super().forward(inputs)
        return {"prediction": outputs["prediction"] + getattr(self, "seen", 0.0)}


class WrongShape(Good):
    def forward(self, inputs):
        return {"prediction": super().forward(inputs)["prediction"][:, 0]}


class NoPrediction(Good):
    def forward(self, inputs):
        return {"predicted": super().forward(inputs)["prediction"]}


class PadsCount(Good):
    def pool(self, audio):
        return audio.values.mean(dim=1)


class ReadsPadding(Good):
    def pool(self, audio):
        return audio.values.sum(dim=1) / audio.mask.sum(dim=1, keepdim=True).clamp(min=1)


class DividesByZero(Good):
    def pool(self, audio):
        return (audio.values * audio.mask[:, :, None]).sum(dim=1) / audio.mask.sum(dim=1, keepdim=True)


class NormalisesByBatch(Good):
    def pool(self, audio):
        pooled = super().pool(audio)
        return pooled - pooled.mean(dim=0)


class RandomInEvaluation(Good):
    def forward(self, inputs):
        outputs = super().forward(inputs)
        return {"prediction": outputs["prediction"] + 1e-2 * torch.randn_like(outputs["prediction"])}


class IdleLayer(Good):
    def build(self, options, inputs, targets):
        super().build(options, inputs, targets)
        self.idle = nn.Linear(2, 2)


class ForgetsState(Good):
    def forward(self, inputs):
        outputs = super().forward(inputs)
        if self.training:
            self.offset = outputs["prediction"].detach().mean()
        return {"prediction": outputs["prediction"] + getattr(self, "offset", 0.0)}


class UnnamedLoss(Good):
    def losses(self, outputs, targets, stage):
        return {"": super().losses(outputs, targets, stage)["mse"]}


class LossForEachClip(Good):
    def losses(self, outputs, targets, stage):
        return {"mse": (outputs["prediction"] - targets).square()}


class LossIsNotFinite(Good):
    def losses(self, outputs, targets, stage):
        return {"std": (outputs["prediction"] - targets).std(dim=0).mean()}  # NaN for one clip


class LossUsesParameters(Good):
    def losses(self, outputs, targets, stage):
        return {**super().losses(outputs, targets, stage), "l2": self.out.weight.square().sum()}


class LeavesOutAGroup(Good):
    def parameter_groups(self, stage, lr):
        return [{"params": list(self.out.parameters()), "lr": lr["main"]}]


class WrongDistil(Good):
    def distil(self, inputs):
        audio = inputs["audio"]
        mask = torch.ones_like(audio.mask[:, :1])
        return {"audio": Padded(2 * self.pool(audio)[:, None], mask, mask[:, :, None].expand(-1, 1, 5))}


class NeedsTheTeacher(Good):
    roles: ClassVar = {"audio": Role("sound"), "teacher": Role("for losses", for_losses=True)}

    def forward(self, inputs):
        return {"prediction": super().forward(inputs)["prediction"] + self.pool(inputs["teacher"])[:, :1]}


RULES = [
    (NoRoles, "roles maps"),
    (OptionsNotFrozen, "frozen dataclass"),
    (SeesTargets, "never sees a target"),
    (RemembersTargets, "targets that losses has seen"),
    (WrongShape, r"prediction is \(B, K\)"),
    (NoPrediction, "dict with `prediction`"),
    (PadsCount, "does not depend on its batch"),
    (ReadsPadding, "padding of 'audio'"),
    (DividesByZero, "predictions are finite"),
    (NormalisesByBatch, "does not depend on its batch"),
    (RandomInEvaluation, "deterministic"),
    (IdleLayer, "none reached idle"),
    (ForgetsState, "saved and loaded"),
    (UnnamedLoss, "each with a name"),
    (LossForEachClip, "single number"),
    (LossIsNotFinite, "losses are finite"),
    (LossUsesParameters, "used in forward only"),
    (LeavesOutAGroup, "the trainable parameters of the stage"),
    (WrongDistil, "result of distil"),
    (NeedsTheTeacher, "predicts without 'teacher'"),
]


def made(kind):
    torch.manual_seed(0)
    inputs = {role: InputSpec(5) for role in kind.roles} or {"audio": InputSpec(5)}
    return kind(kind.options_class(), inputs, 1)


def test_a_good_head_passes():
    check_head(made(Good), LABELS)


class LearnsClasses(Good):
    predicts = ("numbers", "class", "classes")

    def losses(self, outputs, targets, stage):
        return self.objective.terms(outputs["prediction"], targets, mse=torch.nn.functional.mse_loss)


def test_a_head_of_classes_passes():
    torch.manual_seed(0)
    number = torch.arange(12)[:, None] % 3
    for objective, targets in ((Objective("class"), number), (Objective("classes"), number == torch.arange(3))):
        check_head(LearnsClasses(Options(), {"audio": InputSpec(5)}, 3, objective=objective), targets.float())


@pytest.mark.parametrize(("kind", "rule"), RULES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_named(kind, rule):
    with pytest.raises(ContractError, match=rule):
        check_head(made(kind), LABELS)


def test_a_head_without_an_input_it_needs_is_refused():
    with pytest.raises(ContractError, match="needs the input 'audio'"):
        check_head(HasNoAudio(Options(), {"vision": InputSpec(5)}, 1), LABELS)


class HasNoAudio(Good):
    roles: ClassVar = {"audio": Role("sound"), "vision": Role("pictures")}

    def build(self, options, inputs, targets):
        self.out = nn.Linear(inputs["vision"].width, targets)

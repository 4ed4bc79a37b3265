"""Every registered head on a GPU that is not there: all tensors on its device, no waits, losses in 32 bit."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from fake_cuda import CUDA, Watch, cuda_autocast, fake_cuda, like_on_cuda, put_on_cuda
from testing.test_heads import CLASSIFIERS, LABELS, OPTIONS, SINGLE_STEP, specs
from torch import nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException

from featzoo import plugins
from featzoo.testing.head_trial import Trial
from featzoo.zoo.head import Head, NoOptions, Padded, Role, find_head, make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.layers import masked_average
from featzoo.zoo.objective import Objective
from featzoo.zoo.training.one_epoch import losses_of

HEADS = sorted(plugins.registered(plugins.HEADS))


def made(name, model, objective=None, **options):
    """A head, and a trial's random inputs for it, on the CPU."""
    torch.manual_seed(0)
    labels = torch.cat([LABELS > 0, LABELS > 1], dim=1).float() if name in CLASSIFIERS else LABELS
    if objective is not None:
        one_of = torch.arange(len(LABELS)) % 3
        labels = one_of[:, None].float() if objective.kind == "class" else nn.functional.one_hot(one_of, 3).float()
    outputs = 3 if objective is not None else labels.shape[1]
    head = make_head(name, OPTIONS[name] | options, specs(name, model), outputs, objective=objective)
    generator = torch.Generator().manual_seed(0)
    single = frozenset(role for role in head.specs if role in SINGLE_STEP)
    trial = Trial(head, labels, tuple(range(5, 13)), single, {}, generator)
    head.prepare(labels)
    return head, trial, trial.inputs()


def steps_on_cuda(head, inputs, targets):
    """What a step of training, the frozen parts' outputs and an evaluation do in each stage: a `Watch`."""
    watch, done = Watch(), set()
    with fake_cuda():
        put_on_cuda(head)
        head.memory = {key: like_on_cuda(value) for key, value in head.memory.items()}
        inputs = {role: Padded(*map(like_on_cuda, one)) for role, one in inputs.items()}
        targets, rows = like_on_cuda(targets), torch.arange(len(targets), device=CUDA)
        with watch:
            for stage in head.stages:
                head.begin(stage)
                roles = head.reads(stage)
                read = inputs if roles is None else {role: inputs[role] for role in roles}
                head.eval()
                with torch.no_grad():
                    read = head.distil(read) or read
                for training in (True, True, False):
                    if training and stage in done and not head.memory:  # the same again
                        continue
                    done.add(stage)
                    head.train(training)
                    head.see(rows)
                    with cuda_autocast() if training else torch.no_grad():
                        outputs = head(read)
                    if not training:
                        assert all(value.dtype not in (torch.bfloat16, torch.float16) for value in outputs.values())
                    watch.halves.clear()
                    loss, terms = losses_of(head, outputs, targets, stage)
                    assert not watch.halves, f"stage {stage}: the losses compute in half precision: {watch.halves}"
                    for each in (*outputs.values(), *terms.values(), loss):
                        assert each.device == CUDA
    return watch


OTHERS = [
    ("psa-mf", {"enhanced_fusion": False, "modality_dropout": 0.5}),
    ("psa-mf", {"frozen_layers": 1, "pooling": "mean", "clip": "standard", "attend_steps": 8}),
    ("self-mm", {"frozen_layers": 1}),
    ("text-regression", {"frozen_layers": 2}),
    ("text-classification", {"frozen_layers": 1, "loss": "balanced-bce"}),
    ("siamese", {"until": "joint", "cross_modal": False}),
    ("siamese", {"until": "joint", "embed_steps": True}),
    ("siamese", {"until": "joint-baseline"}),
    ("clad", {"teacher": "self", "label_loss": "weighted-bce", "attention": "batch_relation"}),
]


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in HEADS), *OTHERS], ids=str)
def test_a_head_keeps_to_its_device_and_never_waits_for_it(name, options, random_bert):
    head, trial, inputs = made(name, random_bert, **options)
    assert steps_on_cuda(head, inputs, trial.targets).waits == []


# One head for each implementation of losses of classes; many heads share one.
OF_CLASSES = sorted({find_head(name).losses: name for name in HEADS if "class" in find_head(name).predicts}.values())
FULL = {"weights": (1.0, 2.0, 0.5), "smoothing": 0.1, "focal": 2.0}
OBJECTIVES = [
    *((name, Objective("class", **FULL)) for name in OF_CLASSES),
    *(("mlp", Objective(kind, **settings)) for kind in ("class", "classes") for settings in ({}, {"focal": 2.0}, FULL)),
]


@pytest.mark.parametrize(("name", "objective"), OBJECTIVES, ids=str)
def test_losses_of_classes_keep_to_the_device_and_never_wait_for_it(name, objective, random_bert):
    """Cross entropy, focal loss, class weights and smoothing, of one class and of several at once."""
    head, trial, inputs = made(name, random_bert, objective)
    assert steps_on_cuda(head, inputs, trial.targets).waits == []


@pytest.mark.parametrize("options", [{"window": 4}, {"window": 4, "drawn": 1, "frozen_layers": 1}], ids=str)
def test_windows_are_the_one_thing_that_is_waited_for(options, random_bert):
    """How many windows there are decides how much is encoded, and the host cannot know it: one `nonzero` a step."""
    head, trial, inputs = made("text-classification", random_bert, **options)
    with pytest.raises(DynamicOutputShapeException, match="nonzero"):
        steps_on_cuda(head, inputs, trial.targets)


class Planted(Head):
    """The mean over time, and a linear layer; with a fault."""

    roles: ClassVar = {"audio": Role("a sequence of audio features")}
    fault = "none"

    def build(self, options, inputs, targets):
        self.out = nn.Linear(inputs["audio"].width, targets)

    def forward(self, inputs):
        audio = inputs["audio"]
        pooled = masked_average(audio.values, audio.mask)
        if self.fault == "cpu":
            pooled = pooled.cpu().to(pooled.device, non_blocking=True)
        if self.fault == "blocking":
            pooled = pooled + torch.arange(pooled.shape[1]).to(pooled.device)
        if self.fault == "zeros":
            pooled = pooled + torch.zeros(len(pooled), 1)
        if self.fault == "branch" and audio.mask.all():
            pooled = pooled * 2
        if self.fault == "item":
            pooled = pooled * pooled.sum().item()
        if self.fault == "index":
            pooled = pooled.clone()
            pooled[audio.mask.any(dim=1)] = 0.0
        return {"prediction": self.out(pooled)}

    def losses(self, outputs, targets, stage):
        prediction = outputs["prediction"]
        if self.fault == "half":
            prediction = prediction.bfloat16()
        return {"l1": (prediction - targets).abs().mean()}


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("none", ""), ("cpu", "a copy to the host"), ("zeros", "two devices"), ("blocking", "a blocking copy"),
        ("branch", "_local_scalar_dense"), ("item", "_local_scalar_dense"), ("index", "indexing by a mask"),
        ("half", "the losses compute in half precision"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(fault, found):
    torch.manual_seed(0)
    head = Planted(NoOptions(), {"audio": InputSpec(5)}, 1)
    head.fault = fault
    trial = Trial(head, LABELS, (), frozenset(), {}, torch.Generator().manual_seed(0))
    try:
        waits = steps_on_cuda(head, trial.inputs(), LABELS).waits
    except (RuntimeError, AssertionError) as error:
        waits = [str(error)]
    assert any(found in each for each in waits) if found else not waits


@pytest.mark.parametrize("name", HEADS)
def test_a_head_gives_gradients_of_its_shapes_on_the_meta_device(name, random_bert):
    head, trial, inputs = made(name, random_bert)
    head.to("meta")
    head.memory = {key: value.to("meta") for key, value in head.memory.items()}
    inputs = {role: Padded(*(each.to("meta") for each in one)) for role, one in inputs.items()}
    for stage in head.stages:
        head.begin(stage)
        head.train()
        head.see(torch.arange(len(LABELS)))
        roles = head.reads(stage)
        outputs = head(inputs if roles is None else {role: inputs[role] for role in roles})
        assert outputs["prediction"].shape == trial.targets.shape
        losses_of(head, outputs, trial.targets.to("meta"), stage)[0].backward()

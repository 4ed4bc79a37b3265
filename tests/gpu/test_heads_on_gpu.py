"""Every head trains and evaluates on a GPU as on the CPU, without making the host wait."""

import copy
import dataclasses
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from zoo.test_fake_gpu import HEADS, made

from featzoo.devices import float32_products
from featzoo.zoo.head import Padded
from featzoo.zoo.training.one_epoch import losses_of

pytestmark = pytest.mark.gpu

STEPS = 2


def without_dropout(head):
    """Two devices draw other numbers."""
    for module in head.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "dropout_prob", "embed_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    quiet = {f.name: 0.0 for f in dataclasses.fields(head.options) if f.name.endswith("dropout")}
    head.options = dataclasses.replace(head.options, **quiet)
    return head


@contextmanager
def no_waits(device):
    """A block in which an operation that makes the host wait for the GPU is an error."""
    if device == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def trained(head, inputs, targets, device):
    """The loss terms of each stage's steps and of an evaluation after them, and the last predictions."""
    head = head.to(device)
    head.memory = {key: value.to(device) for key, value in head.memory.items()}
    inputs = {role: Padded(*(each.to(device) for each in one)) for role, one in inputs.items()}
    targets, rows, found = targets.to(device), torch.arange(len(targets), device=device), []
    for stage in head.stages:
        head.begin(stage)
        roles = head.reads(stage)
        read = inputs if roles is None else {role: inputs[role] for role in roles}
        optimizer = torch.optim.AdamW([p for p in head.parameters() if p.requires_grad], 1e-3, fused=True)
        with no_waits(device):
            head.train()
            for _ in range(STEPS):
                head.see(rows)
                loss, terms = losses_of(head, head(read), targets, stage)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                found.append(terms)
            head.eval()
            with torch.no_grad():
                outputs = head(read)
                found.append(losses_of(head, outputs, targets, stage)[1])
    return [{name: value.item() for name, value in terms.items()} for terms in found], outputs["prediction"].cpu()


@pytest.mark.parametrize("name", HEADS)
def test_a_head_trains_and_evaluates_as_on_the_cpu(name, device, random_bert):
    head, trial, inputs = made(name, random_bert)
    without_dropout(head)
    other = copy.deepcopy(head)
    expected, prediction = trained(other, inputs, trial.targets, "cpu")
    with float32_products(device):
        found, predicted = trained(head, inputs, trial.targets, device)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    torch.testing.assert_close(predicted, prediction, rtol=1e-3, atol=1e-3)


def test_dropout_is_off_where_devices_are_compared(random_bert):
    head, _, inputs = made("mult", random_bert)
    head = without_dropout(head).train()
    assert torch.equal(head(inputs)["prediction"], head(inputs)["prediction"])
    assert F.dropout(torch.ones(3), 0.0, True).tolist() == [1.0] * 3

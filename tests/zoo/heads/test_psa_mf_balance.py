"""PSA-MF's options beyond the paper: auxiliary losses, modulated gradients, dropped texts, a linear part, a ramp."""

from __future__ import annotations

import math

import pytest
import torch

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Padded, make_head
from featzoo.zoo.heads.psa_mf_balance import Products, factors, running, scaled_gradient
from featzoo.zoo.objective import Objective
from zoo.heads.test_psa_mf import LENGTHS, specs, split

SMALL = {"hidden": 8, "wide": 12}
ALL = {
    "unimodal": 0.5, "modulation": 0.3, "additive": True, "products": 3, "stacked": True, "text_dropout": 0.4,
    "ccl_ramp": 4,
}  # fmt: skip
FULL = {role: [n or 1 for n in steps] for role, steps in LENGTHS.items()}


def make(tiny_bert, **options):
    torch.manual_seed(0)
    return make_head("psa-mf", {**SMALL, **options}, specs(tiny_bert), 1)


def test_the_options_leave_the_weights_of_a_seed_and_the_first_prediction_unchanged(tiny_bert):
    plain, full = make(tiny_bert).eval(), make(tiny_bert, **ALL).eval()
    known = full.state_dict()
    assert all(torch.equal(value, known[name]) for name, value in plain.state_dict().items())
    inputs = split().batch([0, 1, 2, 3]).inputs
    with torch.no_grad():
        assert torch.equal(plain(inputs)["prediction"], full(inputs)["prediction"])


def test_auxiliary_losses_are_the_error_of_the_clips_that_have_the_modality(tiny_bert):
    head = make(tiny_bert, unimodal=0.5).eval()
    batch = split().batch([0, 1, 2, 3])
    with torch.no_grad():
        outputs = head(batch.inputs)
        terms = head.losses(outputs, batch.targets, "main")
    for modality, steps in LENGTHS.items():
        if modality == "personality":
            continue
        errors = [abs(float(outputs[f"own_{modality}"][i] - batch.targets[i])) for i, n in enumerate(steps) if n]
        assert float(terms[f"l_{modality}"]) == pytest.approx(0.5 * sum(errors) / len(errors), abs=1e-6)


def test_the_better_modality_gets_the_smaller_gradient():
    memory = {"error_text": torch.tensor(0.5), "error_audio": torch.tensor(1.0), "error_vision": torch.tensor(2.0)}
    found = factors(memory, 0.3)
    assert float(found["text"]) == pytest.approx(1 - math.tanh(0.3 * 3.0))
    assert float(found["audio"]) == pytest.approx(1 - math.tanh(0.3 * 1.25))
    assert float(found["vision"]) == 1.0
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    scaled = scaled_gradient(values, found["text"])
    assert torch.allclose(scaled, values)
    (scaled * torch.tensor([3.0, 4.0])).sum().backward()
    assert torch.allclose(values.grad, found["text"] * torch.tensor([3.0, 4.0]))


def test_running_errors_start_at_the_first_and_are_averaged_after_it():
    first = running({"error_text": torch.tensor(0.0)}, {"text": torch.tensor(2.0)})
    assert float(first["error_text"]) == 2.0
    assert float(running(first, {"text": torch.tensor(1.0)})["error_text"]) == pytest.approx(1.9)


def test_the_linear_part_adds_the_means_of_every_modality(tiny_bert):
    plain, full = make(tiny_bert).eval(), make(tiny_bert, additive=True).eval()
    whole = split(FULL)
    inputs = whole.batch([0, 1, 2, 3]).inputs
    with torch.no_grad():
        full.additive.out["audio"].weight.copy_(torch.arange(5.0)[None])
        gap = full(inputs)["prediction"] - plain(inputs)["prediction"]
    expected = [array.mean(axis=0) @ range(5) for array in whole.features["audio"]]
    assert torch.allclose(gap[:, 0], torch.tensor(expected).float(), atol=1e-4)


def test_products_are_those_of_the_text_with_each_other_modality(tiny_bert):
    head = make(tiny_bert, unimodal=0.5, stacked=True, products=2).eval()
    head.products.centred.mean.normal_()
    whole = split({**FULL, "audio": [2, 0, 3, 1]})
    batch = whole.batch([0, 1, 2, 3])
    seen = {}
    head.products.centred.register_forward_hook(lambda unit, given, out: seen.update(text=given[0]))
    with torch.no_grad():
        head.products.out["audio"].weight.copy_(torch.tensor([[1.0, -2.0]]))
        outputs = head(batch.inputs)
        words = head.products.text["audio"](seen["text"] - head.products.centred.mean)
        for row, array in enumerate(whole.features["audio"]):
            expected = torch.zeros(2)
            if array is not None:
                expected = words[row] * head.products.other["audio"](torch.tensor(array).mean(dim=0))
            found = float(outputs["own_products"][row])
            assert found == pytest.approx(float(expected @ torch.tensor([1.0, -2.0])), abs=1e-5)
        error = (outputs["own_products"] - batch.targets).abs().mean()
        losses = head.losses(outputs, batch.targets, "main")
    assert float(losses["l_products"]) == pytest.approx(0.5 * float(error), abs=1e-6)


def test_the_loss_of_products_does_not_reach_the_encoder(tiny_bert):
    head = make(tiny_bert, unimodal=0.5, stacked=True, products=2).train()
    for unit in head.products.out.values():
        torch.nn.init.ones_(unit.weight)
    batch = split(FULL).batch([0, 1, 2, 3])
    head.losses(head(batch.inputs), batch.targets, "main")["l_products"].backward()
    reached = {name.split(".")[0] for name, p in head.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"products"}


def test_a_sign_that_the_sound_tells_can_be_learnt_by_products_alone():
    torch.manual_seed(0)
    words, sound = torch.randn(256, 1, 6), torch.randn(256, 1, 4)
    truth = words[:, 0, :1] * sound[:, 0, :1].sign()  # no sum of a function of each explains any of it
    mask = torch.ones(256, 1, dtype=torch.bool)
    steps = {"text": Padded(words, mask, mask[:, :, None]), "audio": Padded(sound, mask, mask[:, :, None])}
    unit = Products({"text": 6, "audio": 4}, 2, 1)
    assert not unit(steps).any()
    optimizer = torch.optim.Adam(unit.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(unit(steps), truth).backward()
        optimizer.step()
    with torch.no_grad():
        assert float(torch.nn.functional.mse_loss(unit(steps), truth)) < 0.5 * float(truth.var())


def test_the_stack_is_of_all_predictions_and_only_outside_training(tiny_bert):
    head = make(tiny_bert, unimodal=0.5, products=2, stacked=True).eval()
    inputs = split().batch([0, 1, 2, 3]).inputs
    weights = torch.tensor([0.5, 0.1, -0.3, 0.4, 0.2])
    with torch.no_grad():
        first = head(inputs)
        parts = [first["predictions"][:, 0], *(first[f"own_{m}"] for m in ("text", "vision", "audio", "products"))]
        assert torch.equal(first["prediction"], parts[0])  # before the fit
        head.stack.weight.copy_(weights[:, None])
        head.stack.level.fill_(0.7)
        head.stack.shift.fill_(-0.2)
        expected = sum(weight * (part - 0.7) for weight, part in zip(weights, parts, strict=True)) + 0.5
        assert torch.allclose(head(inputs)["prediction"], expected, atol=1e-6)
        head.train()
        outputs = head(inputs)
        assert torch.equal(outputs["prediction"], outputs["predictions"][:, 0])


def test_classes_are_not_stacked(tiny_bert):
    options = {**SMALL, "unimodal": 0.5, "products": 2, "stacked": True}
    head = make_head("psa-mf", options, specs(tiny_bert), 3, objective=Objective("class"))
    assert not head.fits_dev
    assert {name.split(".")[0] for name in head.state_dict()}.isdisjoint({"stack", "products"})
    batch = split().batch([0, 1, 2, 3])
    terms = head.losses(head(batch.inputs), torch.tensor([[0], [2], [1], [0]]), "main")
    assert "l_products" not in terms


def test_the_weight_of_l_ccl_rises_over_the_first_steps(tiny_bert):
    head = make(tiny_bert, ccl_ramp=4).eval()
    batch = split(FULL).batch([0, 1, 2, 3])
    with torch.no_grad():
        outputs = head(batch.inputs)
        whole = make(tiny_bert).eval().losses(outputs, batch.targets, "main")["l_ccl"]
        head.prepare(batch.targets)
        found = []
        for _ in range(5):
            head.see(torch.arange(4))
            found.append(float(head.losses(outputs, batch.targets, "main")["l_ccl"] / whole))
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_texts_are_left_out_in_training_alone_and_every_step_stays_finite(tiny_bert):
    head = make(tiny_bert, **{**ALL, "text_dropout": 0.9})
    whole = split()
    batch = whole.batch([0, 1, 2, 3])
    head.prepare(batch.targets)
    seen = set()
    for _ in range(4):
        head.see(torch.arange(4))
        outputs = head(batch.inputs)
        seen.add(int(outputs["there_text"].sum()))
        loss = torch.stack(list(head.losses(outputs, batch.targets, "main").values())).sum()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
    assert min(seen) < 4
    assert all(float(error) > 0 for name, error in head.memory.items() if name.startswith("error_"))
    assert head.eval()(batch.inputs)["there_text"].all()


def test_parts_have_their_own_rates_if_they_are_given(tiny_bert):
    head = make(tiny_bert, additive=True, unimodal=0.5, products=2, stacked=True)
    rates = {"main": 1e-3, "encoder": 1e-4, "audio": 2e-3, "additive": 5e-3, "products": 3e-3}
    found = {group["name"]: group for group in head.parameter_groups("main", rates)}
    assert {name: group["lr"] for name, group in found.items()} == rates
    known = [id(p) for group in found.values() for p in group["params"]]
    assert sorted(known) == sorted(id(p) for p in head.parameters())
    assert len(found["additive"]["params"]) == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modulation": 0.5}, "set unimodal above 0"),
        ({"unimodal": -1.0}, "must not be negative"),
        ({"products": -1}, "must not be negative"),
        ({"stacked": True}, "set unimodal above 0"),
        ({"products": 2}, "set stacked to true"),
        ({"text_dropout": 1.0}, "text_dropout must be in"),
    ],
)
def test_options_that_do_not_fit_are_refused(tiny_bert, options, said):
    with pytest.raises(InvalidOption, match=said):
        make(tiny_bert, **options)

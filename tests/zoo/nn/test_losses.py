"""Loss terms against golden values and closed forms; the published equation read literally, shown to fail."""

import math

import pytest
import torch
import torch.nn.functional as F

from featzoo.zoo.nn.losses import (
    absolute_error,
    central_moment_discrepancy,
    half_distance,
    info_nce,
    masked_mean,
    orthogonality,
    predictive_nce,
)
from zoo.oracles import h


def similarities(scale):
    a, b = torch.from_numpy(h(6, 16, 0.1)), torch.from_numpy(h(6, 16, 0.7))
    return scale * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


# Computed in NumPy from the formula and printed to 10 digits, hence the tolerance of half a unit there.
@pytest.mark.parametrize(
    ("scale", "rows", "columns", "mean"),
    [
        (1 / 0.07, 4.6610909488, 4.3428460226, 4.5019684857),
        (math.log(1 / 0.07), 1.9664394317, 1.9472874282, 1.9568634299),
    ],
)
def test_info_nce_golden_values(scale, rows, columns, mean):
    logits, right = similarities(scale), torch.arange(6)
    assert F.cross_entropy(logits, right).item() == pytest.approx(rows, abs=1e-9)
    assert F.cross_entropy(logits.T, right).item() == pytest.approx(columns, abs=1e-9)
    assert info_nce(logits).item() == pytest.approx(mean, abs=1e-9)


def test_info_nce_by_hand():
    logits = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    rows = [-2 + math.log(math.e**2 + 1), -3 + math.log(math.e + math.e**3)]
    columns = [-2 + math.log(math.e**2 + math.e), -3 + math.log(1 + math.e**3)]
    assert info_nce(logits).item() == pytest.approx(sum(rows + columns) / 4, abs=1e-6)


def test_info_nce_of_none_and_of_one_is_zero_and_differentiable():
    for size in (0, 1):
        logits = torch.randn(size, size, requires_grad=True)
        loss = info_nce(logits)
        loss.backward()
        assert loss.item() == 0.0
        assert torch.isfinite(logits.grad).all()


def test_half_distance_ends():
    a = torch.eye(3)
    assert half_distance(a, a).item() == pytest.approx(0.0, abs=1e-6)
    assert half_distance(a, -a).item() == pytest.approx(1.0)
    mixed = torch.cat([a[:1], -a[1:2], a[2:]])
    assert half_distance(a, mixed, torch.tensor([True, False, True])).item() == pytest.approx(0.0, abs=1e-6)
    assert half_distance(a, a, torch.zeros(3, dtype=torch.bool)).item() == 0.5


def test_masked_mean_and_absolute_error():
    values = torch.tensor([1.0, 100.0, 3.0])
    assert masked_mean(values, torch.tensor([True, False, True])).item() == 2.0
    assert masked_mean(values, torch.zeros(3, dtype=torch.bool)).item() == 0.0
    assert absolute_error(torch.tensor([[1.0], [4.0]]), torch.tensor([[0.0], [6.0]])).item() == 1.5


@pytest.mark.parametrize(("weight", "aligned"), [("half_distance", True), ("literal", False)])
def test_the_literal_weight_drives_views_apart(weight, aligned):
    """Minimising cos * InfoNCE, as printed, ends in opposite views; half the distance aligns them."""
    torch.manual_seed(0)
    a, b = (torch.randn(64, 32, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([a, b], lr=0.02)
    for _ in range(300):
        x, y = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
        distance = half_distance(x, y)
        factor = distance if weight == "half_distance" else 1 - 2 * distance
        optimizer.zero_grad()
        (factor * info_nce(math.log(1 / 0.07) * x @ y.T)).backward()
        optimizer.step()
    cosine = F.cosine_similarity(a, b, dim=-1).mean().item()
    assert cosine > 0.8 if aligned else cosine < -0.8


def some_there(count):
    """(9,) bool with this many true, not side by side."""
    there = torch.zeros(9, dtype=torch.bool)
    there[torch.arange(9)[::2].tolist()[:count]] = True
    return there


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_contrastive_losses_by_mask_are_those_of_the_items_that_exist(count):
    logits = 4 * torch.randn(9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    there = some_there(count)
    for loss in (info_nce, predictive_nce):
        masked, indexed = logits.clone().requires_grad_(), logits.clone().requires_grad_()
        by_mask, by_index = loss(masked, there), loss(indexed[there][:, there])
        (by_mask + by_index).backward()
        torch.testing.assert_close(by_mask, by_index, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(masked.grad, indexed.grad, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_distances_by_mask_are_those_of_the_clips_that_exist(count):
    a, b = torch.rand(2, 9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    there, other = some_there(count), some_there(3)
    pairs = [
        (lambda a, b: orthogonality(a, b, there), lambda a, b: orthogonality(a[there], b[there])),
        (
            lambda a, b: central_moment_discrepancy(a, b, 5, there, other),
            lambda a, b: central_moment_discrepancy(a[there], b[other]),
        ),
    ]
    for by_mask, by_index in pairs:
        masked, indexed = a.clone().requires_grad_(), a.clone().requires_grad_()
        found, expected = by_mask(masked, b), by_index(indexed, b)
        (found + expected).backward()
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(masked.grad, indexed.grad, atol=1e-6, rtol=1e-6)

"""The running mean: of the vectors that exist, in training alone, at its first step and after many."""

import torch

from featzoo.zoo.nn.centred import SLOWEST, Centred


def test_it_is_the_mean_of_the_first_steps_vectors_that_exist():
    torch.manual_seed(0)
    batches, unit = torch.randn(3, 4, 5), Centred(5).train()
    there = torch.tensor([[True], [True], [False], [True]])
    for batch in batches:
        batch[2] = torch.nan  # a clip without text
        unit(batch, there)
    expected = batches[:, [0, 1, 3]].mean(dim=(0, 1))
    assert torch.allclose(unit.mean, expected, atol=1e-6)
    assert torch.allclose(unit.eval()(batches[0], there)[0], batches[0, 0] - expected, atol=1e-6)


def test_later_steps_move_it_by_a_small_share():
    unit, there = Centred(1).train(), torch.ones(2, 1, dtype=torch.bool)
    for _ in range(round(1 / SLOWEST)):
        unit(torch.zeros(2, 1), there)
    for step in range(1, 4):
        unit(torch.ones(2, 1), there)
        # The first of these has the share of step 51, which is that of all later ones.
        assert torch.allclose(unit.mean, torch.tensor([1 - (1 - SLOWEST) ** step]), atol=1e-6)


def test_a_batch_without_vectors_and_evaluation_leave_it():
    unit, nothing = Centred(2).train(), torch.zeros(3, 1, dtype=torch.bool)
    unit(torch.ones(3, 2), nothing)
    assert not unit.mean.any()
    assert not unit.steps
    unit.eval()(torch.ones(3, 2), ~nothing)
    assert not unit.mean.any()


def test_gradients_pass_it_unchanged():
    vectors = torch.randn(4, 3, requires_grad=True)
    unit = Centred(3).train()
    (unit(vectors, torch.ones(4, 1, dtype=torch.bool)) * torch.arange(3.0)).sum().backward()
    assert torch.equal(vectors.grad, torch.arange(3.0).expand(4, 3))

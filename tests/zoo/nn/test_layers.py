"""Layers against naive loops; padding and absent modalities change nothing."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from featzoo.zoo.nn.layers import Clip, CrossAttention, MaskedLSTM, masked_average
from zoo.oracles import lstm


def ragged(lengths, width, seed=0):
    """(B, T, D) values, junk past each end, and the mask."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(len(lengths), max([1, *lengths]), width, generator=generator)
    mask = torch.arange(values.shape[1])[None] < torch.tensor(lengths)[:, None]
    return torch.where(mask[:, :, None], values, torch.full_like(values, 1e3)), mask


def test_lstm_is_the_naive_loop_over_true_steps():
    torch.manual_seed(1)
    layer = MaskedLSTM(3, 4)
    values, mask = ragged([5, 1, 0, 3], 3)
    weights = {k: v.detach().double().numpy() for k, v in layer.lstm.named_parameters()}
    with torch.no_grad():
        steps, last = layer(values, mask)
    for row, length in enumerate([5, 1, 0, 3]):
        expected = lstm(weights, values[row, :length].double().numpy())
        assert steps[row, length:].abs().sum() == 0
        if length:
            np.testing.assert_allclose(steps[row, :length], expected, atol=1e-6)
            np.testing.assert_allclose(last[row], expected[-1], atol=1e-6)
        else:
            assert last[row].abs().sum() == 0


def test_attention_is_the_naive_softmax_over_true_steps():
    torch.manual_seed(2)
    layer = CrossAttention(4, 2, 0.0).eval()
    query = torch.randn(3, 4)
    steps, mask = ragged([4, 0, 2], 4)
    with torch.no_grad():
        found = layer(query, steps, mask)
        wq, wk, wv = layer.attention.in_proj_weight.chunk(3)
        for row, length in ((0, 4), (2, 2)):
            joined = []
            for head in (slice(0, 2), slice(2, 4)):
                q = (query[row] @ wq.T)[head]
                scores = [float(q @ (steps[row, t] @ wk.T)[head]) / math.sqrt(2) for t in range(length)]
                top = [math.exp(s - max(scores)) for s in scores]
                joined.append(sum(w / sum(top) * (steps[row, t] @ wv.T)[head] for t, w in enumerate(top)))
            expected = layer.attention.out_proj(torch.cat(joined))
            torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-5)
    assert found[1].abs().sum() == 0


def test_an_empty_clip_gives_zero_and_finite_gradients():
    layer = CrossAttention(4, 2, 0.0)
    query = torch.randn(2, 4, requires_grad=True)
    steps, mask = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.bool)
    layer(query, steps, mask).sum().backward()
    assert torch.isfinite(query.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", ["official", "standard"])
def test_clip_is_written_out(kind):
    torch.manual_seed(3)
    unit = Clip(5, 6, kind, width=7).double()
    x, y = torch.randn(4, 5).double(), torch.randn(4, 6).double()
    with torch.no_grad():
        found = unit(x, y)
        for i in range(4):
            for j in range(4):
                left = unit.left.weight @ x[i] + unit.left.bias
                left = left / left.norm()
                if kind == "official":
                    right = unit.right.weight @ (y[j] / y[j].norm()) + unit.right.bias
                    expected = 2.6592600369327783 * (left @ right)
                else:
                    right = unit.right.weight @ y[j] + unit.right.bias
                    expected = (left @ (right / right.norm())) / 0.07
                assert found[i, j].item() == pytest.approx(expected.item(), abs=1e-6)
    assert [n for n, _ in unit.named_parameters() if "scale" in n] == (["scale"] if kind == "standard" else [])


def test_masked_average():
    values, mask = ragged([2, 0], 3)
    found = masked_average(torch.where(mask[:, :, None], values, 0.0), mask)
    torch.testing.assert_close(found[0], values[0, :2].mean(0))
    assert found[1].abs().sum() == 0
    assert F.mse_loss(found, found) == 0

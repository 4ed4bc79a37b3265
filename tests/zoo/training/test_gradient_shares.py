"""Shares of the gradient by loss term, and the parameters that weight decay applies to."""

import pytest
import torch
from torch import nn

from featzoo.zoo.training.gradient_shares import gradient_norms, shares
from featzoo.zoo.training.parameter_groups import without_decay_of_vectors


def test_shares_are_those_of_the_gradients_lengths():
    """3 a + 4 b has a gradient of length 5, b * b at b = 7.5 one of length 15; a constant has none."""
    a, b = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(7.5))
    frozen = nn.Parameter(torch.tensor(1.0), requires_grad=False)
    terms = {"line": 3 * a + 4 * b, "square": b * b * frozen, "constant": torch.tensor(1.0)}
    found = shares(gradient_norms(terms, [a, b, frozen]))
    assert found == pytest.approx({"line": 0.25, "square": 0.75, "constant": 0.0})
    assert a.grad is None
    sum(terms.values()).backward()  # the graph is still there
    assert (float(a.grad), float(b.grad)) == (3.0, 19.0)
    assert shares({"constant": torch.tensor(0.0)}) == {}


def test_biases_and_layer_norms_do_not_decay():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Embedding(5, 4))
    scale = nn.Parameter(torch.tensor(1.0))
    given = [
        {"name": "main", "params": [*model.parameters()], "lr": 0.5},
        {"name": "scale", "params": [scale], "lr": 1.0},
    ]
    optimizer = torch.optim.AdamW(without_decay_of_vectors(given), weight_decay=0.1)
    before = [p.detach().clone() for p in (*model.parameters(), scale)]
    sum((0 * p).sum() for p in (*model.parameters(), scale)).backward()
    optimizer.step()
    for parameter, old in zip((*model.parameters(), scale), before, strict=True):
        torch.testing.assert_close(parameter, old * 0.95 if old.dim() == 2 else old)

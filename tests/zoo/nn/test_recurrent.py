"""The padded way of a GPU against the packed way of the CPU, which test_layers compares with a naive loop."""

import pytest
import torch
from torch import nn

from featzoo.zoo.nn.recurrent import _packed, _padded, run_recurrent
from zoo.nn.test_layers import ragged


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_padding_and_packing_give_the_same_states_and_gradients(kind, layers, both_ways):
    torch.manual_seed(1)
    rnn = kind(3, 4, layers, batch_first=True, bidirectional=both_ways)
    values, mask = ragged([5, 1, 3], 3)
    found = []
    for way in (_packed, _padded):
        given = values.clone().requires_grad_()
        rnn.zero_grad()
        steps, last = way(rnn, given, mask)
        steps = steps * mask[:, :, None]
        (steps.square().sum() + last.sum()).backward()
        found.append([steps, last, given.grad, *(p.grad.clone() for p in rnn.parameters())])
    for packed, padded in zip(*found, strict=True):
        torch.testing.assert_close(padded, packed, atol=1e-6, rtol=1e-5)


def test_an_empty_sequence_is_finite_when_padded():
    rnn = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    values, mask = ragged([0, 2], 3)
    steps, last = _padded(rnn, values, mask)
    assert steps.isfinite().all()
    assert last.isfinite().all()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_sequences_without_padding_give_what_they_give_beside_a_shorter_one(kind):
    """Without padding nothing is packed. 1e-6: the order of sums may differ."""
    torch.manual_seed(0)
    rnn, values = kind(3, 4, batch_first=True, bidirectional=True), torch.randn(3, 6, 3)
    mask = torch.ones(3, 6, dtype=torch.bool)
    shorter = mask.clone()
    shorter[2, 2:] = False
    whole, packed = run_recurrent(rnn, values, mask), run_recurrent(rnn, values, shorter)
    for one, other in zip(whole, packed, strict=True):
        torch.testing.assert_close(one[:2], other[:2], atol=1e-6, rtol=1e-6)
        assert not torch.allclose(one[2], other[2], atol=1e-3)

"""Recurrent layers over padded sequences against the same layer on one sequence at a time, without its padding."""

import pytest
import torch
from torch import nn

from featzoo.zoo.nn.recurrent import PACKED, _packed, _padded, run_recurrent
from zoo.nn.test_layers import ragged

WAYS = {
    "packed": _packed, "padded": lambda *given: _padded(*given, on_cpu=True),
    "gpu": lambda *given: _padded(*given, on_cpu=False), "chosen": run_recurrent,
}  # fmt: skip


def one_by_one(rnn, values, mask):
    steps, last = [], []
    for row, length in zip(values, mask.sum(dim=1).tolist(), strict=True):
        out, state = rnn(row[None, :length])
        state = state[0] if isinstance(state, tuple) else state  # (layers * directions, 1, H)
        steps.append(nn.functional.pad(out[0], (0, 0, 0, len(row) - length)))
        last.append(torch.cat(list(state[-2:] if rnn.bidirectional else state[-1:]), dim=1)[0])
    return torch.stack(steps), torch.stack(last)


@pytest.mark.parametrize("lengths", [[5, 1, 3], [12, 1, 1]], ids=["dense", "sparse"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_states_and_gradients_are_those_of_each_sequence_alone(kind, layers, both_ways, way, lengths):
    """1e-6: the order of sums may differ."""
    torch.manual_seed(1)
    rnn = kind(3, 4, layers, batch_first=True, bidirectional=both_ways)
    values, mask = ragged(lengths, 3)
    assert (mask.float().mean() < PACKED) == (lengths[0] == 12)  # so that `chosen` takes either way
    found = []
    for run in (one_by_one, WAYS[way]):
        given = values.clone().requires_grad_()
        rnn.zero_grad()
        steps, last = run(rnn, given, mask)
        steps = steps * mask[:, :, None]
        (steps.square().sum() + last.sum()).backward()
        found.append([steps, last, given.grad, *(p.grad.clone() for p in rnn.parameters())])
    for wanted, got in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lengths", [[0, 2], [0, 1, 12]], ids=["dense", "sparse"])
def test_an_empty_sequence_gives_zeros(lengths):
    rnn = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    steps, last = run_recurrent(rnn, *ragged(lengths, 3))
    assert not steps[0].any()
    assert not last[0].any()
    assert steps.isfinite().all()
    assert last[1].any()

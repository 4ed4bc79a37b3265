"""LSTMs and GRUs over the true steps of padded sequences, without waiting for the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from featzoo.zoo.nn.onnx_recurrent import exporting, onnx_layer

# Sequences are packed on the CPU if a smaller share of their steps is true; benchmarks/recurrent.py.
PACKED = 0.4


def run_recurrent(rnn: nn.LSTM | nn.GRU, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Run a network over the true steps of each sequence.

    Args:
        rnn: The network, with `batch_first=True`.
        values: (B, T, D), T > 0.
        mask: (B, T) bool, true steps first.

    Returns:
        The last layer's output at every step, (B, T, H), and its state after the last step that it reads, (B, H); both
        have twice the width if `rnn` is bidirectional. They are 0 past the end of a sequence and for an empty one.
    """
    padding, absent = ~mask[:, :, None], ~mask.any(dim=1, keepdim=True)  # (B, T, 1), (B, 1)
    # Filled, not multiplied by 0: padding may hold NaN.
    values = values.masked_fill(padding, 0.0)
    on_cpu = values.device.type == "cpu" and not torch.compiler.is_compiling()  # ONNX has no packed sequences
    if on_cpu and mask.float().mean() < PACKED:
        steps, last = _packed(rnn, values, mask)
    else:
        steps, last = _padded(rnn, values, mask, on_cpu)
    return steps.masked_fill(padding, 0.0), last.masked_fill(absent, 0.0)


def _packed(rnn: nn.LSTM | nn.GRU, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Only true steps are computed, one by one."""
    # Packing does not allow empty sequences: they get one step, and their results are masked.
    length = mask.sum(dim=1).clamp(min=1)  # (B,)
    with torch.autocast("cpu", enabled=False):
        out, state = rnn(pack_padded_sequence(_as_weights(rnn, values), length, batch_first=True, enforce_sorted=False))
    steps, _ = pad_packed_sequence(out, batch_first=True, total_length=values.shape[1])  # (B, T, H)
    last = state[0] if isinstance(state, tuple) else state  # (layers * directions, B, H)
    return steps, torch.cat([last[-2], last[-1]], dim=1) if rnn.bidirectional else last[-1]


def _padded(rnn: nn.LSTM | nn.GRU, values: Tensor, mask: Tensor, on_cpu: bool) -> tuple[Tensor, Tensor]:
    """Padding is computed too, in one call for all steps.

    Packing would need the lengths on the host, which waits for a GPU. On a CPU this is faster too unless most sequences
    are much shorter than the longest.
    """
    if on_cpu:
        with torch.autocast("cpu", enabled=False):
            return _in_one_call(rnn, _as_weights(rnn, values), mask)
    return _in_one_call(rnn, values, mask)


def _as_weights(rnn: nn.LSTM | nn.GRU, values: Tensor) -> Tensor:
    """In the weights' type, which a CPU keeps under autocast: oneDNN has no half-precision LSTM for many processors."""
    return values.to(next(rnn.parameters()).dtype)


def _in_one_call(rnn: nn.LSTM | nn.GRU, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Each layer and direction over all steps; for the way back, each sequence is turned round in its place."""
    length = mask.sum(dim=1, keepdim=True)  # (B, 1)
    step = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    # Each index is used once, so gradients do not depend on the order in which the device adds them.
    backwards = torch.where(mask, length - 1 - step, step)  # (B, T)
    end = (length - 1).clamp(min=0)  # (B, 1)
    last = []
    for layer in range(rnn.num_layers):
        forward = _one_way(rnn, layer, "", values)  # (B, T, H)
        each, last = [forward], [_at(forward, end)[:, 0]]
        if rnn.bidirectional:
            reverse = _one_way(rnn, layer, "_reverse", _at(values, backwards))  # (B, T, H)
            each, last = [forward, _at(reverse, backwards)], [*last, _at(reverse, end)[:, 0]]
        values = torch.cat(each, dim=2)  # (B, T, 1 or 2 H)
        if layer < rnn.num_layers - 1:
            values = F.dropout(values, rnn.dropout, rnn.training)
    return values, torch.cat(last, dim=1)  # (B, T, 1 or 2 H), (B, 1 or 2 H)


def _one_way(rnn: nn.LSTM | nn.GRU, layer: int, way: str, values: Tensor) -> Tensor:
    """The (B, T, H) of one layer in one direction, from the first step to the last."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [getattr(rnn, f"{kind}_l{layer}{way}") for kind in kinds]
    if exporting():
        return onnx_layer(values, weights)
    start = values.new_zeros(1, values.shape[0], rnn.hidden_size)  # (1, B, H)
    lstm = isinstance(rnn, nn.LSTM)
    kernel: Callable[..., Any] = torch.lstm if lstm else torch.gru
    hidden: Any = (start, start) if lstm else start
    out: Tensor = kernel(values, hidden, weights, True, 1, 0.0, rnn.training, False, True)[0]
    return out


def _at(values: Tensor, steps: Tensor) -> Tensor:
    """The steps (B, S) of (B, T, D): (B, S, D)."""
    return values.gather(1, steps[:, :, None].expand(-1, -1, values.shape[2]))

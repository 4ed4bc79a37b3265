"""LSTMs and GRUs as ONNX's own operators, for an export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def exporting() -> bool:
    """Whether torch is making an ONNX file, and can be given ONNX's operators (torch 2.8 or newer)."""
    return torch.onnx.is_in_onnx_export() and hasattr(torch.onnx, "ops")


def onnx_layer(values: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """One layer in one direction, from states of 0. Only an export computes it; elsewhere it gives zeros.

    torch's exporter would unroll the layer over the steps of its example, and the file would take no other length.

    Args:
        values: (B, T, D).
        weights: PyTorch's `weight_ih` (G H, D), `weight_hh` (G H, H), `bias_ih` and `bias_hh` (G H,), of an LSTM (G
            is 4) or a GRU (3).

    Returns:
        (B, T, H).
    """
    into, across, bias, more = weights
    hidden = across.shape[1]
    lstm = across.shape[0] == 4 * hidden
    # ONNX's gates: input, output, forget, cell; update, reset, hidden. PyTorch's: i, f, c, o; r, u, h.
    order = (0, 3, 1, 2) if lstm else (1, 0, 2)
    into, across, bias, more = (_reordered(each, hidden, order) for each in (into, across, bias, more))
    attributes: dict[str, Any] = {"hidden_size": hidden} | ({} if lstm else {"linear_before_reset": 1})
    inputs = (values.transpose(0, 1), into[None], across[None], torch.cat([bias, more])[None])
    shape = (values.shape[1], 1, values.shape[0], hidden)
    out: Tensor = torch.onnx.ops.symbolic(
        "LSTM" if lstm else "GRU", inputs, attributes, dtype=values.dtype, shape=shape
    )  # (T, 1, B, H)
    return out[:, 0].transpose(0, 1)


def _reordered(weight: Tensor, hidden: int, order: Sequence[int]) -> Tensor:
    """The gates of (G H, ...) in another order."""
    gates = weight.split(hidden)
    return torch.cat([gates[gate] for gate in order])

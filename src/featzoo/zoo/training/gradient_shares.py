"""How much of a step's gradient comes from each loss term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def gradient_norms(terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> dict[str, Tensor]:
    """Term to the norm of its gradient over all parameters, on their device; the gradients of training are not touched.

    Args:
        terms: Named scalars, of a graph that is still needed.
        parameters: That the terms may depend on.
    """
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    norms = {}
    for name, term in terms.items():
        found = torch.autograd.grad(term, learning, retain_graph=True, allow_unused=True) if term.requires_grad else ()
        squares = [gradient.detach().float().square().sum() for gradient in found if gradient is not None]
        norms[name] = torch.stack(squares).sum().sqrt() if squares else term.new_zeros(())
    return norms


def shares(norms: Mapping[str, Tensor]) -> dict[str, float]:
    """Term to its share of the sum of all norms; nothing if all are 0."""
    values = {name: float(norm) for name, norm in norms.items()}
    total = sum(values.values())
    return {name: value / total for name, value in values.items()} if total else {}

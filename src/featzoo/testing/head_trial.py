"""A head under test and random clips for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from featzoo.testing.contract_error import require
from featzoo.zoo.head import Head, Inputs, Outputs, Padded
from featzoo.zoo.input_spec import InputSpec

STEPS = 6  # the longest random sequence


class Trial:
    """A head under test, and random clips for it."""

    def __init__(
        self,
        head: Head,
        targets: Tensor,
        token_ids: tuple[int, ...],
        single_step: frozenset[str],
        values: Mapping[str, Tensor],
        generator: torch.Generator,
    ) -> None:
        require(targets.dim() == 2 and len(targets) >= 4, "targets are (N, K), with four clips or more")
        self.head, self.targets, self.generator = head, targets.float(), generator
        self.token_ids, self.single_step, self.values = token_ids, single_step, values
        self.frozen = {name for name, p in head.named_parameters() if not p.requires_grad}

    @property
    def width(self) -> int:
        """K, the number of the head's outputs."""
        return int(self.targets.max()) + 1 if self.head.objective.kind == "class" else self.targets.shape[1]

    def __len__(self) -> int:
        return len(self.targets)

    def inputs(self, missing: Sequence[str] = (), *, whole: bool = False) -> dict[str, Padded]:
        """Random features of all clips; `missing` roles have none, and some clips lack one of the others."""
        return {role: self._padded(role, spec, role in missing, whole) for role, spec in self.head.specs.items()}

    def _padded(self, role: str, spec: InputSpec, missing: bool, whole: bool) -> Padded:
        count = len(self)
        steps = 1 if role in self.single_step else STEPS
        lengths = torch.randint(1, steps + 1, (count,), generator=self.generator)
        lengths[0] = steps
        if not whole:  # each role is missing in a different one of the last clips
            lengths[count - 1 - list(self.head.specs).index(role) % (count - 1)] = 0
        if missing or not spec.given:
            lengths[:] = 0
        mask = torch.arange(steps)[None] < lengths[:, None]  # (N, T)
        return self.random(role, spec, mask)

    def random(self, role: str, spec: InputSpec, mask: Tensor) -> Padded:
        """Random ids or features at the true steps of (N, T) `mask`."""
        if spec.ids:
            known = torch.tensor(self.token_ids)
            drawn = known[torch.randint(0, len(known), mask.shape, generator=self.generator)]  # (N, T)
            return Padded(drawn * mask, mask, mask)
        values = torch.randn(*mask.shape, spec.width, generator=self.generator)  # (N, T, D)
        if role in self.values:
            low, high = self.values[role]
            values = low + (high - low) * torch.rand(values.shape, generator=self.generator)
        seen = mask[:, :, None].expand(values.shape)
        return Padded(values * seen, mask, seen)

    def read(self, inputs: Inputs, stage: str) -> Inputs:
        """The inputs of the roles that a stage reads."""
        roles = self.head.reads(stage)
        return inputs if roles is None else {role: inputs[role] for role in roles}

    def losses(self, outputs: Outputs, stage: str, rows: Tensor | None = None) -> dict[str, Tensor]:
        """The loss terms, checked."""
        targets = self.targets if rows is None else self.targets[rows]
        terms = self.head.losses(outputs, targets, stage)
        named = isinstance(terms, dict) and bool(terms) and all(isinstance(name, str) and name for name in terms)
        require(named, "losses gives at least one term, each with a name")
        require("total" not in terms, "no term is called total: that is the sum of all terms")
        for name, term in terms.items():
            require(isinstance(term, Tensor) and term.dim() == 0, f"a loss term is a single number: {name}")
            require(bool(torch.isfinite(term)), f"losses are finite: {name} is {term.item()}")
        return terms

    def predict(self, inputs: Inputs) -> Tensor:
        """(N, K) predictions in evaluation mode."""
        self.head.eval()
        with torch.no_grad():
            prediction: Tensor = self.head(self.read(inputs, self.head.stages[-1]))["prediction"]
        return prediction


def rows_of(inputs: Inputs, rows: Tensor) -> dict[str, Padded]:
    """The inputs of the clips `rows`."""
    return {role: Padded(*(tensor[rows] for tensor in one)) for role, one in inputs.items()}


def trimmed(inputs: Inputs) -> dict[str, Padded]:
    """The inputs without steps that no clip has; at least one step is kept."""
    cut = {role: max(1, int(one.mask.sum(dim=1).max())) for role, one in inputs.items()}
    return {role: Padded(*(tensor[:, : cut[role]] for tensor in one)) for role, one in inputs.items()}

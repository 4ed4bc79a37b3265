"""A head as an ONNX program for any number of clips and steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from featzoo.errors import FeatzooError
from featzoo.sequence import Array
from featzoo.zoo.head import Head, Padded

OUTPUT = "prediction"
MASK = "_mask"


class ExportedHead(nn.Module):
    """A head with its standardisation: stored features in, predictions as users read them out.

    Args:
        head: The head.
        roles: The roles that it is given, in order; the others are masked.
        scales: Role to the (D,) mean and standard deviation of its columns, for standardised roles.
    """

    def __init__(self, head: Head, roles: Sequence[str], scales: Mapping[str, tuple[Array, Array]]) -> None:
        super().__init__()
        self.head, self.roles = head, tuple(roles)
        self.masked = tuple(role for role in head.specs if role not in roles)
        self.scaled = tuple(scales)
        for role, (mean, std) in scales.items():
            self.register_buffer(f"mean_{role}", torch.from_numpy(mean).float())
            self.register_buffer(f"std_{role}", torch.from_numpy(std).float())

    @property
    def names(self) -> list[str]:
        """The names of the arguments of `forward`."""
        return [name for role in self.roles for name in (role, role + MASK)]

    def forward(self, *tensors: Tensor) -> Tensor:
        """The values and the mask of each role in turn; NaN is not observed."""
        inputs = {}
        for place, role in enumerate(self.roles):
            values, mask = tensors[2 * place], tensors[2 * place + 1]
            if values.dim() == 2:  # ids
                inputs[role] = Padded(values * mask, mask, mask)
                continue
            observed = mask[:, :, None] & ~values.isnan()  # (B, T, D)
            if role in self.scaled:
                values = (values - getattr(self, f"mean_{role}")) / getattr(self, f"std_{role}")
            inputs[role] = Padded(torch.where(observed, values, 0.0), mask, observed)
        for role in self.masked:
            empty = torch.zeros_like(tensors[1][:, :1])  # (B, 1)
            values = torch.zeros_like(empty, dtype=torch.float32)[:, :, None].repeat(1, 1, self.head.specs[role].width)
            inputs[role] = Padded(values, empty, torch.zeros_like(values, dtype=torch.bool))
        outputs = self.head(inputs)
        return self.head.objective.values(outputs["prediction"])


def onnx_program(whole: ExportedHead, tensors: Sequence[Tensor], name: str) -> Any:
    """The head as torch's `ONNXProgram`; the sizes of batch and steps vary.

    Args:
        whole: The head.
        tensors: Arguments for its `forward`, of any size.
        name: The head's name, for the error message.

    Raises:
        FeatzooError: If ONNX lacks a part of its forward pass, or fixes one of the sizes that vary.
    """
    varying = torch.export.Dim.DYNAMIC
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PyTorch itself uses what it deprecates
            return torch.onnx.export(
                whole, _longer(tensors), dynamo=True, input_names=whole.names, output_names=[OUTPUT],
                dynamic_shapes=(tuple({0: varying, 1: varying} for _ in tensors),), verbose=False,
            )  # fmt: skip
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        said = short(error.__cause__ or error)
        fixed = "a static shape" in said
        why = "fixes the number of clips or steps, as a loop over steps does" if fixed else "has a part that ONNX lacks"
        raise FeatzooError(f"head {name} cannot be exported: its forward pass {why} ({said})") from error


def short(error: BaseException) -> str:
    """The start of an error's message on one line."""
    return " ".join(str(error).split())[:300]


def _longer(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """At least two clips of three steps each: an exporter takes a size of 1 for a constant."""
    found = []
    for tensor in tensors:
        if tensor.shape[0] < 2:
            tensor = torch.cat([tensor, tensor])
        lacking = 3 - tensor.shape[1]
        if lacking > 0:
            tensor = torch.cat([tensor, tensor.new_zeros((len(tensor), lacking, *tensor.shape[2:]))], dim=1)
        found.append(tensor)
    return tuple(found)

"""CUDA tensors without a GPU: shapes, types and devices are those of a GPU, and nothing is computed.

A tensor that is made on the CPU inside a forward pass raises torch's error on two devices, and `Watch` lists what makes
the host wait for the device.
"""

from __future__ import annotations

import ctypes
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda:0")
# Numbers of c10::DeviceType.
_CUDA_NUMBER, _META_NUMBER = 1, 14
HALF = (torch.bfloat16, torch.float16)


@contextmanager
def fake_cuda():
    """A block in which tensors can be made on `cuda:0`, without memory and without a GPU.

    Without cuDNN, whose version a torch with CUDA asks the driver for.
    """
    with _guarded(), torch.backends.cudnn.flags(enabled=False), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


@contextmanager
def _guarded():
    """A torch built without CUDA indexes no CUDA tensor, because it cannot switch to the device: nothing is to switch.

    It gets the device guard of `meta` tensors, which does nothing. torch itself does the same where it was built with
    CUDA and there is no GPU (`_ensureCUDADeviceGuardSet`).
    """
    if torch.backends.cuda.is_built():
        yield
        return
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
        guards = (ctypes.c_void_p * 20).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    except (OSError, ValueError) as error:  # another system's torch
        pytest.skip(f"this build of torch has no table of device guards to write to: {error}")
    before = guards[_CUDA_NUMBER]
    guards[_CUDA_NUMBER] = guards[_META_NUMBER]
    try:
        yield
    finally:
        guards[_CUDA_NUMBER] = before


@contextmanager
def cuda_autocast(dtype=torch.bfloat16):
    """`torch.autocast("cuda", dtype)`, which torch itself switches off where there is no GPU."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])


def put_on_cuda(module: nn.Module) -> nn.Module:
    """Replace the weights of a module by fake ones on `cuda:0`; inside `fake_cuda`."""
    for part in module.modules():
        for table in (part._parameters, part._buffers):
            for name, value in table.items():
                if value is not None:
                    fake = torch.empty(value.shape, dtype=value.dtype, device=CUDA)
                    table[name] = nn.Parameter(fake, value.requires_grad) if table is part._parameters else fake
        if isinstance(part, nn.RNNBase):
            part._init_flat_weights()
    return module


def like_on_cuda(tensor: torch.Tensor) -> torch.Tensor:
    """A fake tensor of the same shape and type on `cuda:0`."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)


class Watch(TorchDispatchMode):
    """Lists what makes the host wait for the device, and results in half precision.

    Attributes:
        waits: Copies to the host, copies to the device that are not `non_blocking`, and indexing by a mask.
        halves: Names of the operations whose results are bfloat16 or float16.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.halves: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, str(func)
        if name.startswith("aten._thnn_fused_gru_cell"):  # torch has no fake kernel for it
            out = torch.empty_like(args[2]), args[2].new_empty(len(args[2]), 5 * args[2].shape[1])
        else:
            out = func(*args, **kwargs)
        results = [out] if isinstance(out, torch.Tensor) else [o for o in _listed(out) if isinstance(o, torch.Tensor)]
        if any(o.dtype in HALF for o in results):
            self.halves.append(name)
        if name.startswith(("aten._to_copy", "aten.copy_", "aten.to.")):  # the last of tensors of inference mode
            source = args[1] if name.startswith("aten.copy_") else args[0]
            target = results[0]
            blocks = not (kwargs.get("non_blocking") or (name.startswith("aten.copy_") and len(args) > 2 and args[2]))
            if source.device.type == "cuda" and target.device.type == "cpu":
                self.waits.append("a copy to the host")
            elif source.device.type == "cpu" and target.device.type == "cuda" and blocks:
                self.waits.append("a blocking copy to the device")
        elif name.startswith(("aten.index.", "aten.index_put", "aten._index_put")):
            masks = [
                i for i in _listed(args[1]) if isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8)
            ]
            if masks:
                self.waits.append(f"{name}: indexing by a mask")
        return out


def _listed(value):
    return value if isinstance(value, (list, tuple)) else [value]


class _NumPy(TorchFunctionMode):
    """`numpy()` of a fake tensor on the CPU gives zeros of its shape; of one on the device it fails, as on a GPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.numpy and isinstance(args[0], torch._subclasses.FakeTensor):
            if args[0].device.type != "cpu":
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            with torch._subclasses.fake_tensor.unset_fake_temporarily():
                return torch.zeros(args[0].shape, dtype=args[0].dtype).numpy()
        return func(*args, **(kwargs or {}))


@contextmanager
def readable():
    """A block in which fake tensors that were copied to the host can be read as arrays of zeros."""
    with ExitStack() as stack:
        stack.enter_context(_NumPy())
        yield

"""Import torchvision and transformers safely; every module that uses either imports it through this one.

The torchvision wheel on PyPI links CUDA libraries. With a CPU-only torch its import fails with `operator
torchvision::nms does not exist`, and so does the import of most transformers models, because they check whether
torchvision is installed. The remedy declares the two missing operators, gives `nms` a CPU implementation and imports
torchvision again. If torchvision imports normally, nothing is changed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from functools import cache
from types import ModuleType
from typing import Any

from featzoo.errors import MissingPackage

# Kept for the life of the process: an operator disappears with the library that declared it.
_libraries: list[Any] = []


def require(package: str, extra: str) -> ModuleType:
    """Import `package`.

    Raises:
        MissingPackage: If it is not installed; the message names the extra of featzoo that includes it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != package.split(".")[0]:
            raise
        raise MissingPackage(f"the package {package} is not installed: pip install 'featzoo[{extra}]'") from error


def check(package: str, extra: str) -> None:
    """Fail early if `package` is missing, without the cost of importing it.

    Raises:
        MissingPackage: If it is not installed.
    """
    if not installed(package):
        raise MissingPackage(f"the package {package} is not installed: pip install 'featzoo[{extra}]'")


def installed(package: str) -> bool:
    """Whether `package` could be imported, without importing it."""
    return package in sys.modules or importlib.util.find_spec(package) is not None


@cache
def torchvision_module() -> ModuleType:
    """Import torchvision, with the remedy if it is needed.

    Raises:
        MissingPackage: If torchvision is not installed.
    """
    require("torch", "resnet50")
    try:
        return require("torchvision", "resnet50")
    except RuntimeError as error:
        if "nms" not in str(error):
            raise
    for name in [m for m in sys.modules if m == "torchvision" or m.startswith("torchvision.")]:
        del sys.modules[name]
    _declare_operators()
    module = importlib.import_module("torchvision")
    # torchvision refuses to run operators if its C++ library did not load; these are now declared.
    importlib.import_module("torchvision.ops.boxes").__dict__["_assert_has_ops"] = lambda: None
    return module


def torchvision_is_remedied() -> bool:
    """Whether `import torchvision` fails here in programs that lack the remedy.

    Raises:
        MissingPackage: If torchvision is not installed.
    """
    torchvision_module()
    return bool(_libraries)


@cache
def transformers_module() -> ModuleType:
    """Import transformers after torchvision, without progress bars or advice on stderr.

    Raises:
        MissingPackage: If transformers is not installed.
    """
    require("torch", "bert")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if installed("torchvision"):
        torchvision_module()
    transformers = require("transformers", "bert")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    _libraries.append(library)


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Non-maximum suppression on the CPU, for use when torchvision's operators did not load.

    Args:
        boxes: (N, 4) tensor of x1, y1, x2, y2.
        scores: (N,) tensor.
        iou_threshold: A box is dropped if its overlap with a better one exceeds this.

    Returns:
        Indices of the kept boxes, best first.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    keep = []
    while order.numel():
        best, order = order[0], order[1:]
        keep.append(best)
        low = torch.maximum(boxes[best, :2], boxes[order, :2])
        high = torch.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)  # (N,)
        order = order[shared <= iou_threshold * (area[best] + area[order] - shared)]
    return torch.stack(keep) if keep else torch.empty(0, dtype=torch.int64)

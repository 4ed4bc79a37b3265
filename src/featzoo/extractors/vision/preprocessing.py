"""Preprocesses images for a transformers vision model according to its preprocessor_config.json.

transformers' own image processors are not used, because they resize with torchvision if that is installed, and with
Pillow otherwise, to different grey levels. This module always resizes with Pillow, which CLIP was trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import InvalidOption, MissingWeights
from featzoo.extractors.precision import Precision, placed
from featzoo.extractors.vision.batches import Preparation
from featzoo.sequence import Array
from featzoo.weights.imports import check, require, transformers_module
from featzoo.weights.locate import WEIGHT_FILES, folder_digest, locate, read_settings

PREPROCESSOR = "preprocessor_config.json"
# Settings that would change pictures in ways that this module does not support.
UNKNOWN = (
    "do_pad",
    "do_flip_channel_order",
    "do_color_quantize",
    "do_reduce_labels",
    "do_thumbnail",
    "do_align_long_axis",
)


class Habits(NamedTuple):
    """A model kind's defaults for missing settings.

    Attributes:
        cut: Whether it crops the centre after resizing.
        square: Whether a single number gives both sides (otherwise the shorter one).
        resample: Pillow's number of the interpolation: 2 bilinear, 3 bicubic.
    """

    cut: bool
    square: bool
    resample: int


class Fit(NamedTuple):
    """Resizes and crops an image; picklable and comparable.

    Attributes:
        shorter: Length of the shorter side; None if `size` is given.
        size: (height, width) for any shape of image; None if `shorter` is given or nothing is resized.
        crop: (height, width) of the centre; None does not crop.
        resample: Pillow's number.
    """

    shorter: int | None
    size: tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: int

    def __call__(self, image: Array) -> Any:
        """(H, W, 3) uint8 to a tensor (3, h, w) uint8."""
        import torch
        from PIL import Image

        picture = Image.fromarray(image)
        height, width = self.resized(*image.shape[:2])
        if (height, width) != image.shape[:2]:
            picture = picture.resize((width, height), Image.Resampling(self.resample))
        if self.crop is not None:
            top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
            picture = picture.crop((left, top, left + self.crop[1], top + self.crop[0]))
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()  # (3, h, w)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after resizing; the longer side is rounded down."""
        if self.shorter is None:
            return self.size or (height, width)
        if height <= width:
            return self.shorter, int(self.shorter * width / height)
        return int(self.shorter * height / width), self.shorter

    @property
    def given(self) -> tuple[int, int] | None:
        """Height and width of the result; None if they depend on the image."""
        return self.crop or self.size


def preparation(settings: Mapping[str, Any], habits: Habits, model: str) -> Preparation:
    """The preprocessing for some settings.

    Args:
        settings: The content of preprocessor_config.json.
        habits: The model kind's defaults.
        model: Its name, for error messages.

    Raises:
        InvalidOption: If a setting is not supported.
    """
    odd = [name for name in UNKNOWN if settings.get(name)]
    if odd:
        raise InvalidOption(f"{model}: {PREPROCESSOR} asks for {', '.join(odd)}, which featzoo does not support")
    if settings.get("do_normalize", True) and not {"image_mean", "image_std"} <= settings.keys():
        raise InvalidOption(f"{model}: {PREPROCESSOR} gives no image_mean and image_std")
    size = settings.get("size") if settings.get("do_resize", True) else {}
    crop = settings.get("crop_size") if settings.get("do_center_crop", habits.cut) else None
    shorter, sides = _size(size, habits.square, model)
    cut = None if crop is None else _size(crop, True, model)[1]
    smallest = min(sides or (shorter or 0, shorter or 0))
    if cut is not None and size != {} and max(cut) > smallest:
        raise InvalidOption(f"{model}: {PREPROCESSOR} cuts {cut} out of pictures resized to {size}, which are smaller")
    fit = Fit(shorter, sides, cut, int(settings.get("resample", habits.resample)))
    if fit.given is None:
        raise InvalidOption(f"{model}: {PREPROCESSOR} makes pictures of any size, which cannot share a batch")
    scale = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
    if not settings.get("do_normalize", True):
        return Preparation(fit.__call__, fit.given, scale, (0.0,) * 3, (1.0,) * 3)
    return Preparation(fit.__call__, fit.given, scale, tuple(settings["image_mean"]), tuple(settings["image_std"]))


def _size(size: Any, square: bool, model: str) -> tuple[int | None, tuple[int, int] | None]:
    """Shorter side, or height and width; neither if nothing is resized."""
    if size == {}:
        return None, None
    if isinstance(size, int):
        return (None, (size, size)) if square else (size, None)
    if isinstance(size, Mapping) and set(size) == {"shortest_edge"}:
        return int(size["shortest_edge"]), None
    if isinstance(size, Mapping) and set(size) == {"height", "width"}:
        return None, (int(size["height"]), int(size["width"]))
    raise InvalidOption(
        f"{model}: {PREPROCESSOR} gives a size of {size}; height and width or shortest_edge was expected"
    )


class Demands(NamedTuple):
    """Requirements of an extractor for its model.

    Attributes:
        kinds: Allowed values of `model_type`, of complete models and of separate vision parts.
        layers: Requested hidden states.
        habits: Defaults for missing settings.
    """

    kinds: tuple[str, ...]
    layers: tuple[int, ...]
    habits: Habits


def check_model(model: str, extractor: str, demands: Demands) -> None:
    """Raise an error early if the packages or the model are missing, or the model does not meet the requirements.

    Raises:
        MissingPackage: If a package is not installed.
        MissingWeights: If the model is not on this machine.
        InvalidOption: If it is of another kind, lacks a layer, or contradicts its own settings.
    """
    for package in ("torch", "transformers", "PIL"):
        check(package, "vision")
    config = read_settings(model, extractor, "config.json")
    kind = config.get("model_type", "")
    if kind not in demands.kinds:
        raise InvalidOption(f"{extractor}: {model} is a model of type '{kind}', not {' or '.join(demands.kinds)}")
    vision = config.get("vision_config", config)
    depth, side = int(vision.get("num_hidden_layers", 12)), int(vision.get("image_size", 224))
    for layer in demands.layers:
        if not -depth - 1 <= layer <= depth:
            raise InvalidOption(f"{extractor}: {model} has hidden states 0 to {depth}, not {layer}")
    size = preparation(read_settings(model, extractor, PREPROCESSOR), demands.habits, model).size
    if size != (side, side):
        raise InvalidOption(f"{extractor}: {model} sees {side} x {side} pixels, but {PREPROCESSOR} gives {size}")


def model_digests(model: str, extractor: str) -> dict[str, str]:
    """SHA-256 of the weights and of the preprocessing."""
    folder = locate(model, extractor)
    return {"weights": folder_digest(folder, WEIGHT_FILES), "preprocessor": folder_digest(folder, (PREPROCESSOR,))}


def loaded(kind: str, folder: Path, device: str, precision: Precision, **settings: int) -> Any:
    """A model in eval mode.

    Args:
        kind: Its class in transformers.
        folder: The model's folder.
        device: The model's device.
        precision: The model's precision.
        settings: Replace those in its config.json.

    Raises:
        MissingWeights: If the weights cannot be read or are incomplete.
    """
    require("torch", "vision")
    transformers = transformers_module()
    try:
        model, found = getattr(transformers, kind).from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True, **settings
        )
    except (OSError, RuntimeError) as error:
        raise MissingWeights(f"no weights of {kind} in {folder}: {error}") from error
    if found["missing_keys"]:  # transformers would initialise them randomly
        names = sorted(found["missing_keys"])
        raise MissingWeights(f"{folder} lacks {len(names)} of the weights of {kind}, {names[0]} among them")
    return placed(model, device, precision)


def averaged(found: Any, layers: tuple[int, ...]) -> Any:
    """(B, tokens, D) float32: the mean of some hidden states, counted as transformers does.

    Args:
        found: The model's output, with all hidden states.
        layers: 0 is the input of the first layer, -1 the encoder's output, after its last normalisation if it has one.
    """
    states = (*found.hidden_states[:-1], found.last_hidden_state)
    mean: Callable[..., Any] = require("torch", "vision").mean
    return mean(require("torch", "vision").stack([states[layer].float() for layer in layers]), 0)  # (B, tokens, D)

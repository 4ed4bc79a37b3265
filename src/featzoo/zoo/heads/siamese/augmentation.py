"""The Siamese paper's augmentation of frames: crops and colour changes, the same for every frame of a clip."""

from __future__ import annotations

import torch
from torch import Tensor

BLACK = 1e-8  # an image with a smaller value has no colour


def centre_crop(frames: Tensor, size: int) -> Tensor:
    """(B, T, H, W, 3) to its middle: (B, T, size, size, 3)."""
    top, left = (frames.shape[2] - size) // 2, (frames.shape[3] - size) // 2
    return frames[:, :, top : top + size, left : left + size]


def random_crop(frames: Tensor, size: int) -> Tensor:
    """(B, T, H, W, 3) to (B, T, size, size, 3), at one random place for each clip."""
    clips, _, height, width, _ = frames.shape
    top = torch.randint(height - size + 1, (clips,), device=frames.device)
    left = torch.randint(width - size + 1, (clips,), device=frames.device)
    step = torch.arange(size, device=frames.device)
    rows, columns = top[:, None] + step, left[:, None] + step  # (B, size) each
    clip = torch.arange(clips, device=frames.device)[:, None, None]
    cut = frames[clip, :, rows[:, :, None], columns[:, None, :]]  # (B, size, size, T, 3)
    return cut.permute(0, 3, 1, 2, 4)  # (B, T, size, size, 3)


def augment(frames: Tensor) -> Tensor:
    """Flip and recolour: each change with probability 1/2, and the same for every frame of a clip.

    Args:
        frames: (B, T, H, W, 3) in [0, 1].

    Returns:
        The same shape, in [0, 1].

    Reference:
        Fodor et al., arXiv 2405.03846, section 4.1: horizontal flip; hue by up to 0.15 of the circle and brightness by
        up to 0.2, added; saturation and contrast by 0.8 to 1.2, multiplied.

    Differences:
        The paper does not say whether the changes are drawn together: here each is drawn independently, in this order.
        Colours change in HSV and contrast about each picture's mean, as TensorFlow's functions do it.
    """
    frames = torch.where(_half(frames), frames.flip(3), frames)  # (B, T, H, W, 3)
    hue, saturation, value = to_hsv(frames)
    hue = (hue + _drawn(frames, -0.15, 0.15, 0.0)[..., 0]) % 1.0
    saturation = (saturation * _drawn(frames, 0.8, 1.2, 1.0)[..., 0]).clamp(0.0, 1.0)
    frames = from_hsv(hue, saturation, value) + _drawn(frames, -0.2, 0.2, 0.0)
    mean = frames.mean(dim=(2, 3), keepdim=True)  # (B, T, 1, 1, 3)
    return (mean + (frames - mean) * _drawn(frames, 0.8, 1.2, 1.0)).clamp(0.0, 1.0)


def to_hsv(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(..., 3) in [0, 1] to hue, saturation and value, (...) each in [0, 1]."""
    red, green, blue = rgb.unbind(-1)
    value, lowest = rgb.amax(dim=-1), rgb.amin(dim=-1)
    spread = value - lowest
    divisor = spread.clamp(min=BLACK)
    sixth = torch.where(
        value == red,
        (green - blue) / divisor % 6,
        torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    return sixth / 6, spread / value.clamp(min=BLACK), value


def from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Hue, saturation and value, (...) each, to (..., 3)."""
    channels = []
    for offset in (5, 3, 1):
        place = (offset + 6 * hue) % 6
        channels.append(value * (1 - saturation * torch.minimum(place, 4 - place).clamp(0.0, 1.0)))
    return torch.stack(channels, dim=-1)  # (..., 3)


def _half(frames: Tensor) -> Tensor:
    """True or false with equal probability for each clip: (B, 1, 1, 1, 1)."""
    return (torch.rand(len(frames), device=frames.device) < 0.5)[:, None, None, None, None]


def _drawn(frames: Tensor, low: float, high: float, still: float) -> Tensor:
    """For each clip, with equal probability, a number between low and high or the neutral one: (B, 1, 1, 1, 1)."""
    number = low + (high - low) * torch.rand(len(frames), device=frames.device)
    return torch.where(_half(frames), number[:, None, None, None, None], still)

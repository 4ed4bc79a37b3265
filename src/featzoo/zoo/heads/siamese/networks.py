"""The networks of the Siamese cross-modal model, one for each modality, with vectors of the same width."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from featzoo.weights.imports import torchvision_module
from featzoo.zoo.head import Padded
from featzoo.zoo.heads.siamese.augmentation import augment, centre_crop, random_crop
from featzoo.zoo.nn.layers import masked_average
from featzoo.zoo.nn.recurrent import run_recurrent

LAYERS = {"resnet50": (3, 4, 6, 3), "resnet18": (2, 2, 2, 2), "resnet10": (1, 1, 1, 1)}


def dense(*widths: int, last: bool = True) -> nn.Sequential:
    """Linear layers from each width to the next, with a ReLU after each (after the last only if `last`)."""
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(inputs, outputs))
        if last or index < len(widths) - 2:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class AudioNetwork(nn.Module):
    """Two dense layers on the mean of a clip's rows: functionals are one row.

    Args:
        inputs: Width of a row.
        outputs: Width Q of the vector; the layer between is of 4 Q.
        limits: Whether values are clipped to [0, 1], because those of dev and test may exceed the range of train.
    """

    def __init__(self, inputs: int, outputs: int, limits: bool) -> None:
        super().__init__()
        self.limits = limits
        self.dense = dense(inputs, 4 * outputs, outputs)

    def forward(self, given: Padded) -> Tensor:
        """(B, T, D) to (B, Q)."""
        out: Tensor = self.dense(masked_average(self._limited(given), given.mask))  # (B, Q)
        return out

    def read(self, given: Padded) -> tuple[Tensor, Tensor, Tensor]:
        """The clip's vector (B, Q), that of each row (B, T, Q), and which rows count (B, T)."""
        return self.forward(given), self.dense(_without_padding(self._limited(given), given.mask)), given.mask

    def _limited(self, given: Padded) -> Tensor:
        return given.values.clamp(0.0, 1.0) if self.limits else given.values


class FrameNetwork(nn.Module):
    """A ResNet from scratch on each frame, averaged over frames, then a dense layer.

    In training, crop and colours are drawn at random for each clip; otherwise the crop is the middle.

    Args:
        backbone: `resnet50`, `resnet18` or `resnet10`.
        height: Rows of a stored frame.
        width: Columns of a stored frame.
        crop: Rows and columns that the network reads.
        outputs: Width Q of the vector.
        dropout: On the average.
    """

    def __init__(self, backbone: str, height: int, width: int, crop: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.height, self.width, self.crop = height, width, crop
        self.backbone = _resnet(backbone)
        self.depth = self.backbone.fc.in_features
        self.backbone.fc = nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.dense = dense(self.depth, outputs)

    def forward(self, given: Padded) -> Tensor:
        """(B, T, height * width * 3) in 0 to 255 to (B, Q)."""
        return self._average(self._seen(given), given.mask)

    def read(self, given: Padded) -> tuple[Tensor, Tensor, Tensor]:
        """The clip's vector (B, Q), that of each frame (B, T, Q), and which frames count (B, T)."""
        seen = self._seen(given)
        return self._average(seen, given.mask), self.dense(seen), given.mask

    def _average(self, seen: Tensor, mask: Tensor) -> Tensor:
        out: Tensor = self.dense(self.dropout(masked_average(seen, mask)))  # (B, Q)
        return out

    def _seen(self, given: Padded) -> Tensor:
        """(B, T, 2048), 0 for padding; only true frames enter the batch norm."""
        clips, steps, _ = given.values.shape
        frames = given.values.view(clips, steps, self.height, self.width, 3) / 255  # (B, T, H, W, 3)
        frames = augment(random_crop(frames, self.crop)) if self.training else centre_crop(frames, self.crop)
        # Waits for the device: the batch norm must not see padding.
        at = given.mask.nonzero(as_tuple=True)  # (F,) clips and (F,) steps
        true = frames[at].permute(0, 3, 1, 2)  # (F, 3, crop, crop)
        seen = given.values.new_zeros(clips, steps, self.depth)  # (B, T, 2048)
        if len(true):
            seen = seen.index_put(at, self.backbone(2 * true - 1).to(seen.dtype))
        return seen


class FeatureNetwork(nn.Module):
    """The layers after the ResNet, on stored image features.

    Args:
        inputs: Width of a row.
        outputs: Width Q of the vector.
        dropout: On the average.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = dense(inputs, outputs)

    def forward(self, given: Padded) -> Tensor:
        """(B, T, D) to (B, Q)."""
        out: Tensor = self.dense(self.dropout(masked_average(given.values, given.mask)))  # (B, Q)
        return out

    def read(self, given: Padded) -> tuple[Tensor, Tensor, Tensor]:
        """The clip's vector (B, Q), that of each row (B, T, Q), and which rows count (B, T)."""
        return self.forward(given), self.dense(_without_padding(given.values, given.mask)), given.mask


class TextNetwork(nn.Module):
    """A bidirectional GRU over word vectors, summed with one weight for each word.

    Args:
        inputs: Width of a word vector.
        outputs: Width Q of the vector, half of it from each direction.
        dropout: On the word vectors.
        padded_to: Number of steps to which texts are padded with zeros, or cut, and which are all read; 0 reads only
            the true words.

    Reference:
        Raffel, Ellis, "Feed-forward networks with attention", 2015: e_t = tanh(w h_t + b), a = softmax(e).
    """

    def __init__(self, inputs: int, outputs: int, dropout: float, padded_to: int = 0) -> None:
        super().__init__()
        self.padded_to = padded_to
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(inputs, outputs // 2, batch_first=True, bidirectional=True)
        self.score = nn.Linear(outputs, 1)

    def forward(self, given: Padded) -> Tensor:
        """(B, T, D) to (B, Q)."""
        return self.read(given)[0]

    def read(self, given: Padded) -> tuple[Tensor, Tensor, Tensor]:
        """The text's vector (B, Q), the GRU's states (B, T, Q), and which of them count (B, T)."""
        values, mask = given.values, given.mask
        if self.padded_to:
            room = self.padded_to - values.shape[1]
            values = nn.functional.pad(values.masked_fill(~mask[:, :, None], 0.0), (0, 0, 0, room))
            mask = mask.new_ones(values.shape[0], self.padded_to)
        steps, _ = run_recurrent(self.gru, self.dropout(values), mask)  # (B, T, Q)
        score = torch.tanh(self.score(steps)).squeeze(2)  # (B, T)
        # Not -inf, because a softmax over nothing is NaN.
        weight = score.masked_fill(~mask, torch.finfo(score.dtype).min).softmax(dim=1)  # (B, T)
        return (weight[:, :, None] * steps).sum(dim=1), steps, mask


def _without_padding(values: Tensor, mask: Tensor) -> Tensor:
    """Padding may hold NaN, which would spread to the gradient of a layer's weights."""
    return values.masked_fill(~mask[:, :, None], 0.0)


def _resnet(name: str) -> Any:
    made = torchvision_module().models.resnet
    block = made.Bottleneck if name == "resnet50" else made.BasicBlock
    return made.ResNet(block, list(LAYERS[name]))

"""The relative positions of DeBERTa, which its layers share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from featzoo.errors import InvalidOption

# Kinds of encoders whose layers attend to relative positions.
RELATIVE = ("deberta-v2",)
NUMBERS = ("relative_attention", "position_buckets", "max_relative_positions")


class RelativePositions(nn.Module):
    """The embeddings of relative positions, and which of them each pair of tokens has.

    Args:
        encoder: The encoder of a transformers `DebertaV2Model` (DeBERTa V2 and V3).

    Raises:
        InvalidOption: If its first layer is followed by a convolution, as in DeBERTa V2 xlarge.

    Reference:
        He, Liu, Gao, Chen: DeBERTa: Decoding-enhanced BERT with Disentangled Attention, ICLR 2021.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        if encoder.conv is not None:
            raise InvalidOption("heads do not run DeBERTa V2 xlarge and xxlarge, which have a convolution: use V3")
        # Under their own names, so that a saved encoder is one of transformers.
        self.rel_embeddings: nn.Module = encoder.rel_embeddings
        if "layer_norm" in encoder.norm_rel_ebd:
            self.LayerNorm: nn.Module = encoder.LayerNorm
        # Its method and the numbers that this reads, without the encoder, whose layers would be copied along.
        self._positions_of = type(encoder).get_rel_pos
        self._numbers = SimpleNamespace(**{name: getattr(encoder, name) for name in NUMBERS})

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        """What a layer gets besides (B, T, H): who attends to whom (B, 1, T, T), no query, positions, embeddings."""
        embedded: Tensor = self.rel_embeddings.weight  # type: ignore[assignment]  # (P, H)
        if hasattr(self, "LayerNorm"):
            embedded = self.LayerNorm(embedded)
        pairs = (mask[:, None, :] & mask[:, :, None])[:, None]  # (B, 1, T, T)
        return pairs, None, self._positions_of(self._numbers, hidden), embedded

"""A BERT-architecture encoder that learns with the head, one vector for each text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.encoder import pretrained, untrained
from featzoo.zoo.head import InputSpec, Padded, Role, groups
from featzoo.zoo.layers import masked_average

CONFIG = "encoder.json"
ROLES = {
    "text": Role("token ids of the transcript, special tokens included", ids=True),
    "audio": Role("a sequence of what is heard"),
    "vision": Role("a sequence of what is seen"),
}


class TextEncoder(nn.Module):
    """Token ids to one vector, the encoder being fine-tuned.

    Args:
        head: The head's name, for error texts.
        text: Which model's tokenizer made the ids.
        assets: What `assets` gave when the head was trained; None where it is made for training.
        pooling: What stands for the text: its first token (`cls`) or the mean of its tokens.
        frozen_layers: Embeddings and this many first layers do not learn; -1 trains everything.

    Raises:
        InvalidOption: If the set of ids names no model, or the model is not of BERT architecture.
        MissingWeights: If its weights are not on this machine.
    """

    def __init__(
        self, head: str, text: InputSpec, assets: Mapping[str, str] | None, pooling: str, frozen_layers: int
    ) -> None:
        super().__init__()
        if assets is None and not text.model:
            raise InvalidOption(f"head {head}: the set of token ids does not say which model's tokenizer made it")
        self.encoder = pretrained(text.model) if assets is None else untrained(assets[CONFIG])
        self.pooling = pooling
        if frozen_layers >= 0:
            self.encoder.freeze(frozen_layers)

    @property
    def width(self) -> int:
        """Width H of the vector."""
        return self.encoder.width

    def forward(self, text: Padded) -> Tensor:
        """(B, T) ids to (B, H); 0 for a clip without text.

        Raises:
            InvalidOption: If a text is longer than the encoder reads.
        """
        if text.values.shape[1] > self.encoder.longest:
            raise InvalidOption(
                f"a text of {text.values.shape[1]} tokens; the encoder has positions for "
                f"{self.encoder.longest}: lower inputs.text.max_steps"
            )
        embedded = self.encoder.embed(text.values)  # (B, T, H)
        states = self.encoder.run(embedded, text.mask, 0, len(self.encoder.layers))[-1]  # (B, T, H)
        if self.pooling == "mean":
            return masked_average(states, text.mask)  # (B, H)
        return states[:, 0] * text.mask[:, :1].to(states.dtype)  # (B, H)

    def assets(self) -> dict[str, str]:
        """The encoder's configuration, so that a trained run loads without the original weights."""
        return {CONFIG: self.encoder.config_text()}


def encoder_groups(
    head: nn.Module, encoder: nn.Module, lr: Mapping[str, float], **others: nn.Module
) -> list[dict[str, Any]]:
    """Optimiser groups of what learns in a head: `encoder`, `others` by name, and `main`, the rest.

    Raises:
        InvalidOption: If a rate is missing or nothing uses it.
    """
    named = {"encoder": encoder, **others}
    inside = {name: [p for p in module.parameters() if p.requires_grad] for name, module in named.items()}
    known = {id(p) for params in inside.values() for p in params}
    main = [p for p in head.parameters() if p.requires_grad and id(p) not in known]
    return groups({"main": main, **inside}, lr)

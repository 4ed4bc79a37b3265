"""A BERT-architecture encoder whose layers a head may run in parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from featzoo.backends import transformers_module
from featzoo.errors import InvalidOption
from featzoo.weights import TOKENIZER_FILES, locate
from featzoo.zoo.records import write, write_weights


class SplitEncoder(nn.Module):
    """BERT's embeddings and layers, callable from any layer to any other.

    Args:
        bert: A transformers `BertModel`.
    """

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.config = bert.config
        self.embeddings: nn.Module = bert.embeddings
        self.layers: nn.ModuleList = bert.encoder.layer

    @property
    def width(self) -> int:
        """Width H of a hidden state."""
        return int(self.config.hidden_size)

    @property
    def longest(self) -> int:
        """The most tokens that it has positions for."""
        return int(self.config.max_position_embeddings)

    def embed(self, ids: Tensor) -> Tensor:
        """(B, T) token ids to (B, T, H)."""
        embedded: Tensor = self.embeddings(input_ids=ids)
        return embedded

    def run(self, hidden: Tensor, mask: Tensor, first: int, last: int) -> list[Tensor]:
        """Run layers `first` up to, not including, `last`.

        Args:
            hidden: (B, T, H).
            mask: (B, T) bool, the positions that may be attended to.
            first: Index of the first layer, from 0.
            last: One past the last.

        Returns:
            Each layer's (B, T, H).
        """
        # Additive and finite: a clip without a single token gives numbers (masked later), not NaN.
        bias = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device)
        bias = bias.masked_fill(~mask, torch.finfo(hidden.dtype).min)[:, None, None, :]  # (B, 1, 1, T)
        states = []
        for layer in list(self.layers)[first:last]:
            out = layer(hidden, bias)
            hidden = out if isinstance(out, Tensor) else out[0]  # transformers 4 gives a tuple
            states.append(hidden)
        return states

    def reset(self, first: int) -> None:
        """Give the layers from `first` on fresh random weights, as BERT's own initialisation does."""
        for module in list(self.layers)[first:]:
            for part in module.modules():
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=self.config.initializer_range)
                    nn.init.zeros_(part.bias)
                elif isinstance(part, nn.LayerNorm):
                    nn.init.ones_(part.weight)
                    nn.init.zeros_(part.bias)

    def freeze(self, layers: int) -> None:
        """Stop the embeddings and the first `layers` layers from learning."""
        for module in [self.embeddings, *list(self.layers)[:layers]]:
            module.requires_grad_(False)

    def save(self, folder: Path, model: str) -> None:
        """Write it as a transformers BERT, with a copy of its tokenizer.

        Args:
            folder: Made if it is not there.
            model: Whose tokenizer made the token ids.

        Raises:
            MissingWeights: If that model is not on this machine.
        """
        names = {"embeddings": self.embeddings, "encoder.layer": self.layers}
        state = {f"{name}.{key}": value for name, part in names.items() for key, value in part.state_dict().items()}
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "config.json", self.config_text())
        write_weights(folder / "model.safetensors", state)
        source = locate(model)
        for file in sorted({path for pattern in TOKENIZER_FILES for path in source.glob(pattern)}):
            write(folder / file.name, file.read_bytes())

    def config_text(self) -> str:
        """The configuration as JSON, enough to build an encoder of this shape."""
        return json.dumps(self.config.to_diff_dict(), indent=2, sort_keys=True, default=str) + "\n"


def pretrained(model: str) -> SplitEncoder:
    """The encoder whose tokenizer made a set of token ids, with its weights.

    Args:
        model: A folder, `all-MiniLM-L6-v2`, or a hub name that is in the local cache.

    Raises:
        MissingWeights: If its weights are not on this machine.
        InvalidOption: If it is not of BERT architecture.
    """
    transformers = transformers_module()
    folder = locate(model)
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    if config.model_type != "bert":
        raise InvalidOption(f"'{model}' is a {config.model_type} model; this head splits encoders of type bert")
    bert = transformers.BertModel.from_pretrained(
        folder, add_pooling_layer=False, local_files_only=True, attn_implementation="sdpa"
    )
    return SplitEncoder(bert.float())


def untrained(config_text: str) -> SplitEncoder:
    """An encoder of the given shape with random weights, to be filled from a run folder."""
    transformers = transformers_module()
    config = transformers.BertConfig.from_dict(json.loads(config_text))
    config._attn_implementation = "sdpa"
    return SplitEncoder(transformers.BertModel(config, add_pooling_layer=False))

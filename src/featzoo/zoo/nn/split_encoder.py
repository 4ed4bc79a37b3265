"""An encoder of BERT's architecture (BERT, RoBERTa, XLM-R, DeBERTa) whose layers a head may run in parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from featzoo.durable import write
from featzoo.errors import InvalidOption
from featzoo.weights.imports import transformers_module
from featzoo.weights.locate import TOKENIZER_FILES, locate
from featzoo.zoo.files import write_weights
from featzoo.zoo.nn.relative_positions import RELATIVE, RelativePositions
from featzoo.zoo.recipe import Training

# model_type of config.json to the name of transformers' classes; all have BERT's layers.
KINDS = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "deberta-v2": "DebertaV2"}
# Those that number positions from 0; RoBERTa numbers them from one past the padding token's id.
FROM_ZERO = ("bert", "deberta-v2")


_Run = Callable[..., Tensor]


def _run(layer: nn.Module, hidden: Tensor, *context: Tensor | None) -> Tensor:
    out = layer(hidden, *context)  # (B, T, H)
    return out if isinstance(out, Tensor) else out[0]  # transformers 4 gives a tuple


class SplitEncoder(nn.Module):
    """BERT's embeddings and layers, callable from any layer to any other.

    Args:
        bert: A transformers `BertModel`, `RobertaModel`, `XLMRobertaModel` or `DebertaV2Model`.

    Attributes:
        frozen: Number of first layers that are frozen; -1 if the embeddings are trained too.
        recompute: Whether layers keep only their inputs in training and compute the rest again for gradients: the
            same numbers, less memory, more time.
        compiled: Runs a layer in training; None if nothing is compiled.
        relative: Relative positions, which all layers share; None for encoders without.
    """

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.config = bert.config
        self.embeddings: nn.Module = bert.embeddings
        self.layers: nn.ModuleList = bert.encoder.layer
        self.relative = RelativePositions(bert.encoder) if bert.config.model_type in RELATIVE else None
        self.frozen = -1
        self.recompute = False
        self.compiled: _Run | None = None

    @property
    def width(self) -> int:
        """Width H of a hidden state."""
        return int(self.config.hidden_size)

    @property
    def longest(self) -> int:
        """The maximum number of tokens for which it has positions."""
        counted_from = 0 if self.config.model_type in FROM_ZERO else int(self.config.pad_token_id) + 1
        return int(self.config.max_position_embeddings) - counted_from

    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids to the input of the first layer.

        Args:
            ids: (B, T), with any value for padding.
            mask: (B, T) bool, the true tokens.

        Returns:
            (B, T, H).
        """
        # RoBERTa's positions count the tokens that are not padding, and 0 is a special token (<s>).
        padded = ids.masked_fill(~mask, int(self.config.pad_token_id or 0))
        embedded: Tensor = self.embeddings(input_ids=padded)
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
        # Additive and finite, so that a clip without tokens gives numbers (masked later), not NaN.
        bias = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device)
        bias = bias.masked_fill(~mask, torch.finfo(hidden.dtype).min)[:, None, None, :]  # (B, 1, 1, T)
        context = (bias,) if self.relative is None else self.relative(hidden, mask)
        states = []
        learning = self.training and torch.is_grad_enabled()
        call = self.compiled if self.compiled and learning else _run
        for layer in list(self.layers)[first:last]:
            if self.recompute and learning:
                # Dropout is drawn again from the same state of the generator, which gives the same gradients.
                hidden = checkpoint(call, layer, hidden, *context, use_reentrant=False)
            else:
                hidden = call(layer, hidden, *context)
            states.append(hidden)
        return states

    def compile_layers(self, wanted: bool) -> None:
        """Compile a layer's computation in training, once for all layers and lengths, or stop using it."""
        self.compiled = torch.compile(_run, dynamic=True) if wanted else None

    def train(self, mode: bool = True) -> SplitEncoder:
        """Training mode for trained layers only: frozen layers have no dropout, so their outputs can be kept."""
        super().train(mode)
        if self.frozen >= 0:
            for module in self._first(self.frozen):
                module.eval()
        return self

    def _first(self, layers: int) -> list[nn.Module]:
        """What the first layers consist of, and what they read."""
        shared = [] if self.relative is None else [self.relative]
        return [self.embeddings, *shared, *list(self.layers)[:layers]]

    def cls_attention(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """The attention of the last layer's first token, averaged over heads, without disabling the fused kernels.

        Args:
            hidden: (B, T, H), the input of the last layer.
            mask: (B, T) bool, the positions that may be attended to.

        Returns:
            (B, T), with sum 1 in each row, without the dropout that the layer itself applies in training.

        Raises:
            InvalidOption: If the attention also depends on relative positions.
        """
        if self.relative is not None:
            raise InvalidOption("the attention of DeBERTa's first token is not available: use BERT, RoBERTa or XLM-R")
        layer: Any = self.layers[-1]
        own = layer.attention.self
        heads = int(self.config.num_attention_heads)
        query = own.query(hidden[:, 0]).unflatten(1, (heads, -1))  # (B, A, H / A)
        # q . (W h + b) = (W^T q) . h + q . b: one vector per head is applied to every token, and the constant cancels.
        asked = torch.einsum("bad,adh->bah", query, own.key.weight.unflatten(0, (heads, -1)))  # (B, A, H)
        scores = asked @ hidden.transpose(1, 2) * query.shape[-1] ** -0.5  # (B, A, T)
        scores = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)
        shares: Tensor = scores.softmax(dim=-1).mean(dim=1)  # (B, T)
        return shares

    def reset(self, first: int) -> None:
        """Give the layers from `first` on new random weights with BERT's own initialisation."""
        for module in list(self.layers)[first:]:
            for part in module.modules():
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=self.config.initializer_range)
                    nn.init.zeros_(part.bias)
                elif isinstance(part, nn.LayerNorm):
                    nn.init.ones_(part.weight)
                    nn.init.zeros_(part.bias)

    def shorten(self, layers: int) -> None:
        """Keep the first `layers` layers.

        Raises:
            InvalidOption: If it has fewer.
        """
        if layers > len(self.layers):
            raise InvalidOption(f"layers = {layers}: the encoder has {len(self.layers)}")
        self.layers = self.layers[:layers]
        self.config.num_hidden_layers = layers

    def freeze(self, layers: int) -> None:
        """Freeze the embeddings and the first `layers` layers."""
        self.frozen = min(layers, len(self.layers))
        for module in self._first(layers):
            module.requires_grad_(False)
        self.train(self.training)

    def save(self, folder: Path, model: str) -> None:
        """Write it as a transformers model, with a copy of its tokenizer.

        Args:
            folder: The folder; created if missing.
            model: The model whose tokenizer made the token ids.

        Raises:
            MissingWeights: If that model is not on this machine.
        """
        names: dict[str, nn.Module] = {"embeddings": self.embeddings, "encoder.layer": self.layers}
        names |= {} if self.relative is None else {"encoder": self.relative}
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
    if config.model_type not in KINDS:
        raise InvalidOption(f"'{model}' is a {config.model_type} model; heads run encoders of type {', '.join(KINDS)}")
    relative = config.model_type in RELATIVE
    how = {"attn_implementation": "eager"} if relative else {"attn_implementation": "sdpa", "add_pooling_layer": False}
    made = getattr(transformers, f"{KINDS[config.model_type]}Model")
    return SplitEncoder(made.from_pretrained(folder, local_files_only=True, **how).float())


def untrained(config_text: str) -> SplitEncoder:
    """An encoder of the given shape with random weights, to be filled from a run folder."""
    transformers = transformers_module()
    settings = json.loads(config_text)
    kind = KINDS[settings.get("model_type", "bert")]
    config = getattr(transformers, f"{kind}Config").from_dict(settings)
    relative = config.model_type in RELATIVE
    config._attn_implementation = "eager" if relative else "sdpa"
    made = getattr(transformers, f"{kind}Model")
    return SplitEncoder(made(config) if relative else made(config, add_pooling_layer=False))


def set_up_encoders(head: nn.Module, settings: Training, device: torch.device) -> None:
    """Apply the settings to the layers of a head's encoders; evaluation does not change.

    Raises:
        InvalidOption: If the head has no encoder, or torch cannot compile here.
    """
    encoders = [module for module in head.modules() if isinstance(module, SplitEncoder)]
    for name in ("gradient_checkpointing", "compile"):
        if getattr(settings, name) and not encoders:
            raise InvalidOption(f"training.{name} = true: this head trains no encoder; set it to false")
    if settings.compile:
        _try_compiler(device)
    for encoder in encoders:
        encoder.recompute = settings.gradient_checkpointing
        encoder.compile_layers(settings.compile)


def _try_compiler(device: torch.device) -> None:
    """Compile a small function, so that missing tools are reported before training and not at its first step.

    Raises:
        InvalidOption: If it cannot be compiled.
    """
    try:
        torch.compile(torch.sin)(torch.zeros(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InvalidOption(
            f"training.compile: torch {torch.__version__} cannot compile for {device.type} here ({said}): "
            "install a C++ compiler (on a GPU, Triton too), or set training.compile=false"
        ) from error

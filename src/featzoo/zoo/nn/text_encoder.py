"""A BERT-architecture encoder that is fine-tuned with the head, with one vector for each text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Head, Inputs, Padded, Role, groups
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.layers import masked_average
from featzoo.zoo.nn.split_encoder import pretrained, untrained
from featzoo.zoo.nn.text_windows import Folded, folded, framed, single

CONFIG = "encoder.json"
ROLES = {
    "text": Role("token ids of the transcript, including special tokens", ids=True),
    "audio": Role("a sequence of audio features"),
    "vision": Role("a sequence of vision features"),
}


class TextEncoder(nn.Module):
    """Token ids to one vector, by an encoder that is fine-tuned.

    Args:
        head: The head's name, for error messages.
        text: The token ids' spec, which names the model of their tokenizer.
        assets: The result of `assets` when the head was trained; None for a head that will be trained.
        pooling: The vector of the text: that of its first token (`cls`) or the mean of its tokens.
        frozen_layers: Embeddings and this many first layers are frozen; -1 trains everything.
        window: Tokens that are read at once, including special tokens; the vector of a longer text is the mean over its
            windows. 0 reads every text at once.
        drawn: Number of windows of a text in a training step, drawn at random; 0 reads all.
        layers: Number of the encoder's first layers that are used; 0 uses all.

    Raises:
        InvalidOption: If the set of ids names no model, the model is not of BERT architecture, or it has too few
            positions or layers.
        MissingWeights: If its weights are not on this machine.
    """

    def __init__(
        self,
        head: str,
        text: InputSpec,
        assets: Mapping[str, str] | None,
        pooling: str,
        frozen_layers: int,
        window: int = 0,
        drawn: int = 0,
        layers: int = 0,
    ) -> None:
        super().__init__()
        if assets is None and not text.model:
            raise InvalidOption(f"head {head}: the set of token ids does not say which model's tokenizer made it")
        self.encoder = pretrained(text.model) if assets is None else untrained(assets[CONFIG])
        self.pooling, self.window, self.drawn = pooling, window, drawn
        if window > self.encoder.longest:
            raise InvalidOption(
                f"head {head}: window = {window}; the encoder has positions for {self.encoder.longest} tokens"
            )
        if layers:
            self.encoder.shorten(layers)
        if frozen_layers >= 0:
            self.encoder.freeze(frozen_layers)

    @property
    def width(self) -> int:
        """Width H of the vector."""
        return self.encoder.width

    def forward(self, text: Padded) -> Tensor:
        """(B, T) ids, or the result of `distil` for them, to (B, H); 0 for a clip without text.

        Raises:
            InvalidOption: If a text is longer than the encoder reads.
        """
        if text.values.is_floating_point() and self._kept_whole():
            return text.values[:, 0].masked_fill(~text.mask[:, :1], 0.0)  # (B, H)
        if not self.window:
            return self.pooled(self.states(text)[-1], text.mask)
        read = self.windows(text)
        return read.average(self.pooled(self.states(read.text)[-1], read.text.mask))

    def windows(self, text: Padded) -> Folded:
        """The windows of (B, T) ids, or of the result of `distil` for them; in training a random choice of them."""
        text = text if text.values.is_floating_point() else framed(text, self.window)
        return folded(text, self.window, self.drawn if self.training else 0)

    def distil(self, text: Padded) -> Padded | None:
        """The frozen layers' output for (B, T) ids, which `forward` accepts instead; None if no layer is frozen.

        It is one step, the vector of the text, if everything is frozen and no windows are drawn.
        """
        frozen = self.encoder.frozen
        if frozen < 0:
            return None
        if self._kept_whole():
            there = text.mask[:, :1]  # (B, 1)
            vector = self(text)[:, None]  # (B, 1, H)
            return Padded(vector, there, there[:, :, None].expand(vector.shape))
        read = self.windows(text) if self.window else single(text)
        return read.unfolded(self.states(read.text, frozen)[-1])

    def distilled(self, inputs: Inputs) -> Inputs | None:
        """For `Head.distil`: the inputs, with `text` replaced by its `distil`; None if no layer is frozen."""
        kept = self.distil(inputs["text"])
        return None if kept is None else {**inputs, "text": kept}

    def _kept_whole(self) -> bool:
        return self.encoder.frozen == len(self.encoder.layers) and not self.drawn

    def states(self, text: Padded, last: int | None = None) -> list[Tensor]:
        """(B, T) ids to the (B, T, H) of the embeddings and of each layer, or those from the frozen ones on.

        Args:
            text: Ids; or the frozen layers' output for them, the first of the states.
            last: One past the last layer; None for all.

        Raises:
            InvalidOption: If a text is longer than the encoder reads.
        """
        last = len(self.encoder.layers) if last is None else last
        if text.values.is_floating_point():
            return [text.values, *self.encoder.run(text.values, text.mask, self.encoder.frozen, last)]
        if text.values.shape[1] > self.encoder.longest:
            raise InvalidOption(
                f"a text of {text.values.shape[1]} tokens; the encoder has positions for "
                f"{self.encoder.longest}: lower inputs.text.max_steps"
            )
        embedded = self.encoder.embed(text.values, text.mask)  # (B, T, H)
        return [embedded, *self.encoder.run(embedded, text.mask, 0, last)]

    def pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        """A layer's (B, T, H) to (B, H); 0 for a clip without text."""
        if self.pooling == "mean":
            return masked_average(states, mask)  # (B, H)
        return states[:, 0].masked_fill(~mask[:, :1], 0.0)  # (B, H)

    def assets(self) -> dict[str, str]:
        """The encoder's configuration, so that a trained run loads without the original weights."""
        return {CONFIG: self.encoder.config_text()}


class EncoderHead(Head):
    """A head with a text encoder that is fine-tuned at a separate learning rate.

    A subclass makes the attribute that `encoder_name` names, a `TextEncoder`.
    """

    encoder_name: ClassVar[str] = "encoder"

    @property
    def text_encoder(self) -> TextEncoder:
        """The encoder."""
        encoder: TextEncoder = getattr(self, self.encoder_name)
        return encoder

    def rated_parts(self) -> dict[str, nn.Module]:
        """Other parts with a separate learning rate, by its name."""
        return {}

    def distil(self, inputs: Inputs) -> Inputs | None:
        """The text after the encoder's frozen layers."""
        return self.text_encoder.distilled(inputs)

    def parameter_groups(self, stage: str, lr: Mapping[str, float]) -> list[dict[str, Any]]:
        """`encoder`, the `rated_parts` by their names, and `main`, the rest.

        Raises:
            InvalidOption: If a rate is missing or nothing uses it.
        """
        named = {"encoder": self.text_encoder, **self.rated_parts()}
        inside = {name: [p for p in module.parameters() if p.requires_grad] for name, module in named.items()}
        known = {id(p) for params in inside.values() for p in params}
        main = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        return groups({"main": main, **inside}, lr)

    def assets(self) -> dict[str, str]:
        """The encoder's configuration, so that a trained run loads without the original weights."""
        return self.text_encoder.assets()


class TextHead(EncoderHead):
    """A head that reads only texts; a run saves its encoder in the folder `encoder` in transformers' format.

    A subclass makes `text`.
    """

    roles: ClassVar[Mapping[str, Role]] = {"text": ROLES["text"]}
    encoder_name: ClassVar[str] = "text"
    text: TextEncoder

    def export(self, folder: Path) -> None:
        """The encoder and its tokenizer as a transformers model, in `folder/encoder`."""
        self.text.encoder.save(folder / "encoder", self.specs["text"].model)

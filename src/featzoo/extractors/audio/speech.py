"""HuBERT, WavLM and wav2vec 2.0: hidden states of self-supervised speech encoders, through transformers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np

from featzoo.errors import InvalidOption, MissingWeights
from featzoo.extractors.audio.speech_pieces import Piece, convolutions, cut
from featzoo.extractors.contract import UNKEYED, UNLESS_DEFAULT, ModelExtractor
from featzoo.extractors.precision import Precision, placed
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check, transformers_module
from featzoo.weights.locate import WEIGHT_FILES, folder_digest, locate, read_settings

PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class SpeechModel(ModelExtractor):
    """A transformer over raw sound, from a folder or the hub; subclasses define `load` and `encode`.

    Attributes:
        model: A local folder or a hub name that is in the local cache; with its preprocessor_config.json.
    """

    modality = "audio"
    reads = ("audio",)
    extra = "speech"

    model: str = field(default="", metadata=UNKEYED)

    def digests(self) -> dict[str, str]:
        """Digests of the weights and of the preprocessing of sound."""
        folder = locate(self.model, self.name)
        return {
            "weights": folder_digest(folder, WEIGHT_FILES),
            "preprocessor": folder_digest(folder, (PREPROCESSOR,)),
        }

    def provenance(self) -> dict[str, Any]:
        """The name of the model."""
        return {"model": self.model}


@dataclass(frozen=True)
class Speech(SpeechModel):
    """Hidden states of a transformer over raw sound, (T, D) at 50 Hz for the base models.

    A row every 20 ms, each from 25 ms of sound before the transformer's own context. `pool=mean` gives one row
    per clip, `dtype=float16` half the space, as for every extractor.

    Attributes:
        model: A local folder or a hub name that is in the local cache; with its preprocessor_config.json.
        layers: Hidden states to average; 0 is the input of the first layer, -1 the encoder's output.
        layer_weights: Instead of the average, use a sum with these weights, one for each of `layers`,
            used unchanged (apply a softmax first for weights as in SUPERB).
        window_seconds: Longer clips are cut into equal windows of at most this length.
        context_seconds: Sound that a window sees on either side and whose frames are dropped.
        channel: The `mix` of all channels (stereo: their mean; surround sound: as ffmpeg mixes it), the `first`, or the
            number of one, from 1.
        precision: The network's precision: fp32, or bf16 or fp16 (much faster on GPUs).
        batch_seconds: Sound per forward pass, padding included; does not change the features.

    Reference:
        Hsu et al., "HuBERT", TASLP 2021; Chen et al., "WavLM", JSTSP 2022; Baevski et al., "wav2vec 2.0",
        NeurIPS 2020; weighted layers: Yang et al., "SUPERB", Interspeech 2021.

    Differences:
        Sound is normalised (if preprocessor_config.json requires it) over the whole clip, before it is
        cut. The features of a clip of more than `window_seconds` differ from those of a single pass: windows
        attend only to themselves and their context, and models with group normalisation (all base
        models) normalise each window by itself. Such models were trained without attention masks, and
        padding would change their features: only clips of equal length share a batch. The samples after
        the last whole frame reach no frame, except through the group normalisation.
    """

    version = 2
    window = 3000  # frames: a minute of sound
    model_type: ClassVar[str] = ""

    layers: tuple[int, ...] = (-1,)
    layer_weights: tuple[float, ...] = ()
    window_seconds: float = 30.0
    context_seconds: float = 1.0
    channel: Channel = "mix"
    precision: Precision = field(default="fp32", metadata=UNLESS_DEFAULT)
    batch_seconds: float = field(default=32.0, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("layers must name at least one layer")
        if self.layer_weights and len(self.layer_weights) != len(self.layers):
            raise ValueError(f"{len(self.layers)} layers but {len(self.layer_weights)} layer_weights")
        if not np.isfinite(self.layer_weights).all():
            raise ValueError("layer_weights must be finite")
        if self.window_seconds < 1 or self.context_seconds < 0 or self.batch_seconds <= 0:
            raise ValueError("window_seconds must be >= 1, context_seconds >= 0 and batch_seconds > 0")

    def prepare(self) -> None:
        """Check the packages, that the model is on this machine, is of this kind, and has the requested layers."""
        check("torch", self.extra)
        check("transformers", self.extra)
        config = read_settings(self.model, self.name, "config.json")
        kind = config.get("model_type", "")
        if kind != self.model_type:
            raise InvalidOption(f"{self.label}: {self.model} is a model of type '{kind}', not '{self.model_type}'")
        if config.get("add_adapter"):
            raise InvalidOption(f"{self.label}: {self.model} ends in an adapter, which changes the frame rate")
        depth = int(config.get("num_hidden_layers", 12))
        for layer in self.layers:
            if not -depth - 1 <= layer <= depth:
                raise InvalidOption(f"{self.label}: {self.model} has hidden states 0 to {depth}, not {layer}")
        self.digests()

    def load(self, clip: Clip) -> Iterator[Piece]:
        """Resample, normalise and cut the clip's sound: one sample per window.

        Raises:
            ClipError: With reason `too-short`, if no frame fits (25 ms).
        """
        preprocessor = read_settings(self.model, self.name, PREPROCESSOR)
        config = read_settings(self.model, self.name, "config.json")
        sound = clip.audio(channel=self.channel)
        yield from cut(sound, preprocessor, config, self.window_seconds, self.context_seconds)

    def encode(self, samples: Sequence[Piece], device: str = "cpu") -> list[FeatureSequence]:
        """One sequence for each sample; a batch may hold several samples, which does not change the features."""
        config = read_settings(self.model, self.name, "config.json")
        # A mask does not undo what batch normalisation adds to padding.
        padded = config.get("feat_extract_norm", "group") == "layer" and not config.get("conv_pos_batch_norm")
        limit = self.batch_seconds * int(read_settings(self.model, self.name, PREPROCESSOR).get("sampling_rate", 16000))
        found: dict[int, FeatureSequence] = {}
        for chosen in _batches([len(piece.samples) for piece in samples], limit, padded):
            batch = [samples[number] for number in chosen]
            for number, piece, hidden in zip(chosen, batch, self._hidden(batch, device), strict=True):
                kept = hidden[piece.first : piece.last].copy()  # (T, D)
                names = tuple(f"hidden_{i}" for i in range(kept.shape[1]))
                found[number] = FeatureSequence(kept, piece.intervals, names)
        return [found[number] for number in range(len(samples))]

    def _hidden(self, batch: Sequence[Piece], device: str) -> list[Array]:
        """(T, D) of each piece, the chosen layers averaged or summed by their weights."""
        import torch

        lengths = [len(piece.samples) for piece in batch]
        sound = torch.zeros(len(batch), max(lengths))  # (B, N)
        mask = torch.zeros(len(batch), max(lengths), dtype=torch.int64)  # (B, N)
        for row, piece in enumerate(batch):
            sound[row, : lengths[row]] = torch.from_numpy(piece.samples)
            mask[row, : lengths[row]] = 1
        encoder = _encoder(self.model, self.name, device, self.precision, self.digests()["weights"])
        masks = {"attention_mask": mask.to(device)} if min(lengths) < max(lengths) else {}
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")  # WavLM's own two masks
            found = encoder(sound.to(device, encoder.dtype), **masks, output_hidden_states=True)
            # transformers 4 and 5 differ in whether the last of hidden_states has had the final norm.
            states = (*found.hidden_states[:-1], found.last_hidden_state)
            weights = self.layer_weights or (1 / len(self.layers),) * len(self.layers)
            mixed = sum(weight * states[layer] for weight, layer in zip(weights, self.layers, strict=True))  # (B, T, D)
        frames = convolutions(read_settings(self.model, self.name, "config.json")).frames
        return [rows[: frames(n)] for rows, n in zip(mixed.float().cpu().numpy(), lengths, strict=True)]


@dataclass(frozen=True)
class Hubert(Speech):
    """HuBERT; see `Speech` for the options.

    Reference:
        Hsu et al., "HuBERT", TASLP 2021.

    Differences:
        The same as those of `Speech`.
    """

    name = "hubert"
    licence = "facebook/hubert-base-ls960: Apache-2.0"
    model_type = "hubert"

    model: str = field(default="facebook/hubert-base-ls960", metadata=UNKEYED)


@dataclass(frozen=True)
class WavLM(Speech):
    """WavLM; see `Speech` for the options.

    Reference:
        Chen et al., "WavLM", IEEE JSTSP 2022.

    Differences:
        The same as those of `Speech`.
    """

    name = "wavlm"
    licence = "microsoft/wavlm-base-plus: CC BY-SA 3.0"
    model_type = "wavlm"

    model: str = field(default="microsoft/wavlm-base-plus", metadata=UNKEYED)


@dataclass(frozen=True)
class Wav2Vec2(Speech):
    """wav2vec 2.0; see `Speech` for the options.

    Reference:
        Baevski et al., "wav2vec 2.0", NeurIPS 2020.

    Differences:
        The same as those of `Speech`.
    """

    name = "wav2vec2"
    licence = "facebook/wav2vec2-base: Apache-2.0"
    model_type = "wav2vec2"

    model: str = field(default="facebook/wav2vec2-base", metadata=UNKEYED)


def _batches(lengths: Sequence[int], limit: float, padded: bool) -> Iterator[list[int]]:
    """Numbers of pieces that share a forward pass, sorted by length.

    Args:
        lengths: Samples of each piece.
        limit: Samples of a batch, padding included; a longer piece goes alone.
        padded: Whether pieces of unequal length may share one.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        full = (len(batch) + 1) * lengths[number] > limit
        if batch and (full or (not padded and lengths[batch[0]] != lengths[number])):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


@cache
def _encoder(model: str, extractor: str, device: str, precision: Precision, _digest: str) -> Any:
    """The encoder in eval mode, loaded once per process unless its files change."""
    folder = locate(model, extractor)
    try:
        encoder = transformers_module().AutoModel.from_pretrained(str(folder), local_files_only=True)
    except OSError as error:
        raise MissingWeights(f"no weights of '{model}' in {folder}: {error}") from error
    return placed(encoder, device, precision)

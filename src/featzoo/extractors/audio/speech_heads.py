"""Speech encoders with a trained head: speaker embeddings, and arousal, dominance and valence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from featzoo.errors import InvalidOption, MissingWeights
from featzoo.extractors.audio.speech import PREPROCESSOR, SpeechModel
from featzoo.extractors.audio.speech_pieces import Piece, cut
from featzoo.extractors.contract import UNKEYED
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence
from featzoo.weights.imports import check, transformers_module
from featzoo.weights.locate import locate, read_settings


@dataclass(frozen=True)
class SpeechHead(SpeechModel):
    """One vector for each window of sound, from an encoder and the head that was trained with it.

    Attributes:
        model: A local folder or a hub name that is in the local cache; with its preprocessor_config.json.
        window_seconds: Longer clips are cut into equal windows of at most this length, with a row each.
        channel: The `mix` of all channels, the `first`, or the number of one, from 1.
    """

    usual = ()
    window = 500  # rows that are gathered across clips
    model_types: ClassVar[tuple[str, ...]] = ()

    window_seconds: float = 30.0
    channel: Channel = "mix"

    def __post_init__(self) -> None:
        if self.window_seconds < 1:
            raise ValueError(f"window_seconds must be at least 1; got {self.window_seconds:g}")

    def prepare(self) -> None:
        """Check the packages, and that the model is on this machine and of this kind."""
        check("torch", self.extra)
        check("transformers", self.extra)
        kind = read_settings(self.model, self.name, "config.json").get("model_type", "")
        if kind not in self.model_types:
            wanted = " or ".join(self.model_types)
            raise InvalidOption(f"{self.label}: {self.model} is a model of type '{kind}', not {wanted}")
        read_settings(self.model, self.name, PREPROCESSOR)
        self.digests()

    def load(self, clip: Clip) -> Iterator[Piece]:
        """Resample, normalise and cut the clip's sound: one sample per window.

        Raises:
            ClipError: With reason `too-short`, if no frame fits (25 ms).
        """
        preprocessor = read_settings(self.model, self.name, PREPROCESSOR)
        config = read_settings(self.model, self.name, "config.json")
        yield from cut(clip.audio(channel=self.channel), preprocessor, config, self.window_seconds, 0.0)

    def encode(self, samples: Sequence[Piece], device: str = "cpu") -> list[FeatureSequence]:
        """One row for each sample; each passes alone, because padding would change it."""
        import torch

        run, found = self.network(device), []
        for piece in samples:
            with torch.inference_mode():
                row = run(torch.from_numpy(piece.samples)[None].to(device)).float().cpu().numpy()  # (1, D)
            interval = np.array([[piece.intervals[0, 0], piece.intervals[-1, 1]]])
            found.append(FeatureSequence(row, interval, self.names(row.shape[1])))
        return found

    @abstractmethod
    def network(self, device: str) -> Any:
        """A function from (1, N) samples to the (1, D) result."""

    @abstractmethod
    def names(self, width: int) -> tuple[str, ...]:
        """The D columns."""


@dataclass(frozen=True)
class Speaker(SpeechHead):
    """A speaker embedding, (1, D) for each window; D is 512 for the default model.

    Embeddings of one speaker have a high cosine. They show which clips have the same speaker, and how much of a
    label's prediction is the speaker.

    Attributes:
        model: A WavLM or wav2vec 2.0 with an x-vector head (`WavLMForXVector`).

    Reference:
        Snyder et al., "X-Vectors", ICASSP 2018; Chen et al., "WavLM", IEEE JSTSP 2022.

    Differences:
        The embedding is not scaled to length one.
    """

    name = "speaker"
    licence = "microsoft/wavlm-base-plus-sv: CC BY-SA 3.0"
    model_types = ("wavlm", "wav2vec2")

    model: str = field(default="microsoft/wavlm-base-plus-sv", metadata=UNKEYED)

    def network(self, device: str) -> Any:
        """The model's embeddings."""
        model = _xvector(self.model, self.name, device, self.digests()["weights"])
        return lambda samples: model(samples).embeddings

    def names(self, width: int) -> tuple[str, ...]:
        """`embedding_0` and so on."""
        return tuple(f"embedding_{number}" for number in range(width))


@dataclass(frozen=True)
class SpeechDimensions(SpeechHead):
    """Arousal, dominance and valence of speech, about 0 to 1, (1, 3) for each window.

    Attributes:
        model: audEERING's wav2vec 2.0, or a model with the same head: the mean of the last hidden states, a layer with
            tanh, and a linear layer, as `classifier.dense` and `classifier.out_proj`.

    Reference:
        Wagner et al., "Dawn of the Transformer Era in Speech Emotion Recognition", TPAMI 2023.

    Differences:
        Clips of more than `window_seconds` have a row for each window.
    """

    name = "speech-dimensions"
    licence = "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim: CC BY-NC-SA 4.0"
    model_types = ("wav2vec2",)

    model: str = field(default="audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim", metadata=UNKEYED)

    def network(self, device: str) -> Any:
        """The encoder and the head of regression."""
        import torch.nn.functional as F

        encoder, head = _regression(self.model, self.name, device, self.digests()["weights"])

        def run(samples: Any) -> Any:
            pooled = encoder(samples).last_hidden_state.mean(dim=1)  # (1, D)
            hidden = F.linear(pooled, head["dense.weight"], head["dense.bias"]).tanh()
            return F.linear(hidden, head["out_proj.weight"], head["out_proj.bias"])  # (1, 3)

        return run

    def names(self, width: int) -> tuple[str, ...]:
        """The model's own names of its outputs, as in its `id2label`."""
        labels = read_settings(self.model, self.name, "config.json").get("id2label", {})
        return tuple(str(labels.get(str(number), f"dimension_{number}")) for number in range(width))


@cache
def _xvector(model: str, extractor: str, device: str, _digest: str) -> Any:
    """The model in evaluation mode, loaded once per process unless its files change."""
    folder = locate(model, extractor)
    try:
        found, info = transformers_module().AutoModelForAudioXVector.from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True
        )
    except OSError as error:
        raise MissingWeights(f"no weights of '{model}' in {folder}: {error}") from error
    if info["missing_keys"]:
        raise InvalidOption(f"{model} has no x-vector head: its weights lack {sorted(info['missing_keys'])[0]}")
    return found.eval().to(device)


@cache
def _regression(model: str, extractor: str, device: str, _digest: str) -> tuple[Any, Mapping[str, Any]]:
    """The encoder in evaluation mode and the tensors of the head, loaded once per process unless its files change."""
    folder = locate(model, extractor)
    try:
        encoder = transformers_module().Wav2Vec2Model.from_pretrained(str(folder), local_files_only=True)
    except OSError as error:
        raise MissingWeights(f"no weights of '{model}' in {folder}: {error}") from error
    tensors = _tensors(folder)
    names = ("dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias")
    for name in names:
        if f"classifier.{name}" not in tensors:
            raise InvalidOption(f"{model} has no head of regression: its weights lack classifier.{name}")
    return encoder.eval().to(device), {name: tensors[f"classifier.{name}"].float().to(device) for name in names}


def _tensors(folder: Path) -> Mapping[str, Any]:
    """The tensors of a model's file, read without running code from it."""
    import torch

    place = folder / "model.safetensors"
    if place.is_file():
        from safetensors.torch import load_file

        stored: Mapping[str, Any] = load_file(place)
        return stored
    found: Mapping[str, Any] = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return found

"""Whisper's encoder: hidden states of a speech recogniser, through transformers or CTranslate2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import ClipError, InvalidOption, MissingWeights
from featzoo.extractors.audio.speech import PREPROCESSOR, Speech
from featzoo.extractors.audio.whisper_ctranslate2 import FILES, encoder, is_ctranslate2, mel_bins
from featzoo.extractors.contract import UNKEYED
from featzoo.media.audio import resample
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check, transformers_module
from featzoo.weights.locate import folder_digest, locate, read_settings

# Whisper's own: sound of 30 s at 16 kHz, a spectrum every 10 ms, a hidden state every 20 ms.
RATE, HOP, INPUT_SECONDS = 16000, 320, 30.0


class Window(NamedTuple):
    """The log-mel spectrum of a part of a clip, with context on both sides.

    Attributes:
        mel: (M, 3000) float32, padded to 30 s.
        first: Number of context rows at the start.
        last: Row at which the context at the end, or the padding, begins.
        intervals: (T, 2) seconds of the kept rows.
    """

    mel: Array
    first: int
    last: int
    intervals: Array

    def __len__(self) -> int:
        return len(self.intervals)


@dataclass(frozen=True)
class Whisper(Speech):
    """Hidden states of Whisper's encoder, (T, D) at 50 Hz; D is 512 for the base model.

    Row k stands for [20 k, 20 k + 20] ms; before the transformer's own context it sees 65 ms around 20 k ms. The
    options are those of `Speech`, except that a window and its context must fit into Whisper's 30 s.

    Attributes:
        model: A local folder or a hub name that is in the local cache, for transformers with its
            preprocessor_config.json, or in CTranslate2's format (Systran/faster-whisper-base); the latter gives only
            the encoder's output.
        window_seconds: Longer clips are cut into equal windows of at most this length.

    Reference:
        Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023.

    Differences:
        As in Whisper, sound is padded with silence to 30 s, and the spectrum's floor is 80 dB below its maximum in
        these 30 s. Rows of the padding are left out. Longer clips are cut into windows with context on both sides,
        while Whisper moves to where its decoder stopped.
    """

    name = "whisper"
    version = 1
    licence = "openai/whisper-base: Apache-2.0"
    model_type = "whisper"

    model: str = field(default="openai/whisper-base", metadata=UNKEYED)
    window_seconds: float = 28.0
    batch_seconds: float = field(default=240.0, metadata=UNKEYED)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window_seconds + 2 * self.context_seconds > INPUT_SECONDS:
            raise ValueError(
                f"window_seconds + 2 context_seconds must be at most {INPUT_SECONDS:g}, Whisper's input; got "
                f"{self.window_seconds:g} + 2 x {self.context_seconds:g}"
            )

    def prepare(self) -> None:
        """Check the packages, that the model is on this machine, is Whisper, and has the requested layers."""
        check("transformers", self.extra)
        if is_ctranslate2(locate(self.model, self.name)):
            check("ctranslate2", "asr")
            if self.layers != (-1,) or self.layer_weights:
                raise InvalidOption(f"{self.label}: {self.model} is in CTranslate2's format, which gives layer -1 only")
            self.digests()
            return
        check("torch", self.extra)
        config = read_settings(self.model, self.name, "config.json")
        if config.get("model_type") != self.model_type:
            raise InvalidOption(
                f"{self.label}: {self.model} is a model of type '{config.get('model_type')}', not whisper"
            )
        depth = int(config.get("encoder_layers", 6))
        for layer in self.layers:
            if not -depth - 1 <= layer <= depth:
                raise InvalidOption(f"{self.label}: {self.model} has hidden states 0 to {depth}, not {layer}")
        read_settings(self.model, self.name, PREPROCESSOR)
        self.digests()

    def digests(self) -> dict[str, str]:
        """Digests of the weights and of the preprocessing of sound."""
        folder = locate(self.model, self.name)
        return {"weights": folder_digest(folder, FILES)} if is_ctranslate2(folder) else super().digests()

    def load(self, clip: Clip) -> Iterator[Any]:
        """Resample and cut the clip's sound, and compute log-mel spectra: one sample per window.

        Raises:
            ClipError: With reason `too-short`, if the sound is shorter than a row (20 ms).
        """
        sound = clip.audio(channel=self.channel)
        seconds = sound.samples.shape[1] / sound.rate
        if seconds * RATE < HOP:
            raise ClipError("too-short", f"{seconds:.3f} s of sound; one row is {HOP / RATE} s")
        samples = resample(sound, RATE).samples[0]  # (N,)
        edges = np.arange(ceil(len(samples) / HOP) + 1) * HOP / RATE
        intervals = np.minimum(np.stack([edges[:-1], edges[1:]], axis=1), seconds)  # (T, 2)
        total, context = len(intervals), round(self.context_seconds * RATE / HOP)
        windows = ceil(total / round(self.window_seconds * RATE / HOP))
        spectrum = _spectrum(self.model, self.name, str(self.digests()))
        for start, end in pairwise(np.linspace(0, total, windows + 1).round().astype(int).tolist()):
            first, last = max(0, start - context), min(total, end + context)
            part = samples[first * HOP : last * HOP]
            mel = spectrum(part, sampling_rate=RATE, return_tensors="np").input_features[0]  # (M, 3000)
            yield Window(mel.astype(np.float32), start - first, end - first, intervals[start:end])

    def encode(self, samples: Sequence[Any], device: str = "cpu") -> list[FeatureSequence]:
        """One sequence for each window; a batch may hold several windows, which does not change the features."""
        at_once = max(1, int(self.batch_seconds / INPUT_SECONDS))
        found = []
        for at in range(0, len(samples), at_once):
            batch = samples[at : at + at_once]
            states = self._states(np.stack([window.mel for window in batch]), device)  # (B, 1500, D)
            for window, rows in zip(batch, states, strict=True):
                names = tuple(f"hidden_{i}" for i in range(rows.shape[1]))
                found.append(FeatureSequence(rows[window.first : window.last].copy(), window.intervals, names))
        return found

    def _states(self, mel: Array, device: str) -> Array:
        """(B, 1500, D), the chosen layers averaged or summed by their weights, of (B, M, 3000) spectra."""
        weights_digest, folder = self.digests()["weights"], locate(self.model, self.name)
        if is_ctranslate2(folder):
            return encoder(folder, device, weights_digest)(mel)
        import torch

        with torch.inference_mode():
            given = _encoder(self.model, self.name, device, weights_digest)(
                torch.from_numpy(mel).to(device), output_hidden_states=True
            )
            # transformers 4 and 5 differ in whether the last of hidden_states has had the final norm.
            states = (*given.hidden_states[:-1], given.last_hidden_state)
            weights = self.layer_weights or (1 / len(self.layers),) * len(self.layers)
            mixed = sum(weight * states[layer] for weight, layer in zip(weights, self.layers, strict=True))
            rows: Array = mixed.float().cpu().numpy()
        return rows


@cache
def _spectrum(model: str, extractor: str, _digest: str) -> Any:
    """transformers' own log-mel spectrum, with the model's settings."""
    folder, kind = locate(model, extractor), transformers_module().WhisperFeatureExtractor
    if is_ctranslate2(folder):  # its other settings are the same for all models
        return kind(feature_size=mel_bins(folder, folder_digest(folder, FILES)))
    return kind.from_pretrained(str(folder))


@cache
def _encoder(model: str, extractor: str, device: str, _digest: str) -> Any:
    """The encoder in eval mode, loaded once per process unless its files change."""
    folder = locate(model, extractor)
    try:
        whole = transformers_module().WhisperModel.from_pretrained(str(folder), local_files_only=True)
    except OSError as error:
        raise MissingWeights(f"no weights of '{model}' in {folder}: {error}") from error
    return whole.get_encoder().eval().to(device)

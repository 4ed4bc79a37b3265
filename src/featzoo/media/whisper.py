"""Whisper, through faster-whisper: sound to words with times, and given words to their times.

Nothing here uses the network. Times are in seconds from the start of the recording.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.devices import parse_device
from featzoo.errors import ClipError, FeatzooError, InvalidOption, MissingWeights, suggestion
from featzoo.media.audio import decode_audio, resample
from featzoo.sequence import Array
from featzoo.weights.imports import check, require
from featzoo.weights.locate import folder_digest, locate
from featzoo.weights.search import is_path, places
from featzoo.wording import count

RATE = 16000
# Whisper sees half a minute at a time, and aligns no more than that.
WINDOW_SECONDS = 30.0
# faster-whisper 1.2.1 fails with an IndexError where its 20 ms steps leave nothing of a sound.
LEAST_SAMPLES = RATE // 10
# Of the decoder: 448 positions less the start, the language, the task and the end.
MOST_TOKENS = 444
SYSTRAN = ("tiny", "base", "small", "medium", "large-v1", "large-v2", "large-v3")
NAMES = {
    **{f"{size}{kind}": f"Systran/faster-whisper-{size}{kind}" for size in SYSTRAN[:4] for kind in ("", ".en")},
    **{size: f"Systran/faster-whisper-{size}" for size in SYSTRAN[4:]},
    "large": "Systran/faster-whisper-large-v3",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
}
#: What decides the words, and must be in the folder: without tokenizer.json, faster-whisper asks the network for one.
NEEDED = ("model.bin", "tokenizer.json")
FILES = (*NEEDED, "config.json", "preprocessor_config.json", "vocabulary.*")
# What CTranslate2 and faster-whisper raise on numbers, memory and devices that they cannot cope with.
BREAKDOWNS = (RuntimeError, ValueError, LookupError, MemoryError)


class Passage(NamedTuple):
    """Words that are spoken between `start` and `end` seconds of a recording; an `end` of None is its end."""

    words: tuple[str, ...]
    start: float = 0.0
    end: float | None = None


def locate_model(model: str) -> Path:
    """The folder of a Whisper model in CTranslate2's format: a name such as `base`, a repository, or a folder.

    Raises:
        MissingWeights: If it is not on this machine, or not complete; the text says how to get it.
    """
    name = NAMES.get(model, model)
    if "/" not in name and not is_path(name) and not (Path(name) / "config.json").is_file():
        raise MissingWeights(f"no Whisper model '{name}'{suggestion(name, NAMES)}; or give a folder: ./{name}")
    try:
        folder = locate(name, "")
    except MissingWeights as error:
        if is_path(name):
            raise
        looked = ", ".join(str(place.path) for place in places(name))
        raise MissingWeights(f"{error}\nLooked at {looked}") from error
    missing = [file for file in NEEDED if not (folder / file).is_file()]
    if missing:
        raise MissingWeights(
            f"{folder} has no {' and no '.join(missing)}, so it is not a Whisper model as CTranslate2 reads it. One of "
            f"transformers is converted by: ct2-transformers-converter --model {folder} --output_dir whisper-ct2 "
            "--copy_files tokenizer.json preprocessor_config.json"
        )
    return folder


class Whisper:
    """One loaded model.

    Args:
        model: A name such as `base`, a repository of the hub, or a folder.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        language: A code such as `en`; None detects it in each recording's first 30 seconds of speech.
        beam: Hypotheses that the search keeps.
        vad: Whether to leave out what Silero's detector does not take for speech. Into silence and music, Whisper
            writes words that nobody said.

    Attributes:
        name: The model's, without its place.
        device: Where it runs.
        compute: CTranslate2's type of its numbers: float16 on a GPU that has it, int8 on a CPU.

    Raises:
        MissingPackage: If faster-whisper is not installed.
        MissingWeights: If the model is not on this machine.
        InvalidOption: If it does not know the language.
        FeatzooError: If it cannot be loaded, or not there.
    """

    def __init__(
        self, model: str = "base", device: str = "auto", *, language: str | None = None, beam: int = 5, vad: bool = True
    ) -> None:
        check("faster_whisper", "asr")
        folder = locate_model(model)
        self.name = folder.name if is_path(model) or Path(model).is_dir() else NAMES.get(model, model)
        self.language, self.beam, self.vad = language, beam, vad
        self.device, self._model = _load(folder, device)
        self.compute = str(self._model.model.compute_type)
        known = self._model.supported_languages
        if language is not None and language not in known:
            which = suggestion(language, known) if len(known) > 1 else ": it knows English (en) alone"
            raise InvalidOption(f"{self.name} does not know the language '{language}'{which}")
        self._digest = folder_digest(folder, FILES)

    def transcribe(self, path: Path, tell: Callable[[float], None] = lambda _: None) -> dict[str, Any]:
        """The words of a recording, as Whisper's JSON has them.

        The same sound gives the same words on the same machine: temperature 0, nothing is drawn by chance, and no
        window is told the text of the last, so that a loop in one ends with it.

        Args:
            path: The recording.
            tell: Called with the share that is done, 0 to 1.

        Returns:
            `text`, `segments` with `words` (times within the recording), `language` (None where it was to be
            detected and nobody speaks), and `featzoo` with the model, its digest and the settings.

        Raises:
            ClipError: If it has no sound that can be decoded, or the model breaks down on it.
        """
        samples = _sound(path)
        seconds = len(samples) / RATE
        segments = []
        try:
            found, info = self._model.transcribe(
                _padded(samples), language=self.language, beam_size=self.beam, temperature=0.0, word_timestamps=True,
                condition_on_previous_text=False, vad_filter=self.vad,
            )  # fmt: skip
            for segment in found:
                segments.append(_within(asdict(segment), seconds))
                tell(min(1.0, segment.end / seconds))
        except BREAKDOWNS as error:
            raise _broken(path, error) from error
        kept = [each for each in segments if each["words"] or each["end"] > each["start"]]
        kept = [each | {"id": number} for number, each in enumerate(kept)]
        language = info.language if kept or self.language else None
        return self._document(kept, language, beam=self.beam, vad=self.vad)

    def align(self, path: Path, passages: Sequence[Passage]) -> dict[str, Any]:
        """When each of the given words is spoken: Whisper's JSON with a segment for each passage.

        Reference: the attention of the model's alignment heads and dynamic time warping, by CTranslate2's
        `Whisper.align`; 20 ms fine.

        Args:
            path: The recording.
            passages: What is said, each in at most 30 s.

        Raises:
            ClipError: With reason `too-long` for a passage of more time or words than Whisper's window; or if it has
                no sound that can be decoded, or the model breaks down on it.
        """
        samples = _sound(path)
        segments, language = [], self.language
        for number, passage in enumerate(passages):
            first = round(passage.start * RATE)
            piece = samples[first : None if passage.end is None else round(passage.end * RATE)]
            if not len(piece):
                raise ClipError("empty", f"{path.name} has no sound between {passage.start} and {passage.end} s")
            if len(piece) > WINDOW_SECONDS * RATE:
                raise ClipError(
                    "too-long",
                    f"{path.name}: words are aligned in {WINDOW_SECONDS:g} s at most, not {len(piece) / RATE:.1f} s: "
                    "name its utterances in a manifest (id,path,start,end,text)",
                )
            try:
                words, spoken = self._times(piece, passage.words)
            except BREAKDOWNS as error:
                raise _broken(path, error) from error
            language = language or spoken
            end = (first + len(piece)) / RATE
            for word in words:
                word |= {"start": word["start"] + passage.start, "end": word["end"] + passage.start}
            text = "".join(word["word"] for word in words)
            whole = {"id": number, "start": passage.start, "end": end, "text": text, "words": words}
            segments.append(_within(whole, end))
        return self._document(segments, language, aligned=True)

    def _times(self, samples: Array, words: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
        """Each word with its times in (N,) samples of one window, and the language."""
        from faster_whisper.audio import pad_or_trim
        from faster_whisper.tokenizer import Tokenizer

        model = self._model
        spectrum = model.feature_extractor(_padded(samples))  # (mels, frames + 1)
        frames = min(spectrum.shape[-1] - 1, model.feature_extractor.nb_max_frames)
        encoded = model.encode(pad_or_trim(spectrum[:, :frames]))  # (1, 1500, D)
        language = self.language or "en"
        if self.language is None and model.model.is_multilingual:
            language = model.model.detect_language(encoded)[0][0][0].strip("<|>")
        tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language)
        tokens = [tokenizer.encode(f" {word}") for word in words]
        whole = [token for each in tokens for token in each]
        if len(whole) > MOST_TOKENS:
            said = f"{len(words)} words are {len(whole)} tokens; Whisper takes {MOST_TOKENS} at a time"
            raise ClipError("too-long", f"{said}: name the utterances in a manifest (id,path,start,end,text)")
        found = model.model.align(encoded, tokenizer.sot_sequence, [whole], frames)[0]
        token, step = np.array(found.alignments).T  # (P,) each, along the path
        begins = step[np.flatnonzero(np.diff(token, prepend=-1))] / model.tokens_per_second  # (tokens + 1,)
        bounds = np.cumsum([0, *map(len, tokens)])
        spans = zip(words, bounds[:-1], bounds[1:], np.add.reduceat(found.text_token_probs, bounds[:-1]), strict=True)
        return [
            {"word": f" {word}", "start": begins[i], "end": begins[j], "probability": likely / (j - i)}
            for word, i, j, likely in spans
        ], language

    def _document(self, segments: list[dict[str, Any]], language: str | None, **settings: Any) -> dict[str, Any]:
        engine = f"faster-whisper {importlib.metadata.version('faster-whisper')}"
        made = {
            "model": self.name,
            "digest": self._digest,
            "version": importlib.metadata.version("featzoo"),
            "engine": engine,
        }
        how = {"compute": self.compute, "language": self.language, **settings}
        text = "".join(segment["text"] for segment in segments)
        return {"text": text, "segments": segments, "language": language, "featzoo": made | how}


def _load(folder: Path, device: str) -> tuple[str, Any]:
    """The device that it runs on, and faster-whisper's model."""
    whisper, engine = require("faster_whisper", "asr"), require("ctranslate2", "asr")
    import joblib

    number = engine.get_cuda_device_count()
    kind, index = parse_device(device)
    if kind == "mps":
        raise InvalidOption("device 'mps': CTranslate2, which runs Whisper, cannot use Apple GPUs; use cpu")
    if kind == "auto":
        kind = "cuda" if number else "cpu"
    if kind == "cuda" and index >= number:
        raise InvalidOption(f"no device '{device}' here: CTranslate2 sees {count(number, 'CUDA device')}; use cpu")
    chosen = f"cuda:{index}" if kind == "cuda" else kind
    offered = engine.get_supported_compute_types(kind, index)
    wanted = "float16" if kind == "cuda" else "int8"
    # Where the variable is set, the user has said how many; faster-whisper's own default is 4.
    threads = 0 if "OMP_NUM_THREADS" in os.environ else joblib.cpu_count(only_physical_cores=True)
    try:
        model = whisper.WhisperModel(
            str(folder), kind, index, wanted if wanted in offered else "float32", threads,
            local_files_only=True,
        )  # fmt: skip
        if kind == "cuda":
            # CUDA's libraries are looked for when they are first used: not in the midst of the recordings.
            model.encode(np.zeros((model.model.n_mels, 3000), np.float32))
    except BREAKDOWNS as error:
        cure = "; pip install nvidia-cublas-cu12 nvidia-cudnn-cu12, or use the device cpu" if kind == "cuda" else ""
        raise FeatzooError(f"cannot load {folder} on {chosen}: {error}{cure}") from error
    if model.model.n_mels != len(model.feature_extractor.mel_filters):
        raise MissingWeights(f"{folder} has no preprocessor_config.json that says {model.model.n_mels} mel bands")
    return chosen, model


def _sound(path: Path) -> Array:
    """(N,) float32 at 16 kHz: the average of all channels."""
    samples: Array = resample(decode_audio(path, channel="mix"), RATE).samples[0]
    return samples


def _padded(samples: Array) -> Array:
    """At least a tenth of a second: silence fills it up, as Whisper itself fills its window."""
    return np.pad(samples, (0, max(0, LEAST_SAMPLES - len(samples))))


def _within(segment: dict[str, Any], seconds: float) -> dict[str, Any]:
    """A segment of plain numbers, with no time after the recording's end: Whisper fills half a minute up."""
    segment["words"] = [_cut(word, seconds) for word in segment.get("words") or []]
    return _cut(segment, seconds)


def _cut(span: dict[str, Any], seconds: float) -> dict[str, Any]:
    start = min(max(0.0, float(span["start"])), seconds)
    times = {"start": round(start, 3), "end": round(min(max(start, float(span["end"])), seconds), 3)}
    probability = {"probability": round(float(span["probability"]), 6)} if "probability" in span else {}
    return span | times | probability


def _broken(path: Path, error: Exception) -> ClipError:
    return ClipError("transcription", f"{path.name}: the model broke down on it: {type(error).__name__}: {error}")

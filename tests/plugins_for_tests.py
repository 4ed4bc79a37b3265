"""Extractors as a plugin author would write them, some of them bad. Importable in fresh worker processes."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from featzoo.errors import ClipError
from featzoo.extractors.contract import UNKEYED, Extractor, ModelExtractor
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence
from featzoo.weights.locate import TOKENIZER_FILES, WEIGHT_FILES, folder_digest


def loudness(clip, hop=0.1):
    sound = clip.audio()
    size = max(1, round(hop * sound.rate))
    parts = [sound.samples[0, i : i + size] for i in range(0, sound.samples.shape[1], size)]
    rows = np.array([[np.sqrt(np.mean(part**2))] for part in parts], dtype=np.float32)
    edges = np.minimum(np.arange(len(parts) + 1) * size, sound.samples.shape[1]) / sound.rate
    return FeatureSequence(rows, np.stack([edges[:-1], edges[1:]], axis=1), ("rms",))


@dataclass(frozen=True)
class Loudness(Extractor):
    name = "loudness"
    modality = "audio"
    reads = ("audio",)
    hop: float = 0.1

    def extract(self, clip: Clip) -> FeatureSequence:
        return loudness(clip, self.hop)


@dataclass(frozen=True)
class Louder(Loudness):
    version = 2


@dataclass(frozen=True)
class WordLengths(Extractor):
    name = "word-lengths"
    modality = "text"
    reads = ("words",)

    def extract(self, clip: Clip) -> FeatureSequence:
        words = clip.spoken()
        rows = np.array([[len(word.text)] for word in words], dtype=np.int32)
        return FeatureSequence(rows, np.array([(word.start, word.end) for word in words]), ("letters",))


@dataclass(frozen=True)
class Trouble(Extractor):
    """Does what a clip's id says: raise, die, sleep, memory, exit, nothing, huge, wide; else loudness.

    Deaths go to `log`.
    """

    name = "trouble"
    modality = "audio"
    reads = ("audio",)
    log: str = field(default=os.devnull, metadata=UNKEYED)

    def extract(self, clip: Clip) -> FeatureSequence:
        deed = clip.id.split(".")[0]
        if deed == "raise":
            raise KeyError("a bug in a plugin")
        if deed == "die":
            with Path(self.log).open("a") as file:
                file.write("died\n")
            os._exit(1)
        if deed == "sleep":
            time.sleep(1000)
        if deed == "memory":
            raise MemoryError
        if deed == "exit":
            sys.exit(3)
        if deed == "nothing":
            return None
        if deed == "huge":
            return FeatureSequence(np.full((1, 1), 1e6, np.float32), np.zeros((1, 2)), ("rms",))
        if deed == "wide":
            return FeatureSequence(np.zeros((1, 2), np.float32), np.zeros((1, 2)), ("a", "b"))
        return loudness(clip)


@dataclass(frozen=True)
class Crashes(Loudness):
    """Ends its process as native code does, for clips called segv, abort or kill; else loudness."""

    name = "crashes"

    def extract(self, clip: Clip) -> FeatureSequence:
        ends = {"segv": signal.SIGSEGV, "abort": signal.SIGABRT, "kill": signal.SIGKILL}
        if clip.id.split(".")[0] in ends:
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), ends[clip.id.split(".")[0]])
        return loudness(clip, self.hop)


@dataclass(frozen=True)
class Moody(Extractor):
    """Fails for want of memory while the file named in MOODY is there."""

    name = "moody"
    modality = "audio"
    reads = ("audio",)

    def extract(self, clip: Clip) -> FeatureSequence:
        if Path(os.environ["MOODY"]).exists() and clip.id.startswith("b"):
            raise MemoryError
        if clip.id.startswith("die"):
            os._exit(1)
        return loudness(clip)


@dataclass(frozen=True)
class Refuses(Extractor):
    """Fails for a reason of its own: for good, or for now where the clip is called `later`."""

    name = "refuses"
    modality = "audio"
    reads = ("audio",)

    def extract(self, clip: Clip) -> FeatureSequence:
        raise ClipError("two-speakers", "it has two speakers", retry=clip.id.startswith("later"))


class Block(tuple):
    def __len__(self):
        return 1


@dataclass(frozen=True)
class Batched(ModelExtractor):
    """A model whose encode fails on the clip called bad.wav, and kills its process on die.wav."""

    name = "batched"
    modality = "audio"
    reads = ("audio",)
    window = 4

    def load(self, clip: Clip) -> Iterator[Block]:
        sequence = loudness(clip)
        half = len(sequence) // 2
        for part in (slice(0, half), slice(half, None)):
            yield Block((clip.id, sequence.features[part], sequence.intervals[part]))

    def encode(self, samples, device="cpu"):
        names = [sample[0] for sample in samples]
        if "bad.wav" in names:
            raise RuntimeError("this batch cannot be encoded")
        if "die.wav" in names:
            os._exit(1)
        return [FeatureSequence(rows, times, ("rms",)) for _, rows, times in samples]


@dataclass(frozen=True)
class FirstFrame(Extractor):
    """Reads one frame and stops; keeps its unfinished iterator alive."""

    name = "first-frame"
    modality = "vision"
    reads = ("video",)
    kept = []

    def extract(self, clip: Clip) -> FeatureSequence:
        frames = clip.frames()
        self.kept.append(frames)
        shot = next(frames)
        return FeatureSequence(shot.image.reshape(1, -1)[:, :9], np.array([[shot.start, shot.end]]), tuple("abcdefghi"))


@dataclass(frozen=True)
class Breaks(FirstFrame):
    """Fails after some frames."""

    name = "breaks"

    def extract(self, clip: Clip) -> FeatureSequence:
        frames = clip.frames()
        for _ in range(3):
            next(frames)
        raise ClipError("odd", "three were enough")


@dataclass(frozen=True)
class NeverLooks(FirstFrame):
    name = "never-looks"

    def extract(self, clip: Clip) -> FeatureSequence:
        return FeatureSequence(np.zeros((1, 1), np.float32), np.zeros((1, 2)), ("zero",))


@dataclass(frozen=True)
class Undeclared(FirstFrame):
    """Looks at pictures without saying so."""

    name = "undeclared"
    reads = ("audio",)


@dataclass(frozen=True)
class Means(Extractor):
    """The mean colour of each frame."""

    name = "means"
    modality = "vision"
    reads = ("video",)

    def extract(self, clip: Clip) -> FeatureSequence:
        shots = [(s.image.mean(axis=(0, 1)), (s.start, s.end)) for s in clip.frames()]
        return FeatureSequence(
            np.array([row for row, _ in shots], dtype=np.float32), np.array([t for _, t in shots]), tuple("rgb")
        )


@dataclass(frozen=True)
class Slow(Loudness):
    """Cheap, but long enough to be killed in."""

    name = "slow"

    def extract(self, clip: Clip) -> FeatureSequence:
        time.sleep(0.03)
        return loudness(clip, self.hop)


@dataclass(frozen=True)
class Hoards(Loudness):
    """Takes ever more memory, 8 MB at a time, for clips called hoard; else loudness."""

    name = "hoards"

    def extract(self, clip: Clip) -> FeatureSequence:
        hoard = []
        while clip.id.startswith("hoard"):
            hoard.append(np.ones(1 << 20))
            time.sleep(0.004)
        return loudness(clip, self.hop)


@dataclass(frozen=True)
class KeepsModel(Batched):
    """Writes a line to `log` whenever it loads its model, which it keeps on itself."""

    name = "keeps-model"
    log: str = field(default="", metadata=UNKEYED)

    @cached_property
    def model(self) -> float:
        with Path(self.log).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return 1.0

    def encode(self, samples, device="cpu"):
        time.sleep(0.02)
        return [FeatureSequence(rows * self.model, times, ("rms",)) for _, rows, times in samples]


@dataclass(frozen=True)
class Weighted(Loudness):
    """Has the digests of a model's files in its key, but not where they lie."""

    name = "weighted"
    folder: str = field(default="", metadata=UNKEYED)
    log: str = field(default="", metadata=UNKEYED)

    def digests(self):
        folder = Path(self.folder)
        return {
            "weights": folder_digest(folder, WEIGHT_FILES),
            "tokenizer": folder_digest(folder, TOKENIZER_FILES),
        }


@dataclass(frozen=True)
class Noting(Loudness):
    """Leaves a note with clips whose id says so."""

    name = "noting"

    def extract(self, clip: Clip) -> FeatureSequence:
        if clip.id.startswith("noted"):
            clip.notes["made-up"] = clip.id
        return loudness(clip, self.hop)


@dataclass(frozen=True)
class NotingModel(ModelExtractor):
    """The same, as a model."""

    name = "noting-model"
    modality = "audio"
    reads = ("audio",)

    def load(self, clip: Clip) -> Iterator[FeatureSequence]:
        if clip.id.startswith("noted"):
            clip.notes["made-up"] = clip.id
        yield loudness(clip)

    def encode(self, samples, device="cpu"):
        return list(samples)

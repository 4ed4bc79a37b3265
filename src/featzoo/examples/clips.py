"""Twelve clips of a drawn face that babbles, with transcripts in five formats and labels.csv."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from featzoo.examples.face import HEIGHT, WIDTH, draw
from featzoo.examples.speech import RATE, Array, Manner, Word, smooth, speak, time_words
from featzoo.examples.transcripts import cues, textgrid, whisper

SEED, FPS = 20240, 15


class Clip(NamedTuple):
    """A line of the script; `speaker` 0..3 picks the colours and, by its parity, the low or high voice."""

    split: str
    sentiment: float
    suffix: str
    speaker: int
    text: str

    def manner(self) -> Manner:
        """The happy talk faster, higher and louder, with wider accents."""
        mood = self.sentiment
        pitch = (124.0, 152.0)[self.speaker % 2] * (1 + 0.04 * mood)
        return Manner(1.0 - 0.04 * mood, pitch, 0.13 + 0.03 * mood, 0.5 + 0.05 * mood)


CLIPS = (
    Clip("train", 2.6, ".srt", 0, "I love this film, every minute is wonderful!"),
    Clip("train", -2.4, ".vtt", 1, "What a horrible mess, I hated it."),
    Clip("train", 1.2, ".TextGrid", 2, "The second half was quite good fun."),
    Clip("train", -1.4, ".json", 3, "The plot was slow and a bit dull."),
    Clip("train", 0.4, ".srt", 1, "It is a decent story about a train."),
    Clip("train", -0.6, ".TextGrid", 0, "The ending felt slightly too long."),
    Clip("valid", 2.2, ".json", 3, "Such a brilliant cast, I laughed the whole time!"),
    Clip("valid", -1.8, ".vtt", 2, "Sadly the jokes were really bad."),
    Clip("valid", 0.0, ".TextGrid", 1, "The film runs for two hours."),
    Clip("test", 1.8, ".srt", 2, "A warm and charming film, I was very happy."),
    Clip("test", -2.2, ".json", 0, "This was a terrible waste of time."),
    Clip("test", 0.0, ".txt", 3, "They filmed it in a town by the sea."),
)


def write_video(path: Path, frames: list[Image.Image], sound: Array) -> None:
    """An mp4 of H.264 at FPS and AAC of sound [N] at RATE, the same bytes on every run."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as box:
        # No B-frames and one thread: with B-frames x264's bytes varied with the length of the output's path
        video = box.add_stream("libx264", FPS, {"crf": "24", "bf": "0"}, width=WIDTH, height=HEIGHT)
        audio = box.add_stream("aac", rate=RATE, layout="mono", bit_rate=48_000)
        video.codec_context.thread_count = audio.codec_context.thread_count = 1
        for image in frames:
            box.mux(video.encode(av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")))
        box.mux(video.encode(None))
        samples = np.clip(sound, -1, 1).astype(np.float32)[None, :]  # [N] -> [1, N], one plane
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        box.mux(audio.encode(frame))  # which cuts it into AAC's own frames
        box.mux(audio.encode(None))


def make_video(
    path: Path, text: str, speaker: int, mood: float, manner: Manner, rng: np.random.Generator
) -> tuple[list[Word], float]:
    """Write a video of the drawn face that says a text; the words with their times, and the length in seconds."""
    words, track = time_words(text, manner.tempo)
    sound = speak(manner, words, track, rng)
    phase = rng.uniform(0, 2 * np.pi)
    loudness = np.sqrt(smooth(sound**2, 0.1))[:: RATE // FPS]  # [N] -> [F], one per frame
    frames = [draw(speaker, mood, wide, i / FPS, phase) for i, wide in enumerate(loudness / loudness.max())]
    write_video(path, frames, sound)
    return words, len(sound) / RATE


def _make(clip: Clip, number: int, out: Path) -> str:
    """Write one clip and its side-car into `out`; the clip's file name."""
    rng = np.random.default_rng([SEED, number])
    path = out / f"clip{number:02d}.mp4"
    words, seconds = make_video(path, clip.text, clip.speaker, clip.sentiment / 3, clip.manner(), rng)
    side_car = {
        ".srt": cues(words, "", ","),
        ".vtt": cues(words, "WEBVTT\n\n", "."),
        ".TextGrid": textgrid(words, seconds),
        ".json": whisper(clip.text, words),
        ".txt": clip.text,
    }[clip.suffix]
    path.with_suffix(clip.suffix).write_text(side_car.rstrip() + "\n", encoding="utf-8")
    return path.name


def make_clips(folder: Path) -> int:
    """Write the clips, their transcripts and labels.csv into a folder; gives the number of clips."""
    rows = [f"{_make(clip, i, folder)},{clip.split},{clip.sentiment}\n" for i, clip in enumerate(CLIPS, 1)]
    (folder / "labels.csv").write_text("id,split,sentiment\n" + "".join(rows), encoding="utf-8")
    return len(CLIPS)

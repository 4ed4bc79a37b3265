"""Recordings named SPEAKER_EMOTION_TAKE.wav, as many corpora are: six voices, four emotions, three takes."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from featzoo.examples.speech import RATE, Manner, speak, time_words

SEED = 20241
TEXTS = ("The train leaves at seven.", "I put the letter on the table.", "They will be here on Wednesday.")
PITCHES = (112.0, 118.0, 124.0, 138.0, 146.0, 154.0)  # F0 of each speaker, Hz
# Changes of tempo, pitch, accent and loudness, in the directions that studies of acted speech agree on.
EMOTIONS = {
    "anger": Manner(0.88, 1.15, 0.24, 0.80),
    "happiness": Manner(0.93, 1.20, 0.32, 0.65),
    "neutral": Manner(1.00, 1.00, 0.13, 0.50),
    "sadness": Manner(1.18, 0.94, 0.06, 0.35),
}


def make_emotions(folder: Path) -> int:
    """Write the recordings, 16 kHz mono; gives their number. Takes differ by chance as takes of one speaker do."""
    number = 0
    for speaker, pitch in enumerate(PITCHES, 1):
        for emotion, change in EMOTIONS.items():
            for take, text in enumerate(TEXTS, 1):
                rng = np.random.default_rng([SEED, number])
                tempo, height, loudness = rng.normal(1.0, (0.06, 0.05, 0.12))
                manner = Manner(
                    change.tempo * tempo, pitch * change.pitch * height, change.accent, change.loudness * loudness
                )
                words, track = time_words(text, manner.tempo)
                write_wav(folder / f"{speaker:02d}_{emotion}_{take}.wav", speak(manner, words, track, rng))
                number += 1
    return number


def write_wav(path: Path, sound: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    """Write sound (N,) in [-1, 1] as 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.int16(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())

"""A formant synthesiser: babble whose pitch, tempo and loudness follow a mood. Everything is seeded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Phone = tuple[float, float, float, tuple[int, int, int]]  # seconds, voicing, hiss (or 0) and formants in Hz
Word = tuple[str, float, float]  # a spoken word with its start and end in seconds
RATE = 16_000  # Hz
LEAD, TAIL, GAP = 0.25, 0.35, 0.045  # seconds of quiet before, after, and between words
# fmt: off
FORMANTS = {  # of vowels and sonorants, in Hz; below, where the noise of the other sounds is centred, in Hz
    "a": (700, 1250, 2500), "e": (530, 1850, 2500), "i": (400, 2000, 2550), "o": (560, 900, 2400),
    "u": (610, 1150, 2400), "y": (320, 2200, 2850), "ee": (280, 2250, 2900), "oo": (310, 880, 2250),
    "ai": (480, 2000, 2600), "ou": (640, 1000, 2400), "m": (250, 1000, 2200), "n": (250, 1500, 2400),
    "l": (360, 1100, 2600), "r": (400, 1200, 1600), "w": (300, 700, 2200),
}
HISS = {"s": 5500, "sh": 3500, "f": 6500, "h": 1500, "z": 5500, "v": 6500, "th": 6000, "j": 3500, "ch": 3500}
STOPS = {"p": 1000, "t": 4500, "k": 2200, "c": 2200, "q": 2200, "b": 900, "d": 4000, "g": 2000}
# fmt: on
BUZZING, REST = ("z", "v", "th", "j", "b", "d", "g"), (450, 1500, 2500)  # REST: a resting tongue, in Hz
GRAPHEMES = re.compile("|".join(sorted([*FORMANTS, *HISS, *STOPS], key=len, reverse=True)))


def phones(word: str) -> Iterator[Phone]:
    """The rough sounds of a word, by its spelling less silent e, doubled consonants and punctuation."""
    spelt = re.sub(r"(?<=[aeiou][^aeiou])e\b|([^aeiou])(?=\1)|[^a-z]", "", word.lower())
    for g in GRAPHEMES.findall(spelt):
        buzz = 0.3 if g in BUZZING else 0.0
        if g in FORMANTS:  # the more open the mouth, the higher the first formant and the louder the sound
            yield 0.095, 0.3 + FORMANTS[g][0] / 1000, 0.0, FORMANTS[g]
        elif g in HISS:
            yield 0.075, buzz, HISS[g], REST
        else:  # a stop is a silence and then a burst
            yield from ((0.04, buzz, 0.0, REST), (0.02, buzz, STOPS[g], REST))


@dataclass(frozen=True)
class Manner:
    """How something is said.

    Attributes:
        tempo: Length of each sound; 1 is the synthesiser's own.
        pitch: F0 in Hz; accents and a falling line are added, and the whole kept within 102 to 218 Hz.
        accent: Height of an accent as a share of F0.
        loudness: Peak of the sound, up to 1.
    """

    tempo: float
    pitch: float
    accent: float
    loudness: float


def time_words(text: str, tempo: float) -> tuple[list[Word], list[Phone]]:
    """The words with their exact times, and the sounds of the whole clip, rests included."""
    rest: Phone = (GAP * tempo, 0.0, 0.0, REST)
    track, words, now = [(LEAD, *rest[1:])], list[Word](), LEAD
    for word in text.split():
        sounds = [(phone[0] * tempo, *phone[1:]) for phone in phones(word)]
        end = now + sum(seconds for seconds, *_ in sounds)
        words.append((word, round(now, 3), round(end, 3)))
        track, now = [*track, *sounds, rest], end + rest[0]
    return words, [*track, (TAIL, *rest[1:])]


def pitch(manner: Manner, words: list[Word], size: int, rng: np.random.Generator) -> Array:
    """F0 in Hz per sample [N]: a falling line with one accent per word."""
    contour = np.linspace(1.06, 0.94, size)
    for _, start, end in words:
        span = contour[int(start * RATE) : int(end * RATE)]  # a view
        span += manner.accent * rng.uniform(0.5, 1.0) * np.hanning(len(span))
    return np.clip(manner.pitch * contour, 102.0, 218.0)


def smooth(track: Array, seconds: float) -> Array:
    """A per-sample track [N] with its steps rounded off over `seconds`, since a mouth does not jump."""
    window = np.hanning(int(seconds * RATE))
    padded = np.pad(track, (len(window) // 2, len(window) - 1 - len(window) // 2), mode="edge")
    return np.asarray(np.convolve(padded, window / window.sum(), mode="valid"))


def voiced(f0: Array, voice: Array, formants: Array, rng: np.random.Generator) -> Array:
    """The voiced sound [N]: each glottal pulse rings the formants [N, 3] and, as a glottis does, F0 [N]."""
    pulses = np.flatnonzero(np.diff(np.floor(np.cumsum(f0) / RATE)))  # [P], where a cycle ends
    level = voice[pulses] * rng.normal(1.0, 0.04, len(pulses))  # shimmer, for a perfectly even voice buzzes
    steps = np.arange(RATE // 40)  # [K], 25 ms, by which the narrowest band has died away
    seconds = np.maximum(steps - rng.normal(0.0, 0.6, (len(pulses), 1)), 0.0) / RATE  # [P, K], with jitter
    bands = np.column_stack((f0, formants))[pulses]  # [N] and [N, 3] -> [N, 4] -> [P, 4]
    sound = np.zeros(len(f0) + len(steps))
    for hertz, width, gain in zip(bands.T, (120.0, 70.0, 100.0, 150.0), (0.7, 1.0, 0.45, 0.2), strict=True):
        ringing = np.exp(-np.pi * width * seconds) * np.sin(2 * np.pi * hertz[:, None] * seconds)  # [P, K]
        np.add.at(sound, pulses[:, None] + steps, gain * level[:, None] * ringing)  # [P, K] overlap in [N]
    return sound[: len(f0)]


def speak(manner: Manner, words: list[Word], track: list[Phone], rng: np.random.Generator) -> Array:
    """The sound [N] of what `time_words` gave, in [-1, 1] at RATE Hz."""
    lengths, voices, hisses, targets = zip(*track, strict=True)
    edges = np.rint(np.cumsum([0.0, *lengths]) * RATE).astype(np.int64)
    voice = smooth(np.repeat(voices, np.diff(edges)), 0.03)
    formants = np.repeat(np.array(targets, float), np.diff(edges), axis=0)  # one row a phone -> [N, 3]
    formants = np.stack([smooth(column, 0.05) for column in formants.T], axis=1)  # 3 of [N] -> [N, 3]
    sound = voiced(pitch(manner, words, len(voice), rng), voice, formants, rng)
    for hiss, start, end in zip(hisses, edges[:-1], edges[1:], strict=True):
        if hiss:  # white noise through a bell-shaped filter
            bell = np.exp(-0.5 * ((np.fft.rfftfreq(end - start, 1 / RATE) - hiss) / 1200.0) ** 2)
            noise = np.fft.irfft(np.fft.rfft(rng.normal(size=end - start)) * bell, end - start)
            sound[start:end] += 0.2 * noise * np.hanning(end - start)
    sound *= manner.loudness / np.abs(sound).max()
    return sound + rng.normal(0.0, 0.0005, len(sound))  # a room is never quite silent

"""Make featzoo's own example clips: a drawn face, formant-synthesised babble and word-timed transcripts.

Everything is synthetic and seeded: `python examples/make_clips.py --out DIR` remakes the same files.
Sentiment s in [-3, 3] shows a little in the wording, in the pitch and tempo, and in the smile and motion.
"""

import argparse
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float64]
Phone = tuple[float, float, float, tuple[int, int, int]]  # seconds, voicing, hiss (or 0) and formants in Hz
Word = tuple[str, float, float]  # a spoken word with its start and end in seconds
SEED, RATE, FPS, WIDTH, HEIGHT = 20240, 16_000, 15, 192, 144  # RATE in Hz, FPS in frames/s, sizes in pixels
LEAD, TAIL, GAP = 0.25, 0.35, 0.045  # seconds of quiet before, after, and between words


class Clip(NamedTuple):
    """A line of the script; `speaker` 0..3 picks the colours and, by its parity, the low or high voice."""

    split: str
    sentiment: float
    suffix: str
    speaker: int
    text: str


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
SKINS = ((236, 200, 170), (198, 145, 108), (245, 214, 190), (160, 112, 84))  # RGB, one per speaker
HAIRS = ((70, 45, 30), (25, 22, 25), (190, 140, 70), (40, 30, 30))
SHIRTS = ((60, 110, 170), (150, 60, 70), (60, 140, 90), (200, 160, 60))


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


def time_words(clip: Clip) -> tuple[list[Word], list[Phone]]:
    """The words with their exact times, and the sounds of the whole clip, rests included."""
    tempo = 1.0 - 0.04 * clip.sentiment  # the happy talk faster
    rest: Phone = (GAP * tempo, 0.0, 0.0, REST)
    track, words, now = [(LEAD, *rest[1:])], list[Word](), LEAD
    for text in clip.text.split():
        sounds = [(phone[0] * tempo, *phone[1:]) for phone in phones(text)]
        end = now + sum(seconds for seconds, *_ in sounds)
        words.append((text, round(now, 3), round(end, 3)))
        track, now = [*track, *sounds, rest], end + rest[0]
    return words, [*track, (TAIL, *rest[1:])]


def pitch(clip: Clip, words: list[Word], size: int, rng: np.random.Generator) -> Array:
    """F0 in Hz per sample [N]: a falling line with one accent per word, higher and wider for the happy."""
    contour = np.linspace(1.06, 0.94, size)
    for _, start, end in words:
        span = contour[int(start * RATE) : int(end * RATE)]  # a view
        span += (0.13 + 0.03 * clip.sentiment) * rng.uniform(0.5, 1.0) * np.hanning(len(span))
    base = (124.0, 152.0)[clip.speaker % 2] * (1 + 0.04 * clip.sentiment)
    return np.clip(base * contour, 102.0, 218.0)


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


def speak(clip: Clip, words: list[Word], track: list[Phone], rng: np.random.Generator) -> Array:
    """The clip's sound [N] in [-1, 1] at RATE Hz."""
    lengths, voices, hisses, targets = zip(*track, strict=True)
    edges = np.rint(np.cumsum([0.0, *lengths]) * RATE).astype(np.int64)
    voice = smooth(np.repeat(voices, np.diff(edges)), 0.03)
    formants = np.repeat(np.array(targets, float), np.diff(edges), axis=0)  # one row a phone -> [N, 3]
    formants = np.stack([smooth(column, 0.05) for column in formants.T], axis=1)  # 3 of [N] -> [N, 3]
    sound = voiced(pitch(clip, words, len(voice), rng), voice, formants, rng)
    for hiss, start, end in zip(hisses, edges[:-1], edges[1:], strict=True):
        if hiss:  # white noise through a bell-shaped filter
            bell = np.exp(-0.5 * ((np.fft.rfftfreq(end - start, 1 / RATE) - hiss) / 1200.0) ** 2)
            noise = np.fft.irfft(np.fft.rfft(rng.normal(size=end - start)) * bell, end - start)
            sound[start:end] += 0.2 * noise * np.hanning(end - start)
    sound *= (0.5 + 0.05 * clip.sentiment) / np.abs(sound).max()
    return sound + rng.normal(0.0, 0.0005, len(sound))  # a room is never quite silent


def draw(clip: Clip, openness: float, seconds: float, phase: float) -> Image.Image:
    """One frame, WIDTH x HEIGHT pixels; drawn 3 times larger and shrunk, for soft edges."""
    mood = clip.sentiment / 3  # [-1, 1]
    image = Image.new("RGB", (3 * WIDTH, 3 * HEIGHT), (206, 212, 220))
    pen = ImageDraw.Draw(image)

    def oval(x: float, y: float, wide: float, high: float, fill: tuple[int, ...]) -> None:
        pen.ellipse([x - wide, y - high, x + wide, y + high], fill=fill)

    swing = (12 + 9 * mood) * np.sin(2 * np.pi * (0.6 + 0.2 * mood) * seconds + phase)
    x, y = 288 + swing, 198 + 7 * mood * np.sin(2 * np.pi * 1.1 * seconds + phase) - 12 * min(mood, 0)
    skin, hair = SKINS[clip.speaker], HAIRS[clip.speaker]
    shade, lip = tuple(int(0.8 * c) for c in skin), (150, 50, 60)
    oval(288 + swing / 3, 486, 198, 126, SHIRTS[clip.speaker])
    oval(288 + swing / 2, 354, 45, 51, shade)
    oval(x, y - 24, 123, 147, hair)
    oval(x, y + 12, 108, 135, skin)
    x += swing / 4  # the features lead the head a little, as in a turn
    brow, tilt = y - 40 - 6 * mood - 5 * openness, 7 * mood  # the unhappy pull their brows down and together
    lid = 1.0 if (seconds + phase) % 2.1 < 0.12 else 14.0  # a blink now and then
    for eye, side in ((x - 42, -1), (x + 42, 1)):
        pen.line([(eye - 24 * side, brow - tilt), (eye + 24 * side, brow + tilt)], hair, 8)
        oval(eye, y - 12, 21, lid, (250, 250, 250))
        oval(eye + swing / 8, y - 12, 9, 0.8 * lid, (40, 40, 60))
    pen.line([(x, y + 6), (x + 9, y + 45), (x - 9, y + 48)], shade, 5, joint="curve")
    u = np.linspace(-1, 1, 25)
    curve = y + 90 + 18 * mood * (0.5 - u**2)  # corners up for a smile: an image's y grows downwards
    across, gape = x + (42 + 6 * mood) * u, (1 - u**2) * (2 + 21 * openness)
    upper, lower = (list(zip(across, edge, strict=True)) for edge in (curve - 0.4 * gape, curve + gape))
    pen.polygon(upper + lower[::-1], fill=(70, 20, 25))
    pen.line([*upper, *lower[::-1], upper[0]], lip, 7, joint="curve")
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


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


def cues(words: list[Word], head: str, point: str) -> str:
    """SubRip or WebVTT text, one cue per word so that the times are the words' own."""
    times = [f"00:00:{a:06.3f} --> 00:00:{b:06.3f}".replace(".", point) for _, a, b in words]
    return head + "\n".join(f"{i + 1}\n{time}\n{words[i][0]}\n" for i, time in enumerate(times))


def textgrid(words: list[Word], total: float) -> str:
    """Praat's long text format: one interval tier that fills [0, total] seconds, silences as empty labels."""
    edges = [0.0, *(time for word in words for time in word[1:]), total]
    quiet = [("", a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    marks = sorted([*quiet, *words], key=lambda mark: mark[1])
    span = f"xmin = 0\nxmax = {total:.3f}\n"
    tier = f'class = "IntervalTier"\nname = "words"\n{span}intervals: size = {len(marks)}\n'
    for i, (text, start, end) in enumerate(marks, 1):
        tier += f'intervals [{i}]:\n    xmin = {start:.3f}\n    xmax = {end:.3f}\n    text = "{text}"\n'
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n{span}tiers? <exists>\nsize = 1\n'
    return f"{head}item []:\n    item [1]:\n" + "".join(f"        {row}\n" for row in tier.splitlines())


def whisper(text: str, words: list[Word]) -> str:
    """The JSON that Whisper writes with word times; its words begin with their space."""
    timed = [{"word": f" {word}", "start": start, "end": end} for word, start, end in words]
    segment = {"start": words[0][1], "end": words[-1][2], "text": f" {text}", "words": timed}
    return json.dumps({"text": f" {text}", "segments": [{"id": 0, **segment}], "language": "en"}, indent=1)


def make(clip: Clip, number: int, out: Path) -> str:
    """Write one clip and its side-car into `out`; the clip's file name."""
    rng = np.random.default_rng([SEED, number])
    words, track = time_words(clip)
    sound = speak(clip, words, track, rng)
    phase = rng.uniform(0, 2 * np.pi)
    loudness = np.sqrt(smooth(sound**2, 0.1))[:: RATE // FPS]  # [N] -> [F], one per frame
    frames = [draw(clip, wide, i / FPS, phase) for i, wide in enumerate(loudness / loudness.max())]
    write_video(path := out / f"clip{number:02d}.mp4", frames, sound)
    side_car = {
        ".srt": cues(words, "", ","),
        ".vtt": cues(words, "WEBVTT\n\n", "."),
        ".TextGrid": textgrid(words, len(sound) / RATE),
        ".json": whisper(clip.text, words),
        ".txt": clip.text,
    }[clip.suffix]
    path.with_suffix(clip.suffix).write_text(side_car.rstrip() + "\n", encoding="utf-8")
    return path.name


def main() -> None:
    """Make every clip, its transcript and labels.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "clips", metavar="DIR")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rows = [f"{make(clip, i, out)},{clip.split},{clip.sentiment}\n" for i, clip in enumerate(CLIPS, 1)]
    (out / "labels.csv").write_text("id,split,sentiment\n" + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Transcripts of known word times, in the formats that users have."""

from __future__ import annotations

import json

from featzoo.examples.speech import Word


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

"""Windows of clips along time: segments of equal length, each a clip."""

from __future__ import annotations

import math
from dataclasses import replace

from featzoo.errors import ClipError, InvalidOption
from featzoo.media.clip import Clip
from featzoo.media.container import opened
from featzoo.media.transcripts.words import cut_words

# Shorter windows hold too little for any extractor, and hops below this give thousands of rows a minute.
SHORTEST = 0.1


def check_windows(window: float, hop: float) -> None:
    """Check the length of windows and the distance between their starts, in seconds.

    Raises:
        InvalidOption: If one is too small, or the hop is longer than the window.
    """
    if not SHORTEST <= window < math.inf:
        raise InvalidOption(f"window must be at least {SHORTEST:g} s; got {window:g}")
    if not SHORTEST <= hop <= window:
        raise InvalidOption(f"hop must be at least {SHORTEST:g} s and at most the window, {window:g} s; got {hop:g}")


def seconds_of(clip: Clip) -> float:
    """How long a clip is, seconds: by its table, the header of its file, its sound, or its last word; 0 if unknown."""
    if clip.end is not None:
        return clip.end - clip.start
    if clip.path is None:
        return max((word.end for word in clip.words if not math.isnan(word.end)), default=0.0)
    try:
        with opened(clip.path) as container:
            declared = (container.duration or 0) / 1_000_000
        if declared:
            return max(0.0, declared - clip.start)
        sound = clip.audio()
    except ClipError:
        return 0.0
    return float(sound.samples.shape[1] / sound.rate)


def windows_of(clip: Clip, window: float, hop: float) -> list[Clip]:
    """The windows of a clip, in order. They cover it: the last one ends with the clip, and a short clip is one window.

    A window has the words whose middle is in it, with their times from its start; a text without times is in none.

    Args:
        clip: The clip.
        window: Length, seconds.
        hop: Between the starts of neighbours, seconds.

    Returns:
        Clips named `<id>@<start in seconds>`; none for a clip whose length is not known.
    """
    total = seconds_of(clip)
    if total <= 0:
        return []
    last = max(0.0, total - window)
    # Rounded, so that 0.1 s 30 times is 3 s, and no window starts a rounding error before the last.
    starts = [round(number * hop, 6) for number in range(math.ceil(round(last / hop, 6)))]
    return [_cut(clip, start, min(start + window, total)) for start in [*starts, round(last, 6)]]


def _cut(clip: Clip, start: float, end: float) -> Clip:
    words = cut_words(clip.words, start, end)
    name = f"{clip.id}@{start:.2f}"
    return replace(clip, id=name, start=clip.start + start, end=clip.start + end, words=words, labels={}, notes={})

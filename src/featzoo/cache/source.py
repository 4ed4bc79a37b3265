"""What a clip's features were made from: content, segment and words, never paths or dates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from featzoo.media.clip import Clip


def source_digest(clip: Clip, media: str, reads: Sequence[str]) -> str:
    """SHA-256 of what an extractor that `reads` audio, video or words is given of a clip.

    Args:
        clip: Its segment and words count.
        media: Digest of the media file's content, empty if there is none.
        reads: Any of audio, video, words.
    """
    parts: dict[str, object] = {}
    if "audio" in reads or "video" in reads:
        parts["media"] = [media, float(clip.start), None if clip.end is None else float(clip.end)]
    if "words" in reads:
        parts["words"] = [[word.text, _time(word.start), _time(word.end)] for word in clip.words]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _time(seconds: float) -> float | None:
    return None if seconds != seconds else round(seconds, 6)

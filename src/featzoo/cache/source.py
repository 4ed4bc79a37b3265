"""The digest of the inputs of a clip's features: content, segment and words, but not paths or dates."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from featzoo.extractors.contract import FILE
from featzoo.media.clip import Clip

# Spellings of special tokens in tokenizers.
MARK = re.compile(r"\[(?:CLS|SEP|MASK|PAD|UNK)\]|</?s>|<(?:pad|unk|mask)>")


def source_digest(clip: Clip, media: str, reads: Sequence[str]) -> str:
    """SHA-256 of the inputs of a clip for an extractor with these `reads`.

    Args:
        clip: The clip, with its segment, words and files.
        media: Digest of the media file's content, empty without media.
        reads: Any of audio, video, words, and `file:` with a suffix.
    """
    parts: dict[str, object] = {}
    segment = [float(clip.start), None if clip.end is None else float(clip.end)]
    if "audio" in reads or "video" in reads:
        parts["media"] = [media, *segment]
    suffixes = sorted(each.removeprefix(FILE) for each in reads if each.startswith(FILE))
    if suffixes:
        parts["files"] = [*((suffix, clip.files.get(suffix, "")) for suffix in suffixes), segment]
    if "words" in reads:
        parts["words"] = [[word.text, _time(word.start), _time(word.end)] for word in clip.words]
        # 0.1 treated these as the encoder's special tokens, so only its features of such clips are stale.
        if any(MARK.search(word.text) for word in clip.words):
            parts["marks"] = "text"
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _time(seconds: float) -> float | None:
    return None if seconds != seconds else round(seconds, 6)

"""The JSON of speech recognisers and aligners to words with the most precise times that it has.

Whisper and what is made of it (faster-whisper, WhisperX, whisper.cpp, OpenAI's API, transformers' pipeline), Deepgram,
AssemblyAI, Vosk, Amazon Transcribe, the Montreal Forced Aligner, and what looks like one of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from featzoo.errors import ClipError
from featzoo.media.transcripts.tiers import Tier, words_of_tiers
from featzoo.media.transcripts.words import Word, words_of
from featzoo.untrusted import parse_json

# From here on, scripts that write words without spaces between them.
EAST_ASIAN = "\u2e80"


class NotATranscript(ClipError):
    """JSON of something else than a recogniser."""


def read_recogniser(text: str, name: str) -> tuple[list[Word], list[str]]:
    """The words of a recogniser's JSON.

    Raises:
        NotATranscript: If it is JSON of another kind.
        ClipError: If it is not JSON, or not as its recogniser writes it.
    """
    try:
        document = parse_json(text)
    except ValueError as error:
        raise ClipError("bad-transcript", f"{name}: not JSON: {error}") from error
    try:
        words = list(_document(document, name))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
        raise ClipError("bad-transcript", f"{name}: not as a recogniser writes it ({said})") from error
    lists = [key for key, value in document.items() if isinstance(value, list) and value] if _is_text(document) else []
    unread = lists and words and all(math.isnan(word.start) for word in words)
    return words, [f"no word times: none are known in {', '.join(lists)} of the transcript"] if unread else []


def _is_text(document: Any) -> bool:
    return isinstance(document, dict) and "text" in document


def _document(document: Any, name: str) -> Iterator[Word]:
    match document:
        case {"transcription": [*passages]}:  # whisper.cpp
            yield from _whisper_cpp(passages)
        case {"results": {"channels": [*channels]}}:  # Deepgram
            yield from _deepgram(channels)
        case {"chunks": [*chunks]}:  # transformers' pipeline
            for chunk in chunks:
                start, end = chunk["timestamp"]
                yield from words_of(chunk["text"], _time(start), _time(end))
        case {"segments": [*segments]} if any(segment.get("words") for segment in segments):
            for segment in segments:
                yield from _segment(segment)
        # WhisperX's `word_segments`, OpenAI's and AssemblyAI's `words`, which may stand beside segments
        case {"word_segments": [_, *_] as words} | {"words": [_, *_] as words}:
            yield from _words(words)
        case {"segments": [_, *_] as segments}:
            for segment in segments:
                yield from _segment(segment)
        case {"result": [{"word": _}, *_] as words}:  # Vosk
            yield from _words(words)
        case {"results": {"items": [*items]}}:  # Amazon Transcribe
            yield from _amazon(items)
        case {"tiers": {**tiers}}:  # Montreal Forced Aligner
            yield from words_of_tiers(_tiers(tiers), name)
        case {"text": str(text)}:
            yield from words_of(text)
        case [{"text": _, "start": _, "end": _}, *_]:
            for segment in document:
                yield from _segment(segment)
        case [*parts] if any("result" in part for part in parts if isinstance(part, dict)):  # Vosk, one for each pause
            for part in parts:
                yield from _document(part, name)
        case {"segments": []} | {"words": []}:
            return
        case {"audio_url": _, "status": status}:  # AssemblyAI's, before it is done
            raise ClipError("bad-transcript", f"{name}: the recogniser's status is '{status}': it has no words")
        case _:
            keys = f"its keys are {', '.join(list(document)[:8])}" if isinstance(document, dict) else "it has no keys"
            raise NotATranscript("bad-transcript", f"{name}: not the JSON of a speech recogniser: {keys}")


def _segment(segment: Mapping[str, Any]) -> Iterator[Word]:
    if segment.get("words"):
        yield from _words(segment["words"])
    else:
        yield from words_of(segment["text"], _time(segment["start"]), _time(segment["end"]))


def _words(words: Sequence[Mapping[str, Any]]) -> Iterator[Word]:
    """Words called `word` or `text`, punctuated where they are so too, without sounds and spaces."""
    # AssemblyAI counts whole milliseconds, all others seconds.
    times = [word.get(key) for word in words for key in ("start", "end")]
    unit = 0.001 if all("text" in word for word in words) and all(isinstance(time, int) for time in times) else 1.0
    for word in words:
        if word.get("type") in (None, "word"):
            text = str(word.get("punctuated_word") or word["word" if "word" in word else "text"])
            yield from words_of(text, unit * _time(word.get("start")), unit * _time(word.get("end")))


def _deepgram(channels: Sequence[Mapping[str, Any]]) -> Iterator[Word]:
    """The words of all channels by time; the first alternative is the likeliest."""
    best = [channel["alternatives"][0] for channel in channels if channel["alternatives"]]
    timed = [word for each in best for word in _words(each.get("words") or [])]
    yield from sorted(timed, key=lambda word: word.start)
    if not timed:
        for each in best:
            yield from words_of(each["transcript"])


def _amazon(items: Sequence[Mapping[str, Any]]) -> Iterator[Word]:
    """Words with the marks that follow them; their times are seconds, written as text."""
    joined: list[tuple[str, float, float]] = []
    for item in items:
        content = item["alternatives"][0]["content"]
        if item["type"] == "punctuation" and joined:
            text, start, end = joined.pop()
            joined.append((text + content, start, end))
        else:
            joined.append((content, _time(item.get("start_time")), _time(item.get("end_time"))))
    for text, start, end in joined:
        yield from words_of(text, start, end)


def _tiers(tiers: Mapping[Any, Any]) -> list[Tier]:
    return [
        Tier(str(title), [(float(start), float(end), str(label)) for start, end, label in tier["entries"]])
        for title, tier in tiers.items()
    ]


def _whisper_cpp(passages: Sequence[Mapping[str, Any]]) -> Iterator[Word]:
    """Words from tokens, where they were written (`-ojf`), and from passages, which may be parts of words (`-ml 1`)."""
    pieces: list[tuple[str, float, float]] = []
    for passage in passages:
        tokens = [t for t in passage.get("tokens", []) if not t["text"].startswith(("[_", "<|"))]
        # A letter of several bytes that is cut into two tokens is lost from both.
        parts = tokens if "".join(t["text"] for t in tokens).strip() == passage["text"].strip() else [passage]
        for part in parts:
            offsets = part["offsets"]
            pieces.append((part["text"], offsets["from"] / 1000, offsets["to"] / 1000))
    spaced = any(text.startswith(" ") for text, _, _ in pieces)
    joined: list[tuple[str, float, float]] = []
    for text, start, end in pieces:
        if joined and spaced and text and not text[0].isspace() and text[0] < EAST_ASIAN:
            text, start = joined[-1][0] + text, joined.pop()[1]
        joined.append((text, start, end))
    for text, start, end in joined:
        yield from words_of(text, start, end)


def _time(seconds: float | str | None) -> float:
    return math.nan if seconds is None else float(seconds)

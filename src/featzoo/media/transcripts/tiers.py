"""Tiers of annotated recordings, as Praat and ELAN have them, and which of them hold the words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from featzoo.errors import ClipError
from featzoo.media.transcripts.words import Word, words_of

# Parts of the names of tiers.
OF_WORDS = {"word", "words", "wrd", "ort", "orthography"}
OF_UTTERANCES = {
    "ipu", "ipus", "phrase", "phrases", "sentence", "sentences", "speech", "text", "trans", "transcript",
    "transcription", "trn", "utt", "utterance", "utterances",
}  # fmt: skip
OF_NEITHER = {
    "comment", "comments", "emotion", "error", "errors", "gloss", "ipa", "kan", "lemma", "mau", "mute", "noise",
    "notes", "phon", "phone", "phoneme", "phonemes", "phones", "phonetic", "pos", "sampa", "seg", "segment",
    "segments", "syl", "syll", "syllable", "syllables", "tobi", "tone", "tones",
}  # fmt: skip
# Labels that aligners (MFA, P2FA, WebMAUS) give to silence and noise, and anything in <> or {}.
NO_WORD = re.compile(r"sp|sil|spn|silence|#|_|<[^<>]*>|\{[^{}]*\}", re.IGNORECASE)


class Tier(NamedTuple):
    """A tier of intervals: its name, the intervals as (start, end, label), and what kind of tier it is said to be."""

    name: str
    intervals: list[tuple[float, float, str]]
    kind: str = ""


def words_of_tiers(tiers: Sequence[Tier], name: str) -> list[Word]:
    """The words of an annotated recording, those of several speakers by time, without marks of silence and noise.

    Raises:
        ClipError: If it is not certain which tiers hold the words.
    """
    words: list[Word] = []
    for tier in tiers_of_words(tiers, name):
        for start, end, label in tier.intervals:
            if not NO_WORD.fullmatch(label.strip()):
                words += words_of(label, start, end)
    return sorted(words, key=lambda word: word.start)


def tiers_of_words(tiers: Sequence[Tier], name: str) -> Sequence[Tier]:
    """The tiers that hold the words, by their names and kinds: one, or one for each speaker.

    Raises:
        ClipError: If that is not certain.
    """
    rest = [tier for tier in tiers if not _parts(tier) & OF_NEITHER]
    chosen = (
        [tier for tier in rest if _parts(tier) & OF_WORDS]
        or [tier for tier in rest if "word" in tier.name.casefold()]
        or [tier for tier in rest if _parts(tier) & OF_UTTERANCES]
        or (rest if len(rest) == 1 else [])
    )
    names = ", ".join(f"'{tier.name}'" for tier in chosen or tiers)
    if not chosen:
        raise ClipError(
            "bad-transcript", f"{name}: none of its tiers ({names}) is called 'words': rename the right one"
        )
    for one, other in combinations(chosen, 2):
        times = [{(start, end) for start, end, label in tier.intervals if label.strip()} for tier in (one, other)]
        if 2 * len(times[0] & times[1]) > min(map(len, times)):
            raise ClipError("bad-transcript", f"{name}: the tiers {names} have the same times: rename all but one")
    return chosen


def _parts(tier: Tier) -> set[str]:
    """The words that the name of a tier is made of; WebMAUS calls its words ORT-MAU."""
    return set(re.split(r"[\W_]+", f"{tier.name} {tier.kind}".casefold().replace("ort-mau", "ort")))

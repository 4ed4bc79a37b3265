"""Facts about the languages of translations: names, lengths, and families for identification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from featzoo.errors import InvalidOption, unknown
from featzoo.exchange.texts.parallel import ALIASES

SOURCE = "en"


class Language(NamedTuple):
    """A language.

    Attributes:
        name: Its English name, for prompts.
        length: Characters in it for each character of the same text in English. Medians of the messages of 80
            characters and more in the translated catalogues of Debian 12's programs, where there are more than 200
            (fr 1208 messages, ms 212, ja 746, zh 1055, de 1110, id 713); 1 for the others of alphabets.
        family: Codes that the language identification may return for it: it confuses Malay with Indonesian, and
            distinguishes kinds of Chinese.
        spaced: Whether words have spaces between them.
    """

    name: str
    length: float = 1.0
    family: tuple[str, ...] = ()
    spaced: bool = True


LANGUAGES = {
    "ar": Language("Arabic", family=("arz", "ary")),
    "cs": Language("Czech"),
    "da": Language("Danish"),
    "de": Language("German", 1.19),
    "el": Language("Greek"),
    "en": Language("English", family=("pcm",)),
    "es": Language("Spanish"),
    "fi": Language("Finnish"),
    "fr": Language("French", 1.19),
    "he": Language("Hebrew"),
    "hi": Language("Hindi"),
    "hu": Language("Hungarian"),
    "id": Language("Indonesian", 1.05, ("ms",)),
    "it": Language("Italian"),
    "ja": Language("Japanese", 0.55, spaced=False),
    "ms": Language("Malay", 1.06, ("id",)),
    "nl": Language("Dutch"),
    "pl": Language("Polish"),
    "pt": Language("Portuguese"),
    "ro": Language("Romanian"),
    "ru": Language("Russian"),
    "sv": Language("Swedish"),
    "th": Language("Thai", spaced=False),
    "tr": Language("Turkish"),
    "uk": Language("Ukrainian"),
    "vi": Language("Vietnamese"),
    "zh": Language("Chinese", 0.36, ("wuu", "yue"), spaced=False),
}


def parse(text: str) -> tuple[str, ...]:
    """The codes of a list such as `ja,zh,ms,fr`, sorted, so that their order does not change the question.

    Raises:
        UnknownName: If one is not a supported ISO 639-1 code.
        InvalidOption: If the list is empty or contains English.
    """
    given = [part.strip().lower() for part in text.split(",") if part.strip()]
    codes = sorted({ALIASES.get(code, code) for code in given})
    for code in codes:
        if code not in LANGUAGES:
            raise unknown(code, "languages (ISO 639-1)", LANGUAGES)
    if SOURCE in codes or not codes:
        raise InvalidOption(f"languages '{text}': name one or more to translate English into, such as ja,zh,ms,fr")
    return tuple(codes)


def names(codes: Sequence[str]) -> str:
    """`French, Malay and Chinese`."""
    known = [LANGUAGES[code].name for code in codes]
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}"

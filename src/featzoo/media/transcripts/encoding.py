"""Decoding of text files that do not declare their encoding.

Where there is no byte order mark and the bytes are not UTF-8, every encoding in use that explains the bytes is
compared by how usual its characters are: letters by their frequency in one of the languages that charset-normalizer
knows, Chinese, Japanese and Korean by the levels of their standards. One that is not clearly ahead is not taken.
"""

from __future__ import annotations

import codecs
import math
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache

from featzoo.errors import FeatzooError, InvalidOption

BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Encodings in use, each with a penalty for its rarity, a natural logarithm.
RARITY = {
    "cp1252": 0, "gb18030": 0, "cp932": 0, "cp1251": 0, "cp949": 0, "big5": 1, "cp1250": 3, "euc_jp": 3, "cp1253": 3,
    "cp1254": 3, "cp1255": 3, "cp1256": 3, "koi8_r": 4, "cp874": 5, "cp866": 5, "cp1257": 5, "cp1258": 6,
    "mac_roman": 10, "mac_cyrillic": 10,
}  # fmt: skip
# An encoding must be likelier than all others by this natural logarithm.
CLEAR = 4.0
# A standard, the lead bytes of the characters that it counts as usual, and the language.
LEVELS = {
    "gb18030": ("gb2312", 0xB0, 0xD7, "Chinese"),
    "cp932": ("euc_jp", 0xB0, 0xCF, "Japanese"),
    "euc_jp": ("euc_jp", 0xB0, 0xCF, "Japanese"),
    "cp949": ("euc_kr", 0xB0, 0xC8, "Korean"),
    "big5": ("big5", 0xA4, 0xC6, "Chinese"),
}
PUNCTUATION = set("’‘“”–—…«»€°¿¡£©®·")


class UnknownEncoding(FeatzooError):
    """Bytes that are not text, or text in an encoding that cannot be told for certain."""


class UncertainEncoding(UnknownEncoding):
    """Text that several encodings explain about as well."""


def decode(raw: bytes, encoding: str | None = None) -> str:
    """The text of some bytes: as its byte order mark says, else UTF-8, else `encoding`, else as detected.

    Args:
        raw: A file's content.
        encoding: The encoding of text without a byte order mark that is not UTF-8; detected if None.

    Raises:
        UnknownEncoding: If it is not text.
        UncertainEncoding: If several encodings are about as likely.
        InvalidOption: If Python knows no such encoding.
    """
    for mark, marked in BOMS.items():
        if raw.startswith(mark):
            return _strictly(raw, marked).removeprefix("\ufeff")
    if b"\0" in raw:
        return _strictly(raw, encoding or _utf_16(raw))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(encoding_of(raw)) if encoding is None else _strictly(raw, encoding)


def _strictly(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except LookupError as error:
        raise InvalidOption(f"'{encoding}' is not an encoding of Python, such as gbk, shift_jis or cp1252") from error
    except UnicodeError as error:
        raise UnknownEncoding(
            f"its text is not {encoding} ({error}): name its encoding, or save it as UTF-8"
        ) from error


def _utf_16(raw: bytes) -> str:
    """The byte order of UTF-16 without a mark, in which a letter of Latin is a zero and another byte."""
    first, second = raw[::2].count(0), raw[1::2].count(0)
    if len(raw) % 2 == 0 and max(first, second) > len(raw) / 4 and not min(first, second):
        return "utf-16-be" if first else "utf-16-le"
    raise UnknownEncoding("not text: there are zero bytes in it")


def is_undeclared(raw: bytes) -> bool:
    """Whether bytes are neither UTF-8 nor declare their encoding by a byte order mark or by zero bytes."""
    if raw.startswith(tuple(BOMS)) or b"\0" in raw:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return False


def encoding_of(raw: bytes) -> str:
    """The likeliest encoding of text that is not UTF-8.

    Raises:
        UnknownEncoding: If it is not text.
        UncertainEncoding: If several encodings are about as likely.
    """
    weights: dict[str, float] = {}
    names: dict[str, str] = {}
    for name, rarity in RARITY.items():
        try:
            text = raw.decode(name)
        except UnicodeDecodeError:
            continue
        if not any(unicodedata.category(sign) in ("Cc", "Cn", "Co") and sign not in "\t\n\r" for sign in text):
            weight = _likelihood(text, name) - rarity
            if weight > weights.get(text, -math.inf):
                weights[text], names[text] = weight, name
    best, *others = sorted(weights, key=weights.__getitem__, reverse=True) or [""]
    if not best:
        raise UnknownEncoding("not text in UTF-8 or any usual encoding")
    if others and weights[best] - weights[others[0]] < CLEAR:
        likely = " or ".join(names[text] for text in (best, others[0]))
        raise UncertainEncoding(f"its encoding is uncertain ({likely}?): save the file as UTF-8, or name the encoding")
    return names[best]


def _likelihood(text: str, encoding: str) -> float:
    """The log-likelihood of the characters of a text, up to a constant; higher is more usual."""
    total, before, letters = 0.0, " ", Counter[str]()
    for sign in text:
        if _is_east_asian(sign):
            total += _usual(sign, encoding) - (12 if _is_letter(before) else 0)
        elif sign.isalpha():
            letters[sign.lower()] += 1
            total -= 12 if _is_east_asian(before) else 0
            if sign.isupper() and before.isalpha():
                total -= 6 if before.islower() else not sign.isascii()
        elif not sign.isascii():
            total -= 1 if sign in PUNCTUATION else 9
        before = sign
    return total + max(
        sum(count * likely.get(letter, -9.0) for letter, count in letters.items()) for likely in _alphabets().values()
    )


@cache
def _alphabets() -> Mapping[str, Mapping[str, float]]:
    """For each language, the logarithm of each letter's probability: about the inverse of its rank."""
    from charset_normalizer.constant import FREQUENCIES

    return {
        language: {letter: -math.log(2.2 * (rank + 4)) for rank, letter in enumerate(letters)}
        for language, letters in FREQUENCIES.items()
    }


def _usual(sign: str, encoding: str) -> float:
    """The logarithm of about how probable a character is in the East Asian text of an encoding."""
    japanese = encoding in ("cp932", "euc_jp")
    if "\u3040" <= sign <= "\u30ff":  # kana
        return -3.5 if japanese else -9.0
    if "\u3000" <= sign <= "\u303f":  # punctuation
        return -4.0
    standard, first, last, language = LEVELS.get(encoding, ("ascii", 0, 0, ""))
    if sign in _alphabets().get(language, ()):
        return -5.0
    try:
        lead = sign.encode(standard)[0]
    except UnicodeEncodeError:
        return -13.0
    return -7.0 if first <= lead <= last else -11.0


def _is_east_asian(sign: str) -> bool:
    return "\u2e80" <= sign <= "\ud7ff" or "\uf900" <= sign <= "\ufaff" or "\uff61" <= sign <= "\uff9f"


def _is_letter(sign: str) -> bool:
    return sign.isalpha() and not _is_east_asian(sign)

"""Checks that an answer must pass to count as a translation."""

from __future__ import annotations

import json
import re
import threading
from functools import cache
from typing import Any, NamedTuple

from featzoo.augment.answer_cache import Answer
from featzoo.augment.label_words import leaks
from featzoo.augment.languages import LANGUAGES
from featzoo.augment.prompt import Question
from featzoo.weights.imports import require

# By characters, after the language's own length; methods.md 1.3.
RATIOS = (0.3, 3.0)
# Texts with fewer letters are too short to identify. A character of Chinese or Japanese counts like two or three
# letters, and texts in these languages are recognised by their script.
LETTERS, LETTERS_UNSPACED, WIDE = 20, 8, 2.5
# A text is not in the requested language if its probability is lower. tests/augment/test_checks.py prints the share of
# real texts of each language, and of the others, that pass.
LEAST_PROBABILITY = 0.1
LOADING = threading.Lock()
FIRST_WIDE = "\u2e80"  # of the blocks of Chinese, Japanese and Korean
# Lengths of a few words vary too much to be judged.
LENGTH_CHARACTERS = 12
THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
FENCED = re.compile(r"```[\w-]*\s*\n?(.*?)\n?\s*```", re.DOTALL)
NOT_WRITTEN = re.compile(r"https?:\S+|www\.\S+|[@#]\w+")


class Fault(NamedTuple):
    """The reason for refusing a translation.

    Attributes:
        reason: A short code for counting, such as `wrong-language`.
        message: The text that the model receives with the next request.
    """

    reason: str
    message: str


class Judgement(NamedTuple):
    """The accepted translations of an answer, and the faults of the others, by language."""

    good: dict[str, str]
    bad: dict[str, Fault]


def judge(question: Question, answer: Answer, informed: bool) -> Judgement:
    """Check an answer: its form, and each translation's language, length and words.

    Args:
        question: The question.
        answer: The answer.
        informed: Whether the model saw labels. A model that did not see them cannot leak them, so label words are
            not searched.

    Returns:
        Each of the question's languages, as accepted or as faulty.
    """
    fields = _fields(question, answer)
    if isinstance(fields, Fault):
        return Judgement({}, dict.fromkeys(question.languages, fields))
    judged = Judgement({}, {})
    for code in question.languages:
        text = fields.get(code)
        if not isinstance(text, str) or not text.strip():
            judged.bad[code] = Fault("missing-language", f"the field '{code}' is missing or empty")
            continue
        fault = _fault(question.text, text, code, informed)
        if fault:
            judged.bad[code] = fault
        else:
            judged.good[code] = text.strip()
    return judged


def _fields(question: Question, answer: Answer) -> dict[str, Any] | Fault:
    """The answer's JSON object, which has only the requested languages as fields."""
    if answer.finish == "length":
        return Fault("cut-off", "the answer was truncated at the model's limit")
    if answer.finish == "content_filter":
        return Fault("content-filter", "the server's filter withheld the answer")
    if answer.content is None or not answer.content.strip():
        return Fault("no-choices" if answer.finish == "no-choices" else "empty-answer", "the answer was empty")
    content = THOUGHT.sub("", answer.content).strip()
    fenced = FENCED.fullmatch(content)
    try:
        fields = json.loads(fenced[1] if fenced else content)
    except ValueError:
        return Fault("not-json", "the answer was not one JSON object")
    if not isinstance(fields, dict):
        return Fault("not-json", "the answer was not one JSON object")
    extra = sorted(set(fields) - set(question.languages))
    if extra:
        return Fault("extra-fields", f"the answer had fields that were not requested: {', '.join(extra)[:80]}")
    return fields


def _fault(source: str, text: str, code: str, informed: bool) -> Fault | None:
    language = LANGUAGES[code]
    if torn(text) or ("\ufffd" in text and "\ufffd" not in source):
        return Fault("broken-text", f"the field '{code}' holds characters that were lost")
    if not is_in(text, code):
        return Fault("wrong-language", f"the field '{code}' is not in {language.name}")
    ratio = len(text.strip()) / (len(source.strip()) * language.length)
    if len(source.strip()) * language.length >= LENGTH_CHARACTERS and not RATIOS[0] <= ratio <= RATIOS[1]:
        return Fault("length", f"the field '{code}' has {ratio:.2g} times the usual length of such a translation")
    told = leaks(source, text) if informed else []
    return Fault("leaked-label", f"the field '{code}' names {', '.join(told)}") if told else None


def torn(text: str) -> bool:
    """Whether a text holds half a surrogate pair, which cannot be written to a file or a request."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def is_in(text: str, code: str) -> bool:
    """Whether a text may be in a language. A text that is too short to identify passes.

    Malay and Indonesian are too similar to distinguish: each passes for the other.

    Raises:
        MissingPackage: If the language identification is not installed.
    """
    language = LANGUAGES[code]
    written = NOT_WRITTEN.sub(" ", text)
    letters = [character for character in written if character.isalpha()]
    said = sum(WIDE if character >= FIRST_WIDE else 1.0 for character in letters)
    if said < LETTERS if language.spaced else len(letters) < LETTERS_UNSPACED:
        return True
    with LOADING:  # otherwise every thread would load it at the same time
        identifier = _identifier()
    ranked = dict(identifier.rank(written))
    return bool(sum(ranked.get(name, 0.0) for name in (code, *language.family)) >= LEAST_PROBABILITY)


@cache
def _identifier() -> Any:
    langid = require("py3langid.langid", "augment")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)

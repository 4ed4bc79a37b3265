"""Translates one text by the requested method, else by TOGA: pieces, checks, further attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from featzoo.augment.answer_cache import Answer
from featzoo.augment.checks import Fault, judge, torn
from featzoo.augment.chunks import join, split
from featzoo.augment.prompt import CURRENT, Method, Question
from featzoo.augment.rows import Row
from featzoo.errors import ClipError
from featzoo.vocabulary import TRAITS

State = Literal["answered", "cached", "fallback", "refused"]
STATES: tuple[State, ...] = ("answered", "cached", "fallback", "refused")
Ask = Callable[[Question], Answer]


@dataclass(frozen=True)
class Task:
    """How texts are to be translated.

    Attributes:
        method: `toga`, or `piga`, which shows the labels to the model.
        languages: Codes, sorted.
        model: See `Question`.
        version: Version of the prompt, if not the method's newest.
        temperature: Sampling temperature; None is the server's own.
        retries: Number of further requests after an answer that fails a check.
        piece_tokens: Maximum tokens of a piece of a long text.
    """

    method: Method
    languages: tuple[str, ...]
    model: str
    version: str = ""
    temperature: float | None = 0.0
    retries: int = 2
    piece_tokens: float = 1500.0


class Outcome(NamedTuple):
    """The outcome for one text in one language.

    Attributes:
        language: Its code.
        state: `answered`; `cached` if all answers were cached; `fallback` if PIGA failed and TOGA did not;
            `refused`.
        text: The translation; empty if refused.
        reason: A short code, if it was refused or fell back.
        message: The reason as a sentence.
        version: Version of the prompt that was used.
        unanswered: Whether it was refused because no answer came, so the next run requests it again.
    """

    language: str
    state: State
    text: str = ""
    reason: str = ""
    message: str = ""
    version: str = ""
    unanswered: bool = False


def settle(row: Row, task: Task, ask: Ask) -> list[Outcome]:
    """Translate one text into each language of a task, by the task's method, else by TOGA."""
    if not row.text.strip():
        return _refuse(task.languages, Fault("empty", "the text is empty"))
    if torn(row.text):
        return _refuse(task.languages, Fault("broken-text", "the text holds half a character (a lone surrogate)"))
    labels = None
    if task.method == "piga":
        labels = {trait: row.labels[trait] for trait in TRAITS if trait in row.labels}
        if not labels:
            return _refuse(task.languages, Fault("no-labels", f"it has none of the labels {', '.join(TRAITS)}"))
        if set(labels.values()) - {0.0, 1.0}:
            return _refuse(task.languages, Fault("bad-labels", "PIGA's prompt needs labels of 0 or 1"))
    first = _translate(row.text, task, task.languages, labels, ask)
    again = tuple(
        code
        for code in task.languages
        if task.method == "piga" and first[code].state == "refused" and not first[code].unanswered
    )
    if not again:
        return [first[code] for code in task.languages]
    second = _translate(row.text, replace(task, method="toga", version=""), again, None, ask)
    for code in again:
        was = first[code]
        if second[code].state != "refused":
            first[code] = second[code]._replace(state="fallback", reason=was.reason, message=was.message)
        else:
            first[code] = second[code]
    return [first[code] for code in task.languages]


def _refuse(languages: Sequence[str], fault: Fault) -> list[Outcome]:
    return [Outcome(code, "refused", "", *fault) for code in languages]


def _translate(
    text: str, task: Task, languages: tuple[str, ...], labels: Mapping[str, float] | None, ask: Ask
) -> dict[str, Outcome]:
    """A text by one method, piece by piece; a language that fails in one piece is not requested in the next."""
    parts: dict[str, list[str]] = {code: [] for code in languages}
    failed: dict[str, Fault] = {}
    fresh, unanswered = set[str](), set[str]()
    version = task.version or CURRENT[task.method]

    for piece in split(text, task.piece_tokens):
        wanted = tuple(code for code in languages if code not in failed)
        if not wanted:
            break
        question = Question(task.model, version, wanted, piece, labels, task.temperature)
        for attempt in range(task.retries + 1):
            try:
                answer = ask(question)
            except ClipError as error:
                failed |= dict.fromkeys(question.languages, Fault(error.reason, str(error)))
                unanswered |= set(question.languages)
                break
            if not answer.cached:
                fresh |= set(question.languages)
            good, bad = judge(question, answer, informed=labels is not None)
            for code, translation in good.items():
                parts[code].append(translation)
            if not bad:
                break
            # Only the failed languages are requested again, and the model is told why.
            why = tuple(dict.fromkeys(fault.message for fault in bad.values()))
            question = replace(question, languages=tuple(sorted(bad)), attempt=attempt + 1, faults=why)
        else:
            failed |= bad
    return {
        code: Outcome(code, "refused", "", *failed[code], version, code in unanswered)
        if code in failed
        else Outcome(code, "answered" if code in fresh else "cached", join(parts[code], code), version=version)
        for code in languages
    }


def questions(row: Row, task: Task) -> Iterator[Question]:
    """The questions of a row, if every first answer passes the checks."""
    if torn(row.text):
        return
    labels = {trait: row.labels[trait] for trait in TRAITS if trait in row.labels} if task.method == "piga" else None
    version = task.version or CURRENT[task.method]
    for piece in split(row.text, task.piece_tokens):
        yield Question(task.model, version, task.languages, piece, labels, task.temperature)

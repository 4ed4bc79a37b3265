"""Translate all texts: choose them, estimate the cost, ask, and make the rows of the output."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from featzoo.augment.answer_cache import Answer, AnswerCache
from featzoo.augment.checks import torn
from featzoo.augment.chunks import answer_tokens, tokens
from featzoo.augment.client import EndpointError
from featzoo.augment.languages import SOURCE
from featzoo.augment.prompt import Method, Question
from featzoo.augment.rate_limit import Stopped
from featzoo.augment.rows import Row
from featzoo.augment.translate import Ask, Outcome, Task, questions, settle
from featzoo.errors import InvalidOption
from featzoo.exchange.texts.parallel import FELL_BACK


@dataclass
class Tally:
    """Counts of a run so far; threads add to them.

    Attributes:
        rows: Finished texts.
        requests: Answers that were not cached.
        tokens_in: Tokens of these answers' questions, as counted by the server.
        tokens_out: Tokens of these answers.
        uncounted: Answers without a count.
    """

    rows: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    uncounted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, answer: Answer) -> Answer:
        """Count an answer unless it was cached, and return it."""
        if answer.cached:
            return answer
        with self.lock:
            self.requests += 1
            if answer.tokens_in is None or answer.tokens_out is None:
                self.uncounted += 1
            self.tokens_in += answer.tokens_in or 0
            self.tokens_out += answer.tokens_out or 0
        return answer


class Forecast(NamedTuple):
    """An estimate of the remaining requests.

    Attributes:
        known: Texts whose answers are all cached, or that are refused without asking.
        requests: Remaining questions, if each first answer passes the checks.
        tokens_in: Estimated tokens of these questions.
        tokens_out: Estimated tokens of their answers.
    """

    known: int
    requests: int
    tokens_in: float
    tokens_out: float


class _Unknown(Exception):
    """The answer to a question is not cached."""


class LabelsLeak(InvalidOption):
    """The translator would see labels of the test split."""


def choose(rows: Sequence[Row], method: Method, splits: Sequence[str], include_test: bool) -> list[Row]:
    """The rows to translate.

    Raises:
        LabelsLeak: If PIGA would see test rows without `include_test`.
        InvalidOption: If a split is missing.
    """
    if splits:
        present = {row.split for row in rows}
        for name in splits:
            if name not in present:
                raise InvalidOption(f"split '{name}': the source has {', '.join(sorted(map(str, present)))}")
        rows = [row for row in rows if row.split in splits]
    test = sum(row.split == "test" for row in rows)
    if method == "piga" and test and not include_test:
        raise LabelsLeak(
            f"PIGA shows each text's gold labels to the model that translates it, and {test} of {len(rows)} texts are "
            "test ones: their labels can leak into the texts that a classifier is tested on. Translate them with "
            "the method toga into another file, or leave the test split out"
        )
    return list(rows)


def forecast(rows: Sequence[Row], task: Task, cache: AnswerCache) -> Forecast:
    """Estimate the requests of a run, given the cached answers."""

    def look(question: Question) -> Answer:
        known = cache.get(question)
        if known is None:
            raise _Unknown
        return known

    known, asked = 0, dict[str, tuple[float, float]]()
    for row in rows:
        try:
            settle(row, task, look)
            known += 1
        except _Unknown:
            for question in questions(row, task):
                if cache.get(question) is None:
                    size = sum(tokens(message["content"]) for message in question.messages())
                    asked[question.key] = (size, answer_tokens(question.text, question.languages))
    sizes = list(asked.values())
    return Forecast(known, len(sizes), sum(size[0] for size in sizes), sum(size[1] for size in sizes))


class Settled(NamedTuple):
    """The outcomes of all rows.

    Attributes:
        outcomes: For each row, one outcome per language.
        failure: The error that stopped the run, if any; rows without an answer are then refused.
    """

    outcomes: list[list[Outcome]]
    failure: EndpointError | None = None


def translate_all(
    rows: Sequence[Row],
    task: Task,
    ask: Ask,
    known: Ask,
    *,
    jobs: int = 4,
    stop: threading.Event | None = None,
    on_row: Callable[[], None] = lambda: None,
) -> Settled:
    """Translate all rows, several at the same time.

    Args:
        rows: The rows, from `choose`.
        task: How to translate them.
        ask: Answers a question, from the cache or the server; several threads call it.
        known: Answers a question from the cache only; used after the run was stopped.
        jobs: Number of threads.
        stop: Set to end the run; requests that wait for their turn then stop waiting.
        on_row: Called after each finished row.

    Raises:
        StoreError: If answers cannot be cached.
    """
    stop = stop or threading.Event()
    failures: list[EndpointError] = []

    def one(row: Row) -> list[Outcome]:
        if not stop.is_set():
            try:
                outcomes = settle(row, task, ask)
            except EndpointError as error:
                failures.append(error)
                stop.set()
            except Stopped:
                pass
            else:
                on_row()
                return outcomes
        return settle(row, task, known)

    return Settled(_in_threads(one, rows, jobs, stop), failures[0] if failures else None)


def _in_threads(
    one: Callable[[Row], list[Outcome]], rows: Sequence[Row], jobs: int, stop: threading.Event
) -> list[list[Outcome]]:
    """`one` of each row, in `jobs` threads; the first exception sets `stop` and ends the rest."""
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, row) for row in rows]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            # On Ctrl-C too: requests on their way are waited for and their answers kept; no other is sent.
            stop.set()
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def to_rows(rows: Sequence[Row], settled: Sequence[Sequence[Outcome]], task: Task, model: str) -> list[Row]:
    """The rows of the output: each source, then its translations.

    Args:
        rows: The sources.
        settled: Their outcomes, from `translate_all`.
        task: How they were translated.
        model: The translator's name for the output.
    """
    found = []
    for row, outcomes in zip(rows, settled, strict=True):
        if row.text.strip() and not torn(row.text):
            found.append(replace(row, method="source", flags=(), model=None, prompt=None))
        for outcome in outcomes:
            if outcome.state == "refused":
                continue
            fell = outcome.state == "fallback"
            method = "toga" if fell else task.method
            flags = (FELL_BACK,) * fell + ("paper-like",) * (method == "piga" and row.split == "test")
            found.append(
                Row(
                    row.id, outcome.language, outcome.text, row.split, row.labels, method, flags, model, outcome.version
                )
            )
    return found


def merged(before: Sequence[Row], rows: Sequence[Row], new: Sequence[Row], languages: Sequence[str]) -> list[Row]:
    """The rows of an output file after a run: those it had, with the run's texts and languages replaced.

    Texts keep their order; for each text, its source comes first, then its languages sorted.
    """
    ids = {row.id for row in rows}
    asked = {SOURCE, *languages}
    whole = [row for row in before if not (row.id in ids and row.language in asked)] + list(new)
    order = {name: place for place, name in enumerate(dict.fromkeys(row.id for row in [*before, *new]))}
    return sorted(whole, key=lambda row: (order[row.id], row.language != SOURCE, row.language))

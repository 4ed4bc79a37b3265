"""All texts: which, what asking for them will cost, the asking, and the rows that come of it."""

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
    """What a run has done so far; threads add to it.

    Attributes:
        rows: Texts that are through.
        requests: Answers that were not known before.
        tokens_in: Of these answers' questions, by the server's count.
        tokens_out: Of these answers.
        uncounted: Answers that came without a count.
    """

    rows: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    uncounted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, answer: Answer) -> Answer:
        """Count an answer, if it was not known before; it is given back."""
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
    """What is left to ask, by estimate.

    Attributes:
        known: Texts of which every question has its answer already, or that are refused without one.
        requests: Questions without one, if each is answered well at once.
        tokens_in: About their size.
        tokens_out: About the size of their answers.
    """

    known: int
    requests: int
    tokens_in: float
    tokens_out: float


class _Unknown(Exception):
    """A question whose answer is not known."""


def choose(rows: Sequence[Row], method: Method, splits: Sequence[str], include_test: bool) -> list[Row]:
    """The rows to be translated.

    Raises:
        InvalidOption: If PIGA would be given test rows without their user's explicit will, or nothing is left.
    """
    if splits:
        present = {row.split for row in rows}
        for name in splits:
            if name not in present:
                raise InvalidOption(f"split '{name}': the source has {', '.join(sorted(map(str, present)))}")
        rows = [row for row in rows if row.split in splits]
    test = sum(row.split == "test" for row in rows)
    if method == "piga" and test and not include_test:
        raise InvalidOption(
            f"PIGA shows each text's gold labels to the model that translates it, and {test} of {len(rows)} texts are "
            "test ones: their labels can leak into the texts that a classifier is tested on. Translate them with "
            "--method toga into another file (and these with --splits train,valid); --include-test makes the "
            "'paper-like' test set all the same"
        )
    return list(rows)


def forecast(rows: Sequence[Row], task: Task, cache: AnswerCache) -> Forecast:
    """What a run would ask, given what is known."""

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
    """What became of all rows.

    Attributes:
        outcomes: For each row, an outcome for each language.
        failure: Why the translator was given up, if it was; rows that had no answer yet are then refused.
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
    """Settle all rows, some at the same time.

    Args:
        rows: See `choose`.
        task: How.
        ask: Gives a question's answer, known or not, and keeps it; called by several threads.
        known: Gives it if it is known; all that is left when the translator was given up.
        jobs: How many.
        stop: Set when the run must end: those who wait for their turn then give up.
        on_row: Called when a row is through.

    Raises:
        StoreError: If answers cannot be kept; nothing is asked in vain.
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

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, row) for row in rows]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            # Also on Ctrl-C: requests that are out are waited for and their answers kept, no other leaves.
            stop.set()
            pool.shutdown(cancel_futures=True)
    return Settled([future.result() for future in futures], failures[0] if failures else None)


def to_rows(rows: Sequence[Row], settled: Sequence[Sequence[Outcome]], task: Task, model: str) -> list[Row]:
    """The rows of the output: each source, then its translations.

    Args:
        rows: The sources.
        settled: What `translate_all` gave for them.
        task: How they were translated.
        model: Who translated them, by the name to be read.
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
    """What an output file holds after a run: what it held, but for what the run was about, and what that gave.

    Texts stay in their order; the languages of each are sorted, its source before them.
    """
    ids = {row.id for row in rows}
    asked = {SOURCE, *languages}
    whole = [row for row in before if not (row.id in ids and row.language in asked)] + list(new)
    order = {name: place for place, name in enumerate(dict.fromkeys(row.id for row in [*before, *new]))}
    return sorted(whole, key=lambda row: (order[row.id], row.language != SOURCE, row.language))

"""A cache with one file per answer, named by its question: answers are not lost, and questions not repeated."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from featzoo.augment.prompt import Question
from featzoo.durable import refused, write
from featzoo.errors import ClipError


@dataclass(frozen=True)
class Answer:
    """A translator's answer, correct or not.

    Attributes:
        content: Its text; None if the server gave none.
        finish: The server's reason for its end: `stop`, `length`, `content_filter`; `no-choices` if the
            server sent no answer.
        tokens_in: Tokens of the question, as counted by the server; None if it did not count them.
        tokens_out: Tokens of the answer.
        model: The model's name from the server.
        cached: Whether the answer was in the cache.
    """

    content: str | None
    finish: str = "stop"
    tokens_in: int | None = None
    tokens_out: int | None = None
    model: str = ""
    cached: bool = False


class AnswerCache:
    """A folder of answers. Any number of threads and processes may use it; files are never incomplete.

    Besides the answer, a file holds the digest of the text, the prompt, the model, the endpoint and the date, for
    human readers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def get(self, question: Question) -> Answer | None:
        """The cached answer, or None; a damaged file does not count."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._place(question.key).read_text(encoding="utf-8"))
            return Answer(**kept["answer"] | {"cached": True})
        return None

    def known(self, question: Question, new: Container[str]) -> Answer:
        """The cached answer to a question.

        Args:
            question: The question.
            new: Keys of questions whose answers were not cached before.

        Raises:
            ClipError: If the answer is not cached.
        """
        answer = self.get(question)
        if answer is None:
            raise ClipError("no-answer", "the run ended before it was asked")
        return replace(answer, cached=question.key not in new)

    def put(self, question: Question, answer: Answer, endpoint: str = "") -> None:
        """Save an answer durably: after this returns, it survives a power failure.

        Args:
            question: The question.
            answer: The answer.
            endpoint: The server's address, without credentials.

        Raises:
            StoreError: If the folder cannot be written.
        """
        place = self._place(question.key)
        asked = asdict(question) | {"text": hashlib.sha256(question.text.encode()).hexdigest()}
        kept = {
            "answer": asdict(replace(answer, cached=False)),
            "question": asked,
            "endpoint": endpoint,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused(self.folder, error) from error
        write(place, json.dumps(kept, ensure_ascii=False, indent=1))

    def once(self, question: Question, ask: Callable[[Question], Answer], endpoint: str = "") -> Answer:
        """The cached answer, else the result of `ask`, which is saved. Threads with the same question ask once."""
        with self._guard:
            lock = self._locks[question.key]
        with lock:
            known = self.get(question)
            if known is None:
                known = ask(question)
                self.put(question, known, endpoint)
            return known

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

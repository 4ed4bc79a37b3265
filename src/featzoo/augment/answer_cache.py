"""Every answer in a file of its own, named by its question: nothing answered is lost, nothing is asked twice."""

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
    """What a translator said, right or wrong.

    Attributes:
        content: Its text; None where the server gave none.
        finish: Why it ended, in the server's words: `stop`, `length`, `content_filter`; `no-choices` where the
            server sent no answer at all.
        tokens_in: Of the question, as the server counted; None where it did not.
        tokens_out: Of the answer.
        model: Who answered, as the server says.
        cached: Whether it was known before.
    """

    content: str | None
    finish: str = "stop"
    tokens_in: int | None = None
    tokens_out: int | None = None
    model: str = ""
    cached: bool = False


class AnswerCache:
    """A folder of answers. Any number of threads and processes may use it; files come whole or not at all.

    Beside the answer, a file says what was asked with which prompt, of whom and when, for those who read it; of the
    text it holds the digest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def get(self, question: Question) -> Answer | None:
        """The answer, if it is known; a file that is damaged does not count."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._place(question.key).read_text(encoding="utf-8"))
            return Answer(**kept["answer"] | {"cached": True})
        return None

    def known(self, question: Question, new: Container[str]) -> Answer:
        """The answer to a question that has one.

        Args:
            question: What was asked.
            new: Keys of questions whose answers were not known before.

        Raises:
            ClipError: If it has none.
        """
        answer = self.get(question)
        if answer is None:
            raise ClipError("no-answer", "the run ended before it was asked")
        return replace(answer, cached=question.key not in new)

    def put(self, question: Question, answer: Answer, endpoint: str = "") -> None:
        """Keep an answer; when this returns, it survives a power cut.

        Args:
            question: What was asked.
            answer: What was said.
            endpoint: Who was asked, without credentials.

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
        """The known answer, else what `ask` gives, which is kept. Threads with the same question ask once."""
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

"""One question to an OpenAI-compatible server: paced, repeated where that can help, and without a word of the key."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from featzoo.augment.answer_cache import Answer
from featzoo.augment.chunks import answer_tokens, tokens
from featzoo.augment.prompt import Question
from featzoo.augment.rate_limit import Pace
from featzoo.errors import ClipError, FeatzooError
from featzoo.weights.imports import require

# What no repetition and no other text changes: key refused, no credit, no such model or address.
FATAL = {401: "it refuses the key", 402: "it wants to be paid", 404: "it knows no such model or address", 405: ""}
REPEATED = {408, 409, 425, 429, *range(500, 600)}
LONGEST_PAUSE = 600.0
LONGEST_BACKOFF = 60.0
QUOTED = 300


class EndpointError(FeatzooError):
    """The server answers nobody: going on would ask it in vain for every text."""


@dataclass(frozen=True)
class Service:
    """Where the model is, and how it is asked. Nothing of this changes an answer but `json_mode`.

    Attributes:
        url: The API's base, which mostly ends in `/v1`.
        key: Empty where the server wants none. It goes into the request's header and nowhere else.
        key_name: The environment variable it came from, for advice.
        json_mode: Whether to ask for `response_format: json_object`, which some servers do not know.
        timeout: Seconds without a byte after which a request is given up.
        tries: How often one question is sent at most while the server fails.
        backoff: Seconds before the second try; doubled each time, up to a minute.
        patience: How many questions may fail one after the other before the run stops.
    """

    url: str
    key: str = ""
    key_name: str = "OPENAI_API_KEY"
    json_mode: bool = True
    timeout: float = 120.0
    tries: int = 6
    backoff: float = 1.0
    patience: int = 10

    def __repr__(self) -> str:
        return f"Service({self.shown!r})"

    @property
    def shown(self) -> str:
        """The address without user, password and query, which may hold secrets."""
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, place, parts.path, "", ""))

    def redact(self, text: str) -> str:
        """A server's words without the key, whatever else is like one, and the address's secrets."""
        parts = urlsplit(self.url)
        for secret in (self.key, parts.netloc.rpartition("@")[0], parts.password or "", parts.query):
            if secret:
                text = text.replace(secret, "***")
        return re.sub(r"\bsk-[\w*.-]{6,}|\bBearer\s+[\w*.~+/=-]{12,}", "***", text)


class Endpoint:
    """Asks one server. Threads may share it.

    Args:
        service: Where and how.
        pace: When.

    Raises:
        MissingPackage: If the client library is not installed.
        EndpointError: If the address is none.
    """

    def __init__(self, service: Service, pace: Pace) -> None:
        openai = require("openai", "augment")
        if urlsplit(service.url).scheme not in ("http", "https"):
            raise EndpointError(
                f"'{service.shown}' is no http:// or https:// address, such as http://localhost:8000/v1"
            )
        self.service, self.pace = service, pace
        # Repetitions are ours: they must count against the limits, and obey every pause the server asks for.
        client = openai.OpenAI(
            base_url=service.url, api_key=service.key or "none", timeout=service.timeout, max_retries=0
        )
        # Looked up once and now: the library imports most of itself here, which must not hold up requests on their way.
        self._create = client.chat.completions.with_raw_response.create
        self._errors = openai
        self._lock = threading.Lock()
        self._lost = 0

    def ask(self, question: Question) -> Answer:
        """The server's answer to a question, good or bad.

        Raises:
            ClipError: If there is none for this question; the next may fare better.
            EndpointError: If there will be none for any.
            Stopped: If the run has ended meanwhile.
        """
        for attempt in range(1, self.service.tries + 1):
            try:
                answer = self._send(question)
            except _Failed as failure:
                if not failure.again or attempt == self.service.tries:
                    self._count(failure)
                    raise ClipError(failure.reason, str(failure)) from None
                self._pause(failure, attempt)
            else:
                with self._lock:
                    self._lost = 0
                return answer
        raise ClipError("no-answer", "the endpoint may not be tried even once")

    def _pause(self, failure: _Failed, attempt: int) -> None:
        asked = failure.pause
        if asked is not None and asked > LONGEST_PAUSE:
            raise EndpointError(
                f"{self.service.shown} asks for a pause of {asked:.0f} s (a daily limit?). What was answered is kept: "
                "the same command goes on from there later"
            )
        longest = min(self.service.backoff * 2 ** (attempt - 1), LONGEST_BACKOFF)
        backoff = random.uniform(longest / 2, longest)  # noqa: S311  (so that threads do not come back together)
        if asked is not None:
            self.pace.hold(asked)
        self.pace.rest(max(asked or 0.0, backoff))

    def _count(self, failure: _Failed) -> None:
        with self._lock:
            self._lost += 1
            lost = self._lost
        if lost >= self.service.patience:
            raise EndpointError(
                f"{lost} questions to {self.service.shown} in a row came to nothing, the last one because: {failure}. "
                "What was answered is kept: the same command goes on from there"
            )

    def _send(self, question: Question) -> Answer:
        """One request. Raises `_Failed`, or `EndpointError` where all others would fail too."""
        extra: dict[str, Any] = {}
        if self.service.json_mode:
            extra["response_format"] = {"type": "json_object"}
        if question.temperature is not None:
            extra["temperature"] = question.temperature
        messages = question.messages()
        thought = sum(tokens(m["content"]) for m in messages) + answer_tokens(question.text, question.languages)
        self.pace.wait(thought)
        errors = self._errors
        failure: _Failed
        try:
            body = self._create(model=question.model, messages=messages, **extra).text
        except errors.APITimeoutError:
            failure = _Failed("timeout", f"no byte within {self.service.timeout:g} s")
        except errors.APIStatusError as error:
            failure = self._judge(error.status_code, error.response.text, error.response.headers)
        except (errors.OpenAIError, UnicodeDecodeError) as error:
            cause = error.__cause__ or error
            failure = _Failed("connection", self.service.redact(f"{type(cause).__name__}: {cause}"))
        else:
            try:
                answer = read(body)
            except _Failed as broken:
                failure = _Failed(broken.reason, self.service.redact(str(broken)))
            else:
                if answer.tokens_in is not None and answer.tokens_out is not None:
                    self.pace.spent(answer.tokens_in + answer.tokens_out, thought)
                return answer
        # Outside the handlers: the library's error holds the request, whose header holds the key.
        raise failure

    def _judge(self, status: int, body: str, headers: Any) -> _Failed:
        """What an HTTP error means."""
        said, code = _message(body)
        said = self.service.redact(said)
        if status == 401:
            # Its words often repeat part of the key.
            advice = f"put a valid one into {self.service.key_name}" if self.service.key else "it wants a key"
            raise EndpointError(f"{self.service.shown} refuses the key ({status}): {advice}")
        if status in FATAL or code == "insufficient_quota":
            why = "the quota is used up" if status == 429 else FATAL.get(status) or "it refuses"
            raise EndpointError(f"{self.service.shown}: {why} ({status} {said}); most addresses end in /v1")
        if code == "content_filter":
            return _Failed("content-filter", f"the server's filter refuses it: {said}", again=False)
        return _Failed(f"http-{status}", f"status {status}: {said}", status in REPEATED, _retry_after(headers))


class _Failed(Exception):
    """A request without an answer."""

    def __init__(self, reason: str, message: str, again: bool = True, pause: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.again, self.pause = reason, again, pause


def read(body: str) -> Answer:
    """A chat completion as an `Answer`. Servers leave out what they like; only the frame must be there."""
    try:
        completion = json.loads(body)
    except ValueError:
        said = _message(body)[0]
        raise _Failed("not-json", f"what came is not JSON, or only part of it: {said or 'nothing'}") from None
    if not isinstance(completion, dict) or not isinstance(completion.get("choices"), list):
        raise _Failed("not-a-completion", f"what came is JSON, but no chat completion: {body[:QUOTED]}")
    usage = completion.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    count_in, count_out = (count if isinstance(count, int) else None for count in counts)
    model = str(completion.get("model") or "")
    choice = completion["choices"][0] if completion["choices"] else None
    if not isinstance(choice, dict):
        return Answer(None, "no-choices", count_in, count_out, model)
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    finish = str(choice.get("finish_reason") or "stop")
    if isinstance(content, str):
        # Half a surrogate pair, which JSON's escapes allow, cannot be written to a file.
        content = content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Answer(content if isinstance(content, str) else None, finish, count_in, count_out, model)


def _message(body: str) -> tuple[str, str]:
    """The words and the code of an error, from JSON or a page of HTML."""
    try:
        error = json.loads(body)
    except ValueError:
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)).strip()[:QUOTED], ""
    error = error.get("error", error) if isinstance(error, dict) else error
    if isinstance(error, dict):
        return str(error.get("message", error))[:QUOTED], str(error.get("code") or "")
    return str(error)[:QUOTED], ""


def _retry_after(headers: Any) -> float | None:
    """How many seconds a server asks to wait: `Retry-After` as seconds or a date, or Azure's milliseconds."""
    try:
        return float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        pass
    said = headers.get("retry-after", "")
    try:
        return max(float(said), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None

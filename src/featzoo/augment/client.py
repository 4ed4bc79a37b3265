"""Requests to an OpenAI-compatible server: rate-limited, retried when that can help, never showing the key."""

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

# Errors that no retry and no other text can change: key rejected, no credit, unknown model or address.
FATAL = {401: "API key rejected", 402: "payment required", 404: "unknown model or address", 405: ""}
REPEATED = {408, 409, 425, 429, *range(500, 600)}
LONGEST_PAUSE = 600.0
LONGEST_BACKOFF = 60.0
QUOTED = 300


class EndpointError(FeatzooError):
    """The server cannot answer any request, so the run stops."""


@dataclass(frozen=True)
class Service:
    """The server's address and the options of requests. Only `json_mode` can change an answer.

    Attributes:
        url: The API's base, which usually ends in `/v1`.
        key: The API key; empty if the server needs none. It is sent only in the request's header.
        key_name: The environment variable of the key, for messages.
        json_mode: Whether to request `response_format: json_object`, which some servers do not support.
        timeout: Seconds without a byte after which a request is given up.
        tries: Maximum number of attempts for one question.
        backoff: Seconds before the second attempt; doubled each time, up to a minute.
        patience: Number of consecutive failures after which the run stops.
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
        """A server's message without the key, anything similar to a key, and the address's secrets."""
        parts = urlsplit(self.url)
        for secret in (self.key, parts.netloc.rpartition("@")[0], parts.password or "", parts.query):
            if secret:
                text = text.replace(secret, "***")
        return re.sub(r"\bsk-[\w*.-]{6,}|\bBearer\s+[\w*.~+/=-]{12,}", "***", text)


class Endpoint:
    """A client of one server. Threads may share it.

    Args:
        service: The server and the options of requests.
        pace: The rate limit.

    Raises:
        MissingPackage: If the client library is not installed.
        EndpointError: If the address is invalid.
    """

    def __init__(self, service: Service, pace: Pace) -> None:
        openai = require("openai", "augment")
        if urlsplit(service.url).scheme not in ("http", "https"):
            raise EndpointError(
                f"'{service.shown}' is not an http:// or https:// address, such as http://localhost:8000/v1"
            )
        self.service, self.pace = service, pace
        # Retries are done here, because they must count towards the limits and respect every pause that the server
        # requests.
        client = openai.OpenAI(
            base_url=service.url, api_key=service.key or "none", timeout=service.timeout, max_retries=0
        )
        # Looked up once in advance: the library imports most of itself here, which must not delay requests in progress.
        self._create = client.chat.completions.with_raw_response.create
        self._errors = openai
        self._lock = threading.Lock()
        self._lost = 0

    def ask(self, question: Question) -> Answer:
        """The server's answer to a question, correct or not.

        Raises:
            ClipError: If this question has no answer; others may have one.
            EndpointError: If the server cannot answer any question.
            Stopped: If the run has ended.
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
        raise ClipError("no-answer", "tries must be at least 1")

    def _pause(self, failure: _Failed, attempt: int) -> None:
        asked = failure.pause
        if asked is not None and asked > LONGEST_PAUSE:
            raise EndpointError(
                f"{self.service.shown} asks for a pause of {asked:.0f} s (a daily limit?). Answers so far are saved: "
                "run the same command later to continue"
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
                f"{lost} consecutive requests to {self.service.shown} failed, the last one because: {failure}. "
                "Answers so far are saved: run the same command to continue"
            )

    def _send(self, question: Question) -> Answer:
        """One request. Raises `_Failed`, or `EndpointError` if all others would fail too."""
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
        # Raised outside the handlers, because the library's error holds the request, whose header holds the key.
        raise failure

    def _judge(self, status: int, body: str, headers: Any) -> _Failed:
        """The error for an HTTP status."""
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
            return _Failed("content-filter", f"the server's filter rejects it: {said}", again=False)
        return _Failed(f"http-{status}", f"status {status}: {said}", status in REPEATED, _retry_after(headers))


class _Failed(Exception):
    """A request without an answer."""

    def __init__(self, reason: str, message: str, again: bool = True, pause: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.again, self.pause = reason, again, pause


def read(body: str) -> Answer:
    """A chat completion as an `Answer`. Servers may leave out fields; only the outer structure is required."""
    try:
        completion = json.loads(body)
    except ValueError:
        said = _message(body)[0]
        raise _Failed("not-json", f"the response is not JSON, or is incomplete: {said or 'nothing'}") from None
    if not isinstance(completion, dict) or not isinstance(completion.get("choices"), list):
        raise _Failed("not-a-completion", f"the response is JSON, but not a chat completion: {body[:QUOTED]}")
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
    """The message and the code of an error, from JSON or a page of HTML."""
    try:
        error = json.loads(body)
    except ValueError:
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)).strip()[:QUOTED], ""
    error = error.get("error", error) if isinstance(error, dict) else error
    if isinstance(error, dict):
        return str(error.get("message", error))[:QUOTED], str(error.get("code") or "")
    return str(error)[:QUOTED], ""


def _retry_after(headers: Any) -> float | None:
    """Seconds that the server asks to wait: `Retry-After` as seconds or a date, or Azure's milliseconds."""
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

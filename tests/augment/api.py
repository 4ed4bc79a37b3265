"""A real HTTP server that speaks /v1/chat/completions, translates a few sentences, and fails as it is told."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Translated by hand, long enough for a language to be told.
SENTENCES = {
    "I woke up late today because I could not sleep last night.": {
        "fr": "Je me suis levé tard aujourd'hui parce que je n'ai pas pu dormir la nuit dernière.",
        "ja": "昨夜は眠れなかったので、今日は遅く起きました。",
        "ms": "Saya bangun lewat hari ini kerana saya tidak dapat tidur malam tadi.",
        "zh": "因为昨晚睡不着，我今天起得很晚。",
    },
    "My friends and I are going to the lake this weekend.": {
        "fr": "Mes amis et moi allons au lac ce week-end, comme tous les étés.",
        "ja": "友達と私は今週末に湖へ行くつもりです。",
        "ms": "Saya dan kawan-kawan saya akan pergi ke tasik pada hujung minggu ini.",
        "zh": "我和朋友们这个周末要去湖边玩。",
    },
}
ENGLISH = list(SENTENCES)
Fault = Callable[["Handler", dict[str, Any]], None]


def text_of(number: int) -> str:
    """A text that no other number has."""
    return f"{ENGLISH[0]} {ENGLISH[1]} ({number})"


def translated(text: str, language: str) -> str:
    for english, others in SENTENCES.items():
        text = text.replace(english, others[language])
    return text


def asked(body: dict[str, Any]) -> tuple[str, list[str], dict[str, str] | None]:
    """The text, languages and labels of a request."""
    system, user = body["messages"]
    given = json.loads(user["content"])
    shape = re.search(r"Output JSON (\{.*?\})", system["content"])
    assert shape is not None
    return given["user_text"], list(json.loads(shape[1])), given.get("given_labels")


class Api:
    """What the server has seen, and what it is to do.

    Attributes:
        faults: A part of a text to what happens to requests with it, one after the other; then all is well.
        always: Such a thing that never ends.
        delay: Seconds that an answer takes.
    """

    def __init__(self) -> None:
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.delay = 0.0
        self.seen: list[dict[str, Any]] = []
        self.headers: list[Message] = []
        self.paths: list[str] = []
        self.times: list[tuple[float, float]] = []
        self.answered: list[str] = []
        self.usage: defaultdict[str, int] = defaultdict(int)
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.url = ""

    def fault(self, text: str) -> Fault | None:
        with self.lock:
            for part, faults in self.faults.items():
                if part in text and faults:
                    return faults.pop(0)
            return next((fault for part, fault in self.always.items() if part in text), None)

    def texts(self) -> list[str]:
        return [asked(body)[0] for body in self.seen]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        api = self.api
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with api.lock:
            api.seen.append(body)
            api.headers.append(self.headers)
            api.paths.append(self.path)
        begun = time.monotonic()
        api.closing.wait(api.delay)
        text = asked(body)[0]
        fault = api.fault(text)
        if fault is not None:
            fault(self, body)
        else:
            self.complete(body)
        with api.lock:
            api.times.append((begun, time.monotonic()))
            if fault is None:
                api.answered.append(text)

    def complete(self, body: dict[str, Any], content: str | None = None, finish: str = "stop") -> None:
        text, languages, _ = asked(body)
        if content is None:
            content = json.dumps({code: translated(text, code) for code in languages}, ensure_ascii=False)
        usage = {"prompt_tokens": len(json.dumps(body)), "completion_tokens": len(content)}
        with self.api.lock:
            for name, count in usage.items():
                self.api.usage[name] += count
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
        frame = {"id": "c1", "object": "chat.completion", "created": 1, "model": body["model"] + "-0613"}
        self.reply(200, json.dumps(frame | {"choices": [choice], "usage": usage}))

    def reply(self, status: int, text: str, kind: str = "application/json", **headers: str) -> None:
        payload = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(payload)


def status(code: int, message: str = "out of order", error: str = "", **headers: str) -> Fault:
    body = json.dumps({"error": {"message": message, "code": error or None}})
    return lambda handler, _: handler.reply(code, body, **headers)


def hangs(handler: Handler, _: dict[str, Any]) -> None:
    handler.api.closing.wait(6)
    handler.close_connection = True


def drops(handler: Handler, _: dict[str, Any]) -> None:
    """Half a body, and the connection is gone."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"mess')
    handler.close_connection = True


def html(handler: Handler, _: dict[str, Any]) -> None:
    handler.reply(200, "<html><body><h1>Sign in</h1> to the campus network</body></html>", "text/html")


def truncated(handler: Handler, _: dict[str, Any]) -> None:
    handler.reply(200, '{"id": "c1", "choices": [{"message": {"content": "{')


def no_choices(handler: Handler, body: dict[str, Any]) -> None:
    handler.reply(200, json.dumps({"id": "c1", "choices": [], "model": body["model"]}))


def says(change: Callable[[dict[str, str], str], Any], finish: str = "stop") -> Fault:
    """An answer that differs from the right one: `change(translations, text)` gives an object, or text as it is."""

    def fault(handler: Handler, body: dict[str, Any]) -> None:
        text, languages, _ = asked(body)
        made = change({code: translated(text, code) for code in languages}, text)
        handler.complete(body, made if isinstance(made, str) else json.dumps(made, ensure_ascii=False), finish)

    return fault


@contextmanager
def serving() -> Iterator[Api]:
    api = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"api": api}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield api
    finally:
        api.closing.set()
        server.shutdown()
        server.server_close()
